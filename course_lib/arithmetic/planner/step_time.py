"""Seconds of one optimizer step under a layout: compute, bubble, each kind of communication, optimizer."""

from dataclasses import dataclass

from course_lib.arithmetic.pipeline import pipeline_bubble
from course_lib.arithmetic.planner.communication import gather_seconds, message_seconds
from course_lib.arithmetic.planner.layer_time import HALF, layer_time
from course_lib.arithmetic.planner.layout import Layout
from course_lib.arithmetic.planner.pace import Communication, inside_layer, pace
from course_lib.arithmetic.planner.workload import Workload

OPTIMIZER_TRAFFIC = 30  # bytes per parameter: Adam reads gradient, master copy and moments, writes all but the first
KINDS = ("tensor", "context", "expert", "pipeline", "data")


@dataclass(frozen=True)
class StepTime:
    """One step of the slowest pipeline stage.

    Args:
        seconds: the whole step: compute, bubble, exposed communication and optimizer.
        compute_seconds: forward, backward and recomputation of all microbatches.
        recompute_seconds: the part of it that recomputation repeats.
        bubble_seconds: waiting while the pipeline fills and drains.
        optimizer_seconds: the update of the weights.
        communication: kind ("tensor", "context", "expert", "pipeline", "data") -> time in all and exposed.
        microbatches: microbatches per step.
    """

    seconds: float
    compute_seconds: float
    recompute_seconds: float
    bubble_seconds: float
    optimizer_seconds: float
    communication: dict[str, Communication]
    microbatches: int

    @property
    def exposed_seconds(self) -> float:
        """Communication that no compute hides, all kinds together."""
        return sum(kind.exposed_seconds for kind in self.communication.values())

    @property
    def communication_seconds(self) -> float:
        """All communication, hidden or not."""
        return sum(kind.total_seconds for kind in self.communication.values())

    @property
    def bubble_fraction(self) -> float:
        """Share of the step spent waiting for other stages."""
        return self.bubble_seconds / self.seconds


def step_time(w: Workload, layout: Layout, microbatches: int) -> StepTime:
    """Time of one step.

    Args:
        w: the planning problem.
        layout: a layout that `check_layout` accepts.
        microbatches: microbatches per step.

    Returns:
        The step, part by part. Communication inside of a microbatch (tensor, context, expert) that nothing hides
        lengthens the bubble too, since stages wait for whole microbatches.

    Raises:
        ArithmeticInputError: when the schedule cannot run so many microbatches.

    Source: Narayanan et al. 2021 (arXiv:2104.04473) section 3 for what each dimension sends; Rajbhandari et al. 2020
        (arXiv:1910.02054) section 7 for ZeRO's 2P and 3P.
    """
    p, m = layout.pipeline_parallel, microbatches
    one = pace(w, layout)
    f, b, layers, time = one.forward_seconds, one.backward_seconds, one.layers, layer_time(w, layout)
    bubble = 0.0
    if p > 1:
        weight = min(b, layers * time.weight_seconds)
        bubble = pipeline_bubble(
            p, m, layout.schedule, layout.virtual_stages, forward_seconds=f, backward_seconds=b, weight_seconds=weight
        ).bubble_seconds
    messages, messages_shown = _between_stages(w, layout, m)
    data, data_shown = _between_replicas(w, layout, m, b, m * (f + b))
    update = _update_seconds(w, layout)
    passes = m * layers
    communication = {
        kind: Communication(passes * group.total_seconds, passes * group.exposed_seconds)
        for kind, group in zip(KINDS, inside_layer(w, layout).kinds, strict=False)
    }
    communication["pipeline"] = Communication(messages, messages_shown)
    communication["data"] = Communication(data, data_shown)
    return StepTime(
        seconds=m * (f + b) + bubble + messages_shown + data_shown + update,
        compute_seconds=m * one.compute_seconds,
        recompute_seconds=m * layers * time.recompute_seconds,
        bubble_seconds=bubble,
        optimizer_seconds=update,
        communication=communication,
        microbatches=m,
    )


