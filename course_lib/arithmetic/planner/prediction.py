"""What one layout will do: memory, time, utilization, money and losses, all in one record."""

from dataclasses import dataclass

from course_lib.arithmetic.errors import check_positive
from course_lib.arithmetic.planner.calibration import Efficiency
from course_lib.arithmetic.planner.cluster import Cluster
from course_lib.arithmetic.planner.layout import Layout, check_layout
from course_lib.arithmetic.planner.losses import ExpectedLosses, Reliability, expected_losses
from course_lib.arithmetic.planner.memory import MemoryByKind, memory_by_kind
from course_lib.arithmetic.planner.software import Software
from course_lib.arithmetic.planner.step_time import StepTime, step_time
from course_lib.arithmetic.planner.workload import BatchUnit, Workload, workload
from course_lib.arithmetic.training_flops import TrainingFlops, training_flops
from course_lib.catalog import ModelConfig

SECONDS_PER_HOUR = 3_600
SECONDS_PER_DAY = 86_400


@dataclass(frozen=True)
class Prediction:
    """One layout's memory, time and money. Money and `effective_` figures include the expected failures.

    Args:
        model, cluster: names.
        layout: the layout.
        devices: accelerators.
        tokens_per_step: tokens of one optimizer step.
        memory: bytes on the fullest device, by kind.
        time: one step, part by part.
        losses: what failures add.
        mfu: FLOPs that the mathematics needs over the peak; a fused attention kernel's causal FLOPs, else all scores.
        hfu: with recomputation counted.
        tokens_per_second: of all devices, no failure counted.
        effective_tokens_per_second: with failures.
        usd_per_step, usd_per_million_tokens, tokens_per_usd: None where the price is unknown.
        tokens: tokens of the whole run; None when not given.
        run_days, run_usd: of the whole run.
        calibrated: whether published runs on this chip were used to set the shares of its peaks.
    """

    model: str
    cluster: str
    layout: Layout
    devices: int
    tokens_per_step: int
    memory: MemoryByKind
    time: StepTime
    losses: ExpectedLosses
    mfu: float
    hfu: float
    tokens_per_second: float
    effective_tokens_per_second: float
    usd_per_step: float | None
    usd_per_million_tokens: float | None
    tokens_per_usd: float | None
    tokens: float | None
    run_days: float | None
    run_usd: float | None
    calibrated: bool

    @property
    def fits(self) -> bool:
        """Whether the fullest device can hold it."""
        return self.memory.shortfall_bytes <= 0

    @property
    def failure_days(self) -> float | None:
        """Days that failures add to the run."""
        share = self.losses.added_share / self.losses.time_per_useful_time
        return None if self.run_days is None else self.run_days * share

    @property
    def failure_usd(self) -> float | None:
        """Dollars that failures add to the run."""
        share = self.losses.added_share / self.losses.time_per_useful_time
        return None if self.run_usd is None else self.run_usd * share


def predict(
    config: ModelConfig | str,
    cluster: Cluster,
    layout: Layout,
    global_batch: int,
    *,
    batch_unit: BatchUnit = "sequences",
    sequence_length: int | None = None,
    software: Software | str = "modern",
    efficiency: Efficiency | None = None,
    dtype: str | None = None,
    reliability: Reliability | None = None,
    tokens: float | None = None,
) -> Prediction:
    """Predict memory, time and money of a given layout, whether it fits or not.

    Args:
        config: a decoder's shape, or the name of one.
        cluster: the machines: `instance_cluster("p5.48xlarge", 128)` or `custom_cluster(...)`.
        layout: degrees of parallelism and the rest.
        global_batch: sequences (or tokens, see `batch_unit`) per optimizer step.
        batch_unit: "sequences" or "tokens".
        sequence_length: tokens per sequence; the model's context length when left out.
        software: a training stack, or the name of a preset such as "modern", "megatron", "torchtitan".
        efficiency: shares of the peaks; those of the chip's generation when left out.
        dtype: format of the weight matmuls ("bf16", "fp8", ...).
        reliability: rates of failure; Llama 3's when left out.
        tokens: tokens of the whole run, for days and dollars.

    Returns:
        The prediction; `fits` says whether it goes into memory.

    Raises:
        ArithmeticInputError: when the layout cannot run on this cluster, naming the rule, or a number is out of range.
        CatalogError: (a ValueError) for an unknown model, or a chip without the figures that a prediction needs.

    Source: see `step_time`, `memory_by_kind` and `expected_losses`. Against published runs: tests/arithmetic/planner.
    """
    w = workload(
        config,
        cluster,
        global_batch,
        batch_unit=batch_unit,
        sequence_length=sequence_length,
        software=software,
        efficiency=efficiency,
        dtype=dtype,
    )
    microbatches = check_layout(w.config, layout, cluster.devices, w.global_batch, w.sequence_length)
    if tokens is not None:
        check_positive("tokens", tokens, "give the tokens of the run, e.g. 15e12")
    losses = expected_losses(w, reliability or Reliability())
    return describe(w, layout, step_time(w, layout, microbatches), losses, tokens)


def describe(w: Workload, layout: Layout, time: StepTime, losses: ExpectedLosses, tokens: float | None) -> Prediction:
    """Put a timed layout's figures together."""
    flops = _step_flops(w, layout)
    peak = w.cluster.devices * w.cluster.accelerator.peak_flops(w.dtype)
    rate = w.tokens_per_step / time.seconds
    effective = rate / losses.time_per_useful_time
    price = w.cluster.usd_per_hour
    usd_per_second = None if price is None else price / SECONDS_PER_HOUR
    return Prediction(
        model=w.config.name,
        cluster=w.cluster.name,
        layout=layout,
        devices=w.cluster.devices,
        tokens_per_step=w.tokens_per_step,
        memory=memory_by_kind(w, layout, time.microbatches),
        time=time,
        losses=losses,
        mfu=flops.model_flops / time.seconds / peak,
        hfu=(flops.model_flops + _repeated_flops(w, layout, flops)) / time.seconds / peak,
        tokens_per_second=rate,
        effective_tokens_per_second=effective,
        usd_per_step=None if usd_per_second is None else usd_per_second * w.tokens_per_step / effective,
        usd_per_million_tokens=None if usd_per_second is None else usd_per_second * 1e6 / effective,
        tokens_per_usd=None if usd_per_second is None else effective / usd_per_second,
        tokens=tokens,
        run_days=None if tokens is None else tokens / effective / SECONDS_PER_DAY,
        run_usd=None if tokens is None or usd_per_second is None else tokens / effective * usd_per_second,
        calibrated=w.efficiency.calibrated,
    )


def _step_flops(w: Workload, layout: Layout) -> TrainingFlops:
    return training_flops(
        w.config,
        w.tokens_per_step,
        sequence_length=w.sequence_length,
        recomputation=layout.recomputation,
        method="exact",
        attention="causal" if w.software.flash_attention else "full",
    )


def _repeated_flops(w: Workload, layout: Layout, flops: TrainingFlops) -> float:
    if layout.recomputation == "selective" and w.software.recomputed_matmuls:
        head = 6 * w.config.vocab_size * w.config.hidden_size * w.tokens_per_step if w.config.lm_head else 0
        return w.software.recomputed_matmuls * (flops.weight_flops - head) / 3
    return flops.recomputation_flops
