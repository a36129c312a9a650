"""A layout: how one step's work and one model's state are divided over the devices of a cluster.

Ranks are numbered as Megatron-LM and Llama 3 number them: tensor-parallel neighbors first, then context-parallel, then
data-parallel (expert-parallel ones among these), pipeline stages last; so the busiest group gets the fastest links.
"""

from dataclasses import dataclass

from course_lib.arithmetic.activations import check_tensor_parallel
from course_lib.arithmetic.errors import ArithmeticInputError, check_choice, check_count
from course_lib.arithmetic.model_states import check_choice_of_stage
from course_lib.arithmetic.pipeline import SCHEDULES, Schedule
from course_lib.arithmetic.training_flops import RECOMPUTATIONS, Recomputation
from course_lib.catalog import ModelConfig


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Degrees of parallelism and what goes with them.

    Args:
        tensor_parallel: devices that share each layer's matrices (t).
        pipeline_parallel: devices that share the stack of layers (p).
        context_parallel: devices that share each sequence (c).
        data_parallel: devices that see different sequences (d); the devices in all are t * p * c * d.
        expert_parallel: devices, among the data-parallel ones, that share the routed experts.
        zero_stage: 0 to 3, over `shard_parallel` * c devices.
        shard_parallel: data-parallel devices that share the model's state; 0 means all. Fewer make hybrid sharding:
            shards inside of a group, copies between groups.
        schedule: "1f1b", "gpipe", "interleaved", "zb1p", ... for p > 1.
        virtual_stages: chunks of layers per device, for "interleaved".
        microbatch: sequences that pass through the model at once.
        recomputation: "none", "selective" or "full".
        sequence_parallel: divide norms and dropouts along the sequence among the tensor-parallel devices.
    """

    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    context_parallel: int = 1
    data_parallel: int = 1
    expert_parallel: int = 1
    zero_stage: int = 1
    shard_parallel: int = 0
    schedule: Schedule = "1f1b"
    virtual_stages: int = 1
    microbatch: int = 1
    recomputation: Recomputation = "none"
    sequence_parallel: bool = True

    @property
    def devices(self) -> int:
        """Devices that the layout takes."""
        return self.tensor_parallel * self.pipeline_parallel * self.context_parallel * self.data_parallel

    @property
    def shards(self) -> int:
        """Data-parallel devices that share one copy of the model's state."""
        return self.shard_parallel or self.data_parallel

    def __str__(self) -> str:
        """A short line such as `TP 8 x PP 16 x DP 64, ZeRO 1, interleaved x 8, microbatch 1, recompute none`."""
        degrees = {
            "TP": self.tensor_parallel,
            "PP": self.pipeline_parallel,
            "CP": self.context_parallel,
            "DP": self.data_parallel,
        }
        parts = [" x ".join(f"{name} {n}" for name, n in degrees.items() if n > 1) or "one device"]
        if self.expert_parallel > 1:
            parts[0] += f" (EP {self.expert_parallel})"
        hybrid = f" in groups of {self.shards}" if self.shards < self.data_parallel else ""
        parts.append(f"ZeRO {self.zero_stage}{hybrid}")
        if self.pipeline_parallel > 1:
            chunks = f" x {self.virtual_stages}" if self.virtual_stages > 1 else ""
            parts.append(f"{self.schedule}{chunks}")
        return ", ".join([*parts, f"microbatch {self.microbatch}", f"recompute {self.recomputation}"])


def check_layout(c: ModelConfig, layout: Layout, devices: int, global_batch: int, sequence_length: int) -> int:
    """Raise unless a layout can run; else say how many microbatches each pipeline sees in a step.

    Args:
        c: the model's shape.
        layout: the layout.
        devices: devices of the cluster.
        global_batch: sequences per optimizer step.
        sequence_length: tokens per sequence.

    Returns:
        Microbatches per step.

    Raises:
        ArithmeticInputError: naming the first rule that the layout breaks.

    Source: definitions; the pipeline's rules are those of `pipeline_bubble`.
    """
    for name in ("pipeline_parallel", "context_parallel", "data_parallel", "expert_parallel", "virtual_stages"):
        check_count(name, getattr(layout, name))
    check_count("microbatch", layout.microbatch)
    check_count("shard_parallel", layout.shard_parallel, 0)
    check_choice_of_stage(layout.zero_stage)
    check_choice("schedule", layout.schedule, SCHEDULES)
    check_choice("recomputation", layout.recomputation, RECOMPUTATIONS)
    check_tensor_parallel(c, layout.tensor_parallel)
    if layout.devices != devices:
        raise ArithmeticInputError.of(
            "layout",
            str(layout),
            f"takes {layout.devices} devices where the cluster has {devices}",
            "make tensor * pipeline * context * data parallelism equal to the devices",
        )
    _check_divides("shard_parallel", layout.shards, "data_parallel", layout.data_parallel)
    _check_experts(c, layout)
    _check_stages(c, layout)
    if sequence_length % (2 * layout.context_parallel) and layout.context_parallel > 1:
        raise ArithmeticInputError.of(
            "context_parallel",
            layout.context_parallel,
            f"cannot balance {sequence_length} tokens: causal work is even when each device holds two equal pieces",
            f"use a sequence length that {2 * layout.context_parallel} divides",
        )
    at_once = layout.data_parallel * layout.microbatch
    if global_batch % at_once:
        raise ArithmeticInputError.of(
            "global_batch",
            global_batch,
            f"is no multiple of data_parallel * microbatch = {at_once}",
            f"use {-(-global_batch // at_once) * at_once}, or fewer replicas",
        )
    return global_batch // at_once


def fullest_stage_layers(c: ModelConfig, stages: int) -> int:
    """Layers of the fullest pipeline stage."""
    return -(-c.layers // stages)


def last_stage_layers(c: ModelConfig, stages: int) -> int:
    """Layers of the last stage, which computes the logits besides and so takes the first gap in the layers, if any."""
    fullest = fullest_stage_layers(c, stages)
    return fullest - min(1, fullest * stages - c.layers)


def first_stage_layers(c: ModelConfig, stages: int) -> int:
    """Layers of the first stage, which holds the embedding besides and so takes the second gap, if any."""
    fullest = fullest_stage_layers(c, stages)
    return fullest - (1 if fullest * stages - c.layers > 1 else 0)


def _check_divides(name: str, value: int, other: str, total: int) -> None:
    if total % value:
        raise ArithmeticInputError.of(name, value, f"does not divide {other}={total}", "use a divisor of it")


def _check_experts(c: ModelConfig, layout: Layout) -> None:
    if layout.expert_parallel == 1:
        return
    if not c.experts:
        raise ArithmeticInputError.of(
            "expert_parallel", layout.expert_parallel, f"has no experts to share in {c.name}", "use 1"
        )
    _check_divides("expert_parallel", layout.expert_parallel, "experts", c.experts)
    _check_divides("expert_parallel", layout.expert_parallel, "data_parallel", layout.data_parallel)
    if layout.zero_stage:
        _check_divides("expert_parallel", layout.expert_parallel, "shard_parallel", layout.shards)


def _check_stages(c: ModelConfig, layout: Layout) -> None:
    chunks = layout.pipeline_parallel * layout.virtual_stages
    if chunks > c.layers + 2:  # the embedding and the logits may fill the place of a layer each
        raise ArithmeticInputError.of(
            "pipeline_parallel",
            layout.pipeline_parallel,
            f"times virtual_stages={layout.virtual_stages} is more than the {c.layers} layers",
            f"use at most {c.layers} chunks of layers",
        )
