"""How long the slowest pipeline stage takes for one microbatch: its layers, and the communication inside of them."""

from dataclasses import dataclass

from course_lib.arithmetic.planner.communication import exchange_seconds, gather_seconds
from course_lib.arithmetic.planner.layer_time import HALF, layer_time
from course_lib.arithmetic.planner.layout import Layout, fullest_stage_layers, last_stage_layers
from course_lib.arithmetic.planner.workload import Workload


@dataclass(frozen=True)
class Communication:
    """One kind of communication in one step.

    Args:
        total_seconds: time that the transfers take on one device.
        exposed_seconds: the part that no compute hides.
    """

    total_seconds: float
    exposed_seconds: float


@dataclass(frozen=True)
class Pace:
    """One microbatch on the slowest stage.

    Args:
        forward_seconds, backward_seconds: the passes, recomputation and exposed communication in layers included.
        compute_seconds: both passes without communication.
        layers: layers of that stage.
    """

    forward_seconds: float
    backward_seconds: float
    compute_seconds: float
    layers: int


def pace(w: Workload, layout: Layout) -> Pace:
    """Time of one microbatch on the slowest stage: one in the middle, or the last with the logits.

    Args:
        w: the planning problem.
        layout: a layout that `check_layout` accepts.

    Returns:
        Seconds by pass. Microbatches times their sum is the least that a step can take.

    Source: `layer_time`; Narayanan et al. 2021 (arXiv:2104.04473) section 3.
    """
    key = (
        "pace", layout.tensor_parallel, layout.pipeline_parallel, layout.context_parallel, layout.expert_parallel,
        layout.microbatch, layout.recomputation,
    )  # fmt: skip
    return w.once(key, lambda: _pace(w, layout))


def _pace(w: Workload, layout: Layout) -> Pace:
    c, p = w.config, layout.pipeline_parallel
    time, sent = layer_time(w, layout), inside_layer(w, layout)
    forward, backward = time.forward_seconds, time.backward_seconds + time.recompute_seconds
    layers, last = fullest_stage_layers(c, p), last_stage_layers(c, p)
    one = forward + backward + sent.shown_forward + sent.shown_backward
    head = time.head_forward_seconds + time.head_backward_seconds
    with_head = last * one + head >= layers * one
    n = last if with_head else layers
    return Pace(
        forward_seconds=n * (forward + sent.shown_forward) + with_head * time.head_forward_seconds,
        backward_seconds=n * (backward + sent.shown_backward) + with_head * time.head_backward_seconds,
        compute_seconds=n * (forward + backward) + with_head * head,
        layers=n,
    )


@dataclass(frozen=True)
class LayerCommunication:
    """Seconds that one layer's tensor, context and expert groups communicate for one microbatch, both passes."""

    kinds: tuple[Communication, Communication, Communication]
    shown_forward: float
    shown_backward: float


def inside_layer(w: Workload, layout: Layout) -> LayerCommunication:
    key = (
        "sent", layout.tensor_parallel, layout.context_parallel, layout.expert_parallel, layout.microbatch,
        layout.recomputation,
    )  # fmt: skip
    return w.once(key, lambda: _inside_layer(w, layout))


def _inside_layer(w: Workload, layout: Layout) -> LayerCommunication:
    c, s, t, cp = w.config, w.software, layout.tensor_parallel, layout.context_parallel
    tokens = layout.microbatch * w.sequence_length / cp
    stream = HALF * tokens * c.hidden_size
    # an all-reduce after each block, or with sequence parallelism a gather before it and a scatter after it
    tensor = c.norms_per_layer * 2 * gather_seconds(w, stream, t, 1)
    if c.latent_attention:
        wide = c.heads * (c.qk_head_dim + c.value_head_dim) / t
    else:
        wide = 2 * c.kv_heads * c.head_dim / min(t, c.kv_heads)
    context = gather_seconds(w, HALF * wide * tokens * cp, cp, t)
    copies = stream * c.experts_per_token / t * c.moe_layers / c.layers
    expert = 2 * exchange_seconds(w, copies, layout.expert_parallel, t * cp) if c.experts else 0.0
    forward = (tensor, context, expert)
    backward = (tensor, 2 * context, expert)  # keys and values again, and their gradients back
    again = 1 if layout.recomputation == "full" else 0
    seen_forward = (1 - s.hidden_tensor, 1 - s.hidden_context, 1 - s.hidden_expert)
    seen_backward = (1 - s.hidden_tensor_backward, *seen_forward[1:])
    ahead = [x * seen for x, seen in zip(forward, seen_forward, strict=True)]
    back = [x * seen + again * y for x, seen, y in zip(backward, seen_backward, ahead, strict=True)]
    tensor_, context_, expert_ = (
        Communication((1 + again) * x + y, a + b) for x, y, a, b in zip(forward, backward, ahead, back, strict=True)
    )
    return LayerCommunication((tensor_, context_, expert_), sum(ahead), sum(back))
