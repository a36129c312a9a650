"""The search over clusters, and its result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from course_lib.arithmetic.errors import ArithmeticInputError, check_choice, check_count, check_positive
from course_lib.arithmetic.planner.calibration import Efficiency
from course_lib.arithmetic.planner.candidates import Rules, check_divides_devices, fixed_fields
from course_lib.arithmetic.planner.cluster import Cluster
from course_lib.arithmetic.planner.losses import Reliability, expected_losses
from course_lib.arithmetic.planner.prediction import Prediction, describe
from course_lib.arithmetic.planner.shortfall import raise_infeasible
from course_lib.arithmetic.planner.software import Software
from course_lib.arithmetic.planner.sweep import Tally, Timed, sweep
from course_lib.arithmetic.planner.workload import BatchUnit, Workload, workload
from course_lib.catalog import ModelConfig

By = Literal["time", "cost", "tokens-per-dollar"]
ORDERS: tuple[By, ...] = ("time", "cost", "tokens-per-dollar")


@dataclass(frozen=True)
class Plans:
    """What a search found.

    Args:
        best: the best plans, in order.
        by: what they are ordered by.
        considered: layouts that passed the rules.
        timed: those that fit and were timed; the others were bounded away.
        dropped: reason -> how many combinations of degrees, or layouts, it excluded.
    """

    best: tuple[Prediction, ...]
    by: By
    considered: int
    timed: int
    dropped: dict[str, int]


def plan(
    config: ModelConfig | str,
    clusters: Cluster | Sequence[Cluster],
    global_batch: int,
    *,
    batch_unit: BatchUnit = "sequences",
    sequence_length: int | None = None,
    by: By = "time",
    top: int = 10,
    tokens: float | None = None,
    fixed: Mapping[str, object] | None = None,
    software: Software | str = "modern",
    efficiency: Efficiency | None = None,
    dtype: str | None = None,
    reliability: Reliability | None = None,
) -> Plans:
    """Find the best layouts of a training run on one or several clusters.

    Args:
        config: a decoder's shape, or the name of one.
        clusters: one cluster, or several to choose among.
        global_batch: sequences (or tokens, see `batch_unit`) per optimizer step.
        batch_unit: "sequences" or "tokens".
        sequence_length: tokens per sequence; the model's context length when left out.
        by: "time" (seconds per step), "cost" (dollars per step) or "tokens-per-dollar". All count failures. On one
            cluster the three agree, since its price is per hour; between clusters time and money may not.
        top: how many plans to return.
        tokens: tokens of the whole run, for days and dollars.
        fixed: parts of the layout that are settled: {"tp": 8, "pp": 4, "zero": 1, "microbatch": 1, ...}.
        software: a training stack, or the name of a preset.
        efficiency: shares of the peaks; those of each chip's generation when left out.
        dtype: format of the weight matmuls.
        reliability: rates of failure; Llama 3's when left out.

    Returns:
        The best plans in order, and what was dropped. Of equally fast plans the one with less memory comes first, then
        the one with smaller groups, so the order is always the same.

    Raises:
        InfeasibleError: when no layout fits, naming the smallest shortfall and a remedy.
        ArithmeticInputError: for a number out of range, or money without a price.
        CatalogError: (a ValueError) for an unknown model, or a chip without the figures that a prediction needs.

    Source: the enumeration of Narayanan et al. 2021 (arXiv:2104.04473) section 3, widened by context and expert
        parallelism, ZeRO and recomputation.
    """
    check_choice("by", by, ORDERS)
    check_count("top", top)
    if tokens is not None:
        check_positive("tokens", tokens, "give the tokens of the run, e.g. 15e12")
    settled = fixed_fields(fixed or {})
    problems = [
        workload(
            config,
            cluster,
            global_batch,
            batch_unit=batch_unit,
            sequence_length=sequence_length,
            software=software,
            efficiency=efficiency,
            dtype=dtype,
        )
        for cluster in _several(clusters, by)
    ]
    rates, tally, best = reliability or Reliability(), Tally(), list[Timed]()
    losses = {w.cluster.name: expected_losses(w, rates) for w in problems}
    for w in problems:
        check_divides_devices(settled, w.cluster.devices, w.cluster.name)
        weight = losses[w.cluster.name].time_per_useful_time
        _sweep_one(w, settled, tally, top, weight if by == "time" else weight * (w.cluster.usd_per_hour or 0.0), best)
    if not best:
        raise_infeasible(problems, settled, tally)
    plans = tuple(
        describe(one.workload, one.layout, one.time, losses[one.workload.cluster.name], tokens) for one in best
    )
    return Plans(plans, by, tally.considered, tally.timed, dict(sorted(tally.dropped.items())))


def _sweep_one(
    w: Workload, settled: Mapping[str, object], tally: Tally, top: int, weight: float, best: list[Timed]
) -> None:
    """Tensor parallelism leaves its node only where nothing fits inside."""
    for outside_node in (False, True):
        rules, before = Rules(settled, outside_node=outside_node), tally.timed
        sweep(w, rules, tally, top, weight, best)
        fitted = tally.timed > before or tally.leanest is None
        if fitted or outside_node:
            tally.dropped.update(rules.dropped)
            return


def _several(clusters: Cluster | Sequence[Cluster], by: By) -> tuple[Cluster, ...]:
    several = (clusters,) if isinstance(clusters, Cluster) else tuple(clusters)
    if not several:
        raise ArithmeticInputError.of("clusters", several, "holds no cluster", "give at least one")
    names = [getattr(cluster, "name", cluster) for cluster in several]
    if len(set(names)) < len(names):
        raise ArithmeticInputError.of("clusters", names, "holds one twice", "name each cluster once")
    unpriced = [cluster.name for cluster in several if isinstance(cluster, Cluster) and cluster.usd_per_hour is None]
    if by != "time" and unpriced:
        raise ArithmeticInputError.of(
            "by", by, f"needs a price, which the catalog lacks for {', '.join(unpriced)}", "give usd_per_hour"
        )
    return several
