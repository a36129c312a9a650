"""The planner against published training runs: what it predicts for a given layout, beside what was measured."""

from dataclasses import dataclass, replace

from course_lib.arithmetic.planner.calibration import Efficiency
from course_lib.arithmetic.planner.cluster import Cluster, custom_cluster
from course_lib.arithmetic.planner.layout import Layout
from course_lib.arithmetic.planner.prediction import Prediction, predict
from course_lib.arithmetic.planner.software import SOFTWARE
from course_lib.catalog import Accelerator, ModelConfig, TrainingRun, accelerator, gpt_config, model


@dataclass(frozen=True)
class Comparison:
    """One published run and its prediction.

    Args:
        run: what was published.
        prediction: what the planner says of its layout.
        predicted: the prediction in the run's unit.
        throughput_error: predicted over measured throughput, minus 1; positive is too optimistic.
    """

    run: TrainingRun
    prediction: Prediction
    predicted: float
    throughput_error: float


def compare_run(run: TrainingRun, *, efficiency: Efficiency | None = None) -> Comparison:
    """Predict a published run.

    Args:
        run: a row of the catalog.
        efficiency: shares of the peaks; those of the chip's generation when left out.

    Returns:
        The comparison. Where the source prints no microbatch, the one with the best prediction counts.

    Raises:
        ArithmeticInputError: when the row's layout cannot run.

    Source: the row's own.
    """
    cluster, shape = run_cluster(run), run_model(run)
    predictions = [
        predict(
            shape,
            cluster,
            layout,
            run.global_batch,
            sequence_length=run.sequence_length,
            software=SOFTWARE[run.software],
            efficiency=efficiency,
            dtype=run.dtype,
        )
        for layout in run_layouts(run)
    ]
    best = min(predictions, key=lambda prediction: prediction.time.seconds)
    predicted = _in_unit(best, run)
    slower = run.unit == "s per step"
    error = (run.measured / predicted if slower else predicted / run.measured) - 1
    return Comparison(run, best, predicted, error)


def run_model(run: TrainingRun) -> ModelConfig:
    """The shape that a run trained."""
    shape = (
        model(run.model)
        if run.model
        else gpt_config(
            hidden_size=run.hidden_size,
            layers=run.layers,
            heads=run.heads,
            vocab_size=run.vocab_size,
            context_length=run.sequence_length,
        )
    )
    return replace(shape, norms_per_layer=1) if run.parallel_blocks else shape


def run_cluster(run: TrainingRun) -> Cluster:
    """The machines that it ran on."""
    return custom_cluster(
        _chip(run),
        run.devices,
        devices_per_node=run.devices_per_node,
        network_gbit_per_s_per_node=run.network_gbit_per_s_per_node,
    )


def run_layouts(run: TrainingRun) -> tuple[Layout, ...]:
    """Its layout, once for each microbatch size that it may have used."""
    return tuple(
        Layout(
            tensor_parallel=run.tensor,
            pipeline_parallel=run.pipeline,
            context_parallel=run.context,
            data_parallel=run.data,
            expert_parallel=run.expert,
            zero_stage=run.zero_stage,
            schedule=run.schedule,  # type: ignore[arg-type]
            virtual_stages=run.virtual_stages,
            microbatch=microbatch,
            recomputation=run.recomputation,
            sequence_parallel=run.sequence_parallel,
        )
        for microbatch in run.microbatch_sizes
    )


def _chip(run: TrainingRun) -> Accelerator:
    chip = accelerator(run.accelerator)
    changes: dict[str, object] = {}
    if run.peak_share != 1:
        changes["peak_tflops"] = {dtype: tflops * run.peak_share for dtype, tflops in chip.peak_tflops.items()}
    if run.memory_gb:
        changes["memory"] = run.memory_gb
    if run.memory_bandwidth_tb_per_s:
        changes["memory_bandwidth_tb_per_s"] = run.memory_bandwidth_tb_per_s
    if run.link_gb_per_s:
        changes["link_gb_per_s"] = run.link_gb_per_s
    return replace(chip, **changes) if changes else chip  # type: ignore[arg-type]


def _in_unit(prediction: Prediction, run: TrainingRun) -> float:
    peak = _chip(run).peak_flops(run.dtype) / 1e12
    return {
        "s per step": prediction.time.seconds,
        "tokens per s": prediction.tokens_per_second,
        "tokens per s and device": prediction.tokens_per_second / prediction.devices,
        "model TFLOP/s per device": prediction.mfu * peak,
        "hardware TFLOP/s per device": prediction.hfu * peak,
    }[run.unit]
