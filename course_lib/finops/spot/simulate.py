"""Thousands of runs of one job at once: each round takes every unfinished run through the life of one instance.

Within one life nothing is random, so how far a run gets before its interruption is a formula, and a round is a dozen
NumPy operations however many checkpoints it holds. `reference.py` does the same step by step, for one run, and the
tests hold the two equal run by run.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from course_lib.finops.spot.errors import SpotError, check_count
from course_lib.finops.spot.job import ROUNDING, SpotJob, SpotMarket
from course_lib.finops.spot.outcomes import COLUMNS, SimulatedRuns
from course_lib.finops.spot.traces import SECONDS_PER_HOUR, FloatArray, PriceTrace


@dataclass(eq=False)
class Draws:
    """The random numbers of a simulation, kept so that the reference can be given the same ones.

    Args:
        lifetimes: round k holds (runs,) seconds from launch to interruption.
        waits: round k holds (runs,) seconds from asking to launch.
        offsets: (runs,) position in the market's traces at which each run begins.
    """

    lifetimes: list[FloatArray] = field(default_factory=list)
    waits: list[FloatArray] = field(default_factory=list)
    offsets: FloatArray = field(default_factory=lambda: np.zeros(0))


def simulate(
    job: SpotJob,
    market: SpotMarket,
    *,
    runs: int = 10_000,
    seed: int = 0,
    deadline_seconds: float | None = None,
    max_launches: int = 20_000,
    draws: Draws | None = None,
) -> SimulatedRuns:
    """Simulate independent runs of a job on a spot market.

    Run i meets the same k-th life and wait for the same seed, whatever the job's interval or deadline: two policies
    simulated with one seed differ by the policy, not by luck (`paired_difference`).

    Args:
        job: the work and its checkpoints.
        market: interruptions, waits and prices.
        runs: how many.
        seed: of the random numbers.
        deadline_seconds: finish by then, counted from the start. Before each launch the run asks whether on-demand
            instances, which are taken to come at once, could still finish in time if the coming segment were lost;
            if not, it moves to them for good and so is never late. None stays on spot.
        max_launches: give up on a run that needs more.
        draws: filled with the random numbers that were used.

    Returns:
        The runs.

    Raises:
        SpotError: when even on-demand instances from the start would be late, when the market has no on-demand price
            for a deadline, or when a run needs more than `max_launches` instances.

    Source: the deadline rule is the safety net of Wu et al. 2024, "Can't Be Late" (NSDI '24): leave spot when the slack
    is used up; here the slack that one lost segment would take is kept in reserve.
    """
    check_count("runs", runs)
    check_count("max_launches", max_launches)
    check_deadline(job, market, deadline_seconds)
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(3)]
    state = _State(job, market, runs, deadline_seconds)
    if length := market.clock_length_seconds():
        state.offsets = streams[2].uniform(0, length, runs)
    kept = draws if draws is not None else Draws()
    kept.offsets = state.offsets
    for launch in range(max_launches):
        if not state.unfinished.size:
            break
        waits = market.waits.waits(runs, streams[1])
        launched = state.launches_after(waits)
        lifetimes = state.cut_by_price(market.interruptions.lifetimes(launched + state.offsets, streams[0]), launched)
        if draws is not None:
            draws.waits.append(waits)
            draws.lifetimes.append(lifetimes)
        state.live_through(launched, lifetimes, first=launch == 0)
    if state.unfinished.size:
        limit = f"launches did not finish {state.unfinished.size} of {runs} runs"
        mean = market.interruptions.mean_seconds
        remedy = f"interruptions come every {mean:g} s on average: checkpoint more often or restart faster"
        raise SpotError.of("max_launches", max_launches, limit, remedy)
    return SimulatedRuns(useful_seconds=job.useful_seconds, **{name: getattr(state, name) for name in COLUMNS})


def check_deadline(job: SpotJob, market: SpotMarket, deadline_seconds: float | None) -> None:
    """Raise `SpotError` unless on-demand instances could meet the deadline from the start."""
    if deadline_seconds is None:
        return
    if market.on_demand_usd_per_hour is None:
        remedy = "give on_demand_usd_per_hour, the price of the fallback"
        raise SpotError.of("deadline_seconds", deadline_seconds, "needs on-demand instances to fall back on", remedy)
    if not deadline_seconds >= job.quiet_seconds:
        limit = f"is missed even on demand, which takes {job.quiet_seconds:g} s"
        raise SpotError.of("deadline_seconds", deadline_seconds, limit, "give a later one")


class _State:
    """Where each run stands: (runs,) arrays, and the indices of the runs that go on."""

    def __init__(self, job: SpotJob, market: SpotMarket, runs: int, deadline: float | None) -> None:
        self.job, self.market, self.deadline = job, market, deadline
        self.unfinished: NDArray[np.intp] = np.arange(runs)
        self.offsets = np.zeros(runs)
        self.saved = np.zeros(runs)
        self.finish_seconds = np.zeros(runs)  # the run's clock until it is done
        self.cost_usd = np.zeros(runs)
        self.lost_seconds = np.zeros(runs)
        self.interruptions = np.zeros(runs)
        self.waited_seconds = np.zeros(runs)
        self.spot_seconds = np.zeros(runs)
        self.on_demand_seconds = np.zeros(runs)
        self.free_seconds = np.zeros(runs)

    def launches_after(self, waits: FloatArray) -> FloatArray:
        """(runs,) moments of the next launch: capacity is there, and the price is not above the maximum."""
        launched = self.finish_seconds + waits
        price, most = self.market.usd_per_hour, self.market.max_usd_per_hour
        if most is not None and isinstance(price, PriceTrace):
            launched = price.next_time(launched + self.offsets, most, above=False) - self.offsets
        return launched

    def cut_by_price(self, lifetimes: FloatArray, launched: FloatArray) -> FloatArray:
        """(runs,) lifetimes that also end when the price rises above the maximum."""
        price, most = self.market.usd_per_hour, self.market.max_usd_per_hour
        if most is None or not isinstance(price, PriceTrace):
            return lifetimes
        position = launched + self.offsets
        return np.minimum(lifetimes, price.next_time(position, most, above=True) - position)

    def live_through(self, all_launched: FloatArray, all_lifetimes: FloatArray, *, first: bool) -> None:
        """Take each unfinished run from its last interruption to the next one, or to its end."""
        job = self.job
        boot = job.start_seconds if first else job.restart_seconds
        on, launched, lifetimes = self.unfinished, all_launched[self.unfinished], all_lifetimes[self.unfinished]
        todo = job.useful_seconds - self.saved[on]
        need = todo + np.ceil(todo / job.interval_seconds - ROUNDING) * job.checkpoint_seconds
        if self.deadline is not None:
            stays = self._fall_back(launched, todo, need, boot, self.deadline)
            on, launched, lifetimes = on[stays], launched[stays], lifetimes[stays]
            todo, need = todo[stays], need[stays]
        done = boot + need <= lifetimes
        ran = np.where(done, boot + need, lifetimes)
        kept, lost = self._progress(lifetimes - boot, todo)
        self.saved[on] += np.where(done, todo, kept)
        self.lost_seconds[on] += np.where(done, 0.0, lost)
        self.interruptions[on] += ~done
        self.waited_seconds[on] += launched - self.finish_seconds[on]
        self.spot_seconds[on] += ran
        self.finish_seconds[on] = launched + ran
        billing, share = self.market.billing, self.market.taken_share
        charged = billing.billed_seconds(ran)
        free = (billing.billed_seconds(ran, ~done) == 0) & (charged > 0)
        self.free_seconds[on] += np.where(free, share * ran, 0.0)
        unpaid = np.where(free, share, 0.0)
        price = self.market.usd_per_hour
        if isinstance(price, PriceTrace):
            self.cost_usd[on] += (1 - unpaid) * price.cost(launched + self.offsets[on], charged)
        else:
            self.cost_usd[on] += (1 - unpaid) * price * charged / SECONDS_PER_HOUR
        self.unfinished = on[~done]

    def _progress(self, worked: FloatArray, todo: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Work saved and work lost by instances that are taken back `worked` seconds after their boot."""
        job = self.job
        interval, cycle = job.interval_seconds, job.interval_seconds + job.checkpoint_seconds
        until = np.maximum(worked - (job.notice_seconds if job.saves_on_notice else 0.0), 0.0)
        whole = np.floor(until / cycle)
        kept = whole * interval
        rest = np.minimum(until - whole * cycle, np.minimum(interval, todo - kept))  # work since the last checkpoint
        if job.saves_on_notice:
            return kept + rest, np.zeros_like(rest)
        return kept, rest

    def _fall_back(
        self, launched: FloatArray, todo: FloatArray, need: FloatArray, boot: float, deadline: float
    ) -> NDArray[np.bool_]:
        """Finish on demand the runs that can't afford to lose a segment; returns which ones stay on spot."""
        job, on = self.job, self.unfinished
        at_risk = np.minimum(todo, job.interval_seconds) + job.checkpoint_seconds
        if job.saves_on_notice:
            at_risk = np.maximum(at_risk, job.notice_seconds)
        latest = deadline - need - boot - job.restart_seconds - at_risk
        stays = launched <= latest
        clock = self.finish_seconds[on]
        begins = np.maximum(clock, latest)[~stays]
        leaving, ran = on[~stays], boot + need[~stays]
        self.waited_seconds[leaving] += begins - clock[~stays]
        self.on_demand_seconds[leaving] += ran
        self.finish_seconds[leaving] = begins + ran
        self.saved[leaving] = job.useful_seconds
        price = self.market.on_demand_usd_per_hour or 0.0  # check_deadline has seen to it that there is one
        self.cost_usd[leaving] += price * self.market.billing.billed_seconds(ran) / SECONDS_PER_HOUR
        return stays