def _between_stages(w: Workload, layout: Layout, microbatches: int) -> tuple[float, float]:
    """(seconds of all messages between stages, the part that no compute hides)"""
    p, t = layout.pipeline_parallel, layout.tensor_parallel
    if p == 1:
        return 0.0, 0.0
    bytes_ = HALF * layout.microbatch * w.sequence_length / layout.context_parallel * w.config.hidden_size
    if layout.sequence_parallel or w.software.scatter_gather:
        bytes_ /= t
    one = message_seconds(w, bytes_, p, t * layout.context_parallel * layout.data_parallel)
    # forward and backward; a stage that sends and receives in turn pays for both directions
    in_turn = 2 if w.software.blocking_messages else 1
    seconds = 2 * in_turn * layout.virtual_stages * microbatches * one
    return seconds, seconds * (1 - w.software.hidden_pipeline)


def _between_replicas(
    w: Workload, layout: Layout, microbatches: int, backward_seconds: float, work_seconds: float
) -> tuple[float, float]:
    """(seconds of gradients' and parameters' collectives, the part that no compute hides)"""
    key = (
        "data", layout.tensor_parallel, layout.pipeline_parallel, layout.context_parallel, layout.expert_parallel,
        layout.data_parallel, layout.shards, layout.zero_stage,
    )  # fmt: skip
    parameters, gradients, copies = w.once(key, lambda: _state_seconds(w, layout))
    stage = layout.zero_stage
    # ZeRO-3 gathers for both passes and ZeRO-2 and 3 scatter gradients in every microbatch; else once per step
    scatters = microbatches if stage >= 2 else 1
    gathers = 2 * microbatches if stage == 3 else 1
    seconds = gathers * parameters + scatters * gradients + copies
    under = work_seconds if stage == 3 else backward_seconds * scatters
    # the first layer's gather and the last one's scatter have nothing to hide under
    least = seconds / max(1, gathers + scatters) / w.config.layers
    return seconds, max(seconds - w.software.hiding_data * under, min(seconds, least))


def _state_seconds(w: Workload, layout: Layout) -> tuple[float, float, float]:
    """Seconds of one (gather of parameters, scatter of gradients, sum over the copies of a shard group)"""
    t, cp = layout.tensor_parallel, layout.context_parallel
    split, ep, stage = t * layout.pipeline_parallel, layout.expert_parallel, layout.zero_stage
    shared = (w.counts.total - w.counts.routed_experts) / split
    routed = w.counts.routed_experts / (split * ep)
    shards, slow = layout.shards * cp, w.software.sharded_network if stage == 3 else 1.0
    parameters = gradients = copies = 0.0
    groups = ((shared, shards, t), (routed, max(1, shards // ep), t * ep))
    calls = w.config.layers // layout.pipeline_parallel if stage == 3 else 1  # ZeRO-3 gathers layer by layer
    for weights, members, stride in groups:
        if not weights:
            continue
        gradient = gather_seconds(w, w.software.gradient_bytes * weights, members, stride, calls) / slow
        parameter = gather_seconds(w, HALF * weights, members, stride, calls) / slow
        # without ZeRO the other half of the gradients' all-reduce takes the place of the parameters' gather
        gradients += gradient
        parameters += parameter if stage else gradient
        replicas = layout.data_parallel // layout.shards
        owned = w.software.gradient_bytes * weights / (members if stage else 1)
        copies += 2 * gather_seconds(w, owned, replicas, layout.shards * cp * t)
    return parameters, gradients, copies


def _update_seconds(w: Workload, layout: Layout) -> float:
    split = layout.tensor_parallel * layout.pipeline_parallel
    owners = layout.shards * layout.context_parallel if layout.zero_stage else 1
    shared = w.counts.total - w.counts.routed_experts
    routed = w.counts.routed_experts / layout.expert_parallel
    mine = shared / owners + routed / max(1, owners // layout.expert_parallel)
    rate = w.cluster.accelerator.memory_bandwidth_bytes_per_s * w.efficiency.memory
    return OPTIMIZER_TRAFFIC * mine / split / rate
