"""One planning problem: model, batch, cluster and software, checked once, with what many layouts share kept."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from course_lib.arithmetic.errors import ArithmeticInputError, as_config, check_choice, check_count
from course_lib.arithmetic.parameters import ParameterCount, count_parameters
from course_lib.arithmetic.planner.calibration import Efficiency, efficiency_of
from course_lib.arithmetic.planner.cluster import Cluster
from course_lib.arithmetic.planner.software import Software, as_software
from course_lib.catalog import ModelConfig

BatchUnit = Literal["sequences", "tokens"]
Kept = TypeVar("Kept")


@dataclass(frozen=True)
class Workload:
    """A model to train, and on what.

    Args:
        config: the model's shape.
        cluster: the machines.
        global_batch: sequences per optimizer step.
        sequence_length: tokens per sequence.
        software: the training stack.
        efficiency: shares of the peaks.
        dtype: number format of the weight matmuls.
        counts: the model's parameters by part.
        kept: figures that many layouts share, so that a search computes them once.
    """

    config: ModelConfig
    cluster: Cluster
    global_batch: int
    sequence_length: int
    software: Software
    efficiency: Efficiency
    dtype: str
    counts: ParameterCount
    kept: dict[Hashable, Any] = field(default_factory=dict, compare=False, repr=False)

    def once(self, key: Hashable, compute: Callable[[], Kept]) -> Kept:
        """What `compute` gives, computed the first time that `key` is asked for."""
        if key not in self.kept:
            self.kept[key] = compute()
        found: Kept = self.kept[key]
        return found

    @property
    def tokens_per_step(self) -> int:
        """Tokens of one optimizer step."""
        return self.global_batch * self.sequence_length


def workload(
    config: ModelConfig | str,
    cluster: Cluster,
    global_batch: int,
    *,
    batch_unit: BatchUnit = "sequences",
    sequence_length: int | None = None,
    software: Software | str = "modern",
    efficiency: Efficiency | None = None,
    dtype: str | None = None,
) -> Workload:
    """Check the inputs of a plan.

    Args:
        config: a decoder's shape, or the name of one.
        cluster: the machines.
        global_batch: sequences (or tokens, see `batch_unit`) per optimizer step.
        batch_unit: "sequences" or "tokens".
        sequence_length: tokens per sequence; the model's context length when left out.
        software: a stack, or the name of a preset.
        efficiency: shares of the peaks; those of the chip's generation when left out.
        dtype: format of the weight matmuls; "bf16" when left out, "fp16" on a chip without it.

    Returns:
        The problem.

    Raises:
        ArithmeticInputError: for a number out of range, or an encoder-decoder.
        CatalogError: (a ValueError) for an unknown model, or a dtype for which the chip has no peak.

    Source: definition.
    """
    c = as_config(config)
    if c.encoder_layers:
        raise ArithmeticInputError.of(
            "config", c.name, "is an encoder-decoder, which the planner cannot divide", "describe a decoder"
        )
    if not isinstance(cluster, Cluster):
        raise ArithmeticInputError.of(
            "cluster", cluster, "is no Cluster", "make one: instance_cluster('p5.48xlarge', 16)"
        )
    check_count("global_batch", global_batch)
    length = c.context_length if sequence_length is None else sequence_length
    check_count("sequence_length", length)
    check_choice("batch_unit", batch_unit, ("sequences", "tokens"))
    if batch_unit == "tokens":
        if global_batch % length:
            raise ArithmeticInputError.of(
                "global_batch",
                global_batch,
                f"tokens make no whole number of sequences of {length}",
                f"use {max(1, round(global_batch / length)) * length}",
            )
        global_batch //= length
    chip = cluster.accelerator
    chosen = dtype or ("bf16" if "bf16" in chip.peak_tflops or not chip.peak_tflops else "fp16")
    chip.peak_flops(chosen)  # a format without a peak is refused here, by name
    _ = chip.memory_bandwidth_bytes_per_s
    return Workload(
        config=c,
        cluster=cluster,
        global_batch=global_batch,
        sequence_length=length,
        software=as_software(software),
        efficiency=efficiency or efficiency_of(chip),
        dtype=chosen,
        counts=count_parameters(c),
    )
