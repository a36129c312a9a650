"""Spot or on demand, and how often to checkpoint: the two decisions before a run, taken on simulated runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from course_lib.arithmetic import checkpoint_interval, spot_break_even, time_per_useful_time
from course_lib.finops.spot.errors import SpotError
from course_lib.finops.spot.job import SpotJob, SpotMarket
from course_lib.finops.spot.lifetimes import ExponentialInterruptions
from course_lib.finops.spot.outcomes import Estimate, SimulatedRuns, paired_difference
from course_lib.finops.spot.simulate import simulate
from course_lib.finops.spot.traces import SECONDS_PER_HOUR


@dataclass(frozen=True, eq=False)
class PurchaseComparison:
    """One run bought in two ways, or in three with a deadline.

    Args:
        on_demand_usd: without interruptions and without checkpoints.
        on_demand_seconds: how long that takes.
        spot: runs on spot alone, however late.
        guarded: runs on spot that fall back on demand before it is too late; None without a deadline.
        deadline_seconds: the deadline, or None.
        break_even_ratio: spot over on-demand price at which both cost the same, as simulated.
        formula_ratio: the same by Daly's formula, 1 / (E / W); None where the interruptions are not exponential. The
            formula knows no first boot, no waiting and no free first hours: the difference is what those are worth.
    """

    on_demand_usd: float
    on_demand_seconds: float
    spot: SimulatedRuns
    guarded: SimulatedRuns | None
    deadline_seconds: float | None
    break_even_ratio: float
    formula_ratio: float | None

    @property
    def saving(self) -> Estimate:
        """Share of the on-demand cost that spot saves on average; with a deadline, spot with its fallback."""
        cost = (self.guarded or self.spot).mean("cost_usd")
        return Estimate(1 - cost.value / self.on_demand_usd, cost.standard_error / self.on_demand_usd)

    @property
    def late_share(self) -> Estimate | None:
        """Share of the runs on spot alone that miss the deadline; None without one."""
        return None if self.deadline_seconds is None else self.spot.late_share(self.deadline_seconds)


def compare_purchase(
    job: SpotJob,
    market: SpotMarket,
    *,
    deadline_seconds: float | None = None,
    runs: int = 10_000,
    seed: int = 0,
) -> PurchaseComparison:
    """Compare a run on spot instances with the same run on demand.

    Args:
        job: the work and its checkpoints.
        market: with an on-demand price.
        deadline_seconds: when it has to be finished, or None.
        runs: simulated runs of each kind.
        seed: of the random numbers, the same for each kind.

    Returns:
        The comparison.

    Raises:
        SpotError: when the market has no on-demand price, or the deadline can't be met on demand either.
    """
    price = market.on_demand_usd_per_hour
    if price is None:
        raise SpotError.of("on_demand_usd_per_hour", None, "is missing", "give the price to compare with")
    seconds = job.start_seconds + job.useful_seconds
    on_demand = price * float(market.billing.billed_seconds(seconds)) / SECONDS_PER_HOUR
    spot = simulate(job, market, runs=runs, seed=seed)
    guarded = None
    if deadline_seconds is not None:
        guarded = simulate(job, market, runs=runs, seed=seed, deadline_seconds=deadline_seconds)
    formula = None
    if isinstance(market.interruptions, ExponentialInterruptions):
        mean, restart = market.interruptions.mean_seconds, job.restart_seconds
        formula = spot_break_even(
            time_per_useful_time(job.interval_seconds, job.checkpoint_seconds, mean, restart_seconds=restart)
        )
    ratio = market.mean_usd_per_hour / price * on_demand / spot.mean("cost_usd").value
    return PurchaseComparison(on_demand, seconds, spot, guarded, deadline_seconds, ratio, formula)


@dataclass(frozen=True)
class IntervalResult:
    """One checkpoint interval, simulated.

    Args:
        interval_seconds: T.
        finish_seconds: mean finishing time.
        against_daly: mean difference from Daly's interval in the same runs; above 0 is slower.
    """

    interval_seconds: float
    finish_seconds: Estimate
    against_daly: Estimate


@dataclass(frozen=True)
class IntervalStudy:
    """Checkpoint intervals compared on the same random interruptions.

    Args:
        tried: by interval.
        young: the result at Young's interval.
        daly: the result at Daly's.
    """

    tried: tuple[IntervalResult, ...]
    young: IntervalResult
    daly: IntervalResult

    @property
    def best(self) -> IntervalResult:
        """The interval with the least mean finishing time."""
        return min(self.tried, key=lambda result: result.finish_seconds.value)

    @property
    def gain(self) -> Estimate:
        """Mean share of the finishing time that the best interval saves against Daly's."""
        base = self.daly.finish_seconds.value
        difference = self.best.against_daly
        return Estimate(-difference.value / base, difference.standard_error / base)


def study_intervals(
    job: SpotJob,
    market: SpotMarket,
    *,
    factors: Sequence[float] = tuple(np.geomspace(0.25, 8, 21)),
    runs: int = 4_000,
    seed: int = 0,
) -> IntervalStudy:
    """Search the best interval by simulation and set it against Young's and Daly's.

    The formulas assume exponential interruptions and no notice. Lives of another shape change little: from a Weibull
    shape of 0.5 to one of 4, Daly's interval stays within 0.5 % of the best. A checkpoint on notice changes much: it
    saves what regular checkpoints are for, and the best interval becomes as long as you dare to trust the notice.

    Args:
        job: its own interval is not used.
        market: interruptions, waits and prices.
        factors: multiples of Daly's interval to try.
        runs: simulated runs for each interval, with the same random numbers.
        seed: of the random numbers.

    Returns:
        The study.

    Raises:
        SpotError: for a checkpoint time of 0, for which the best interval is 0, or no factor.
    """
    if not len(factors):
        raise SpotError.of("factors", list(factors), "is empty", "give multiples of Daly's interval: (0.5, 1, 2)")
    if not job.checkpoint_seconds:
        raise SpotError.of("checkpoint_seconds", 0, "makes every interval too long", "measure yours and give it")
    mean = market.interruptions.mean_seconds
    young = checkpoint_interval(job.checkpoint_seconds, mean).interval_seconds
    daly = checkpoint_interval(job.checkpoint_seconds, mean, method="daly").interval_seconds

    def simulated(interval: float) -> SimulatedRuns:
        return simulate(dataclasses.replace(job, interval_seconds=interval), market, runs=runs, seed=seed)

    base = simulated(daly)

    def result(interval: float) -> IntervalResult:
        found = base if interval == daly else simulated(interval)
        difference = paired_difference(found.finish_seconds, base.finish_seconds)
        return IntervalResult(interval, found.mean("finish_seconds"), difference)

    at_young, at_daly = result(young), result(daly)
    others = [result(float(factor) * daly) for factor in factors if factor != 1]
    tried = sorted([at_young, at_daly, *others], key=lambda one: one.interval_seconds)
    return IntervalStudy(tuple(tried), at_young, at_daly)
