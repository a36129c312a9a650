"""One spot run, event by event, as one would tell it: slow, short, and what `simulate` has to agree with.

Its events are the timeline of a run, for a figure.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from course_lib.finops.spot.job import ROUNDING, SpotJob, SpotMarket
from course_lib.finops.spot.simulate import check_deadline
from course_lib.finops.spot.traces import SECONDS_PER_HOUR, PriceTrace

EventKind = Literal["launched", "working", "checkpoint", "saved_on_notice", "interrupted", "on_demand", "finished"]


@dataclass(frozen=True)
class RunEvent:
    """One moment of a run.

    Args:
        seconds: when, from the start of the run.
        kind: what happened; "working" is the end of a boot, "checkpoint" the end of writing one.
        saved_seconds: work that is safe from then on.
    """

    seconds: float
    kind: EventKind
    saved_seconds: float


@dataclass(frozen=True)
class OneRun:
    """One run; the fields are those of `SimulatedRuns`, and `events` says what happened when."""

    finish_seconds: float
    cost_usd: float
    lost_seconds: float
    interruptions: int
    waited_seconds: float
    spot_seconds: float
    on_demand_seconds: float
    free_seconds: float
    events: tuple[RunEvent, ...]


def run_once(
    job: SpotJob,
    market: SpotMarket,
    *,
    lifetime: Callable[[int, float], float],
    wait: Callable[[int, float], float] = lambda launch, asked: 0.0,
    offset_seconds: float = 0.0,
    deadline_seconds: float | None = None,
) -> OneRun:
    """Play one run.

    Args:
        job: the work and its checkpoints.
        market: prices and billing; its interruptions and waits are not asked.
        lifetime: (number of the launch from 0, moment of the launch) → seconds until the interruption.
        wait: (number of the launch, moment of asking) → seconds until the launch.
        offset_seconds: where in the market's price trace the run begins.
        deadline_seconds: as for `simulate`.

    Returns:
        The run.

    Raises:
        SpotError: as for `simulate`.
    """
    check_deadline(job, market, deadline_seconds)
    clock: float = 0
    saved: float = 0
    cost, lost, waited, on_spot, free = 0.0, 0.0, 0.0, 0.0, 0.0
    events: list[RunEvent] = []
    launch = 0
    while True:
        boot = job.restart_seconds if launch else job.start_seconds
        launched = clock + wait(launch, clock)
        if deadline_seconds is not None:
            latest = _latest_launch(job, boot, saved, deadline_seconds)
            if launched > latest:
                begins = max(clock, latest)
                ran = boot + _time_to_finish(job, saved)
                events += [RunEvent(begins, "on_demand", saved), RunEvent(begins + ran, "finished", job.useful_seconds)]
                billed = float(market.billing.billed_seconds(float(ran)))
                cost += (market.on_demand_usd_per_hour or 0.0) * billed / SECONDS_PER_HOUR
                waited += begins - clock
                return OneRun(begins + ran, cost, lost, launch, waited, on_spot, ran, free, tuple(events))
        waited += launched - clock
        events.append(RunEvent(launched, "launched", saved))
        dies = launched + lifetime(launch, launched)
        clock, saved, unsaved, life = _live(job, launched, boot, saved, dies)
        events += life
        finished = life[-1].kind == "finished"
        ran = clock - launched
        bill = _price_of(market, offset_seconds + launched, float(market.billing.billed_seconds(float(ran))))
        if not finished and ran < market.billing.free_if_interrupted_within_seconds:
            bill -= market.taken_share * bill
            free += market.taken_share * ran
        cost += bill
        on_spot += ran
        lost += unsaved
        if finished:
            return OneRun(clock, cost, lost, launch, waited, on_spot, 0.0, free, tuple(events))
        launch += 1


def _live(
    job: SpotJob, launched: float, boot: float, saved: float, dies: float
) -> tuple[float, float, float, list[RunEvent]]:
    """One instance's life: when it ends, the work that is saved then, the work that is lost, and what happened."""
    notice = dies - job.notice_seconds if job.saves_on_notice else None
    if launched + boot + _time_to_finish(job, saved) <= dies:
        notice = None  # what ends before its interruption can ignore the notice
    clock = launched + boot
    events: list[RunEvent] = []
    if clock <= dies:
        events.append(RunEvent(clock, "working", saved))
    while True:
        step = min(job.interval_seconds, job.useful_seconds - saved)
        if notice is not None and clock + step + job.checkpoint_seconds > notice:
            # the notice comes during this piece of work, or while its checkpoint is written
            worked = min(max(notice - clock, 0), step)
            if worked:
                saved += worked
                events.append(RunEvent(max(notice, clock + worked) + job.checkpoint_seconds, "saved_on_notice", saved))
            return dies, saved, 0.0, [*events, RunEvent(dies, "interrupted", saved)]
        if clock + step + job.checkpoint_seconds > dies:
            return dies, saved, min(max(dies - clock, 0), step), [*events, RunEvent(dies, "interrupted", saved)]
        clock += step + job.checkpoint_seconds
        saved += step
        if job.useful_seconds - saved <= ROUNDING * job.interval_seconds:
            return clock, saved, 0.0, [*events, RunEvent(clock, "finished", saved)]
        events.append(RunEvent(clock, "checkpoint", saved))


def _time_to_finish(job: SpotJob, saved: float) -> float:
    todo = job.useful_seconds - saved
    return todo + math.ceil(todo / job.interval_seconds - ROUNDING) * job.checkpoint_seconds


def _latest_launch(job: SpotJob, boot: float, saved: float, deadline: float) -> float:
    """The last moment at which a spot launch may fail and leave time for on-demand instances."""
    at_risk = min(job.useful_seconds - saved, job.interval_seconds) + job.checkpoint_seconds
    if job.saves_on_notice:
        at_risk = max(at_risk, job.notice_seconds)
    return deadline - _time_to_finish(job, saved) - boot - job.restart_seconds - at_risk


def _price_of(market: SpotMarket, launched: float, billed: float) -> float:
    """Walk along the price trace, step by step."""
    trace = market.usd_per_hour
    if not isinstance(trace, PriceTrace):
        return trace * billed / SECONDS_PER_HOUR
    ends = [*trace.seconds[1:], trace.length_seconds]
    clock, left, cost = float(launched), billed, 0.0
    while left > 0:
        lap = math.floor(clock / trace.length_seconds) * trace.length_seconds
        within = clock - lap
        step = next(index for index, end in enumerate(ends) if within < end)
        stays = min(ends[step] - within, left)
        cost += float(trace.usd_per_hour[step]) * stays / SECONDS_PER_HOUR
        clock, left = lap + ends[step] if stays < left else clock + stays, left - stays
    return cost
