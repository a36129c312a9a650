"""One cluster's sweep: every layout in turn, memory before time, with the best few kept.

Three things keep a sweep of a thousand devices under two seconds. A microbatch's time at its stage, which many layouts
share, bounds a step from below, so what cannot reach the best few is skipped unseen; memory costs less than a timing,
so it comes first; and of one layout's ways of recomputation only the cheapest that fits is timed.
"""

from bisect import insort
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from course_lib.arithmetic.pipeline import Schedule
from course_lib.arithmetic.planner.candidates import (
    Degrees,
    Rules,
    degrees,
    layout_of,
    microbatch_sizes,
    schedules,
    sharings,
)
from course_lib.arithmetic.planner.layout import Layout
from course_lib.arithmetic.planner.memory import fullest_stage
from course_lib.arithmetic.planner.pace import pace
from course_lib.arithmetic.planner.step_time import StepTime, step_time
from course_lib.arithmetic.planner.workload import Workload
from course_lib.arithmetic.training_flops import RECOMPUTATIONS, Recomputation

OUT_OF_MEMORY = "out of memory"
TOO_SLOW = "slower than the best even with nothing exposed between stages and replicas"
REPEATS = "fits with less recomputation, which is faster"


@dataclass(frozen=True)
class Leanest:
    """The layout that lacks least memory."""

    missing_bytes: float
    layout: Layout
    microbatches: int
    workload: Workload


@dataclass
class Tally:
    """Running counts of a search.

    Args:
        considered: layouts that passed the rules.
        timed: those that were timed.
        dropped: reason -> how many it excluded: layouts, or, for rules, combinations of degrees.
        leanest: of the layouts out of memory, the one that lacks least.
    """

    considered: int = 0
    timed: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    leanest: Leanest | None = None


@dataclass(frozen=True)
class Timed:
    """One layout that fits: its place in the order (score, memory, then the simpler layout), and its step."""

    order: tuple[object, ...]
    workload: Workload
    layout: Layout
    time: StepTime


def sweep(w: Workload, rules: Rules, tally: Tally, top: int, weight: float, best: list[Timed]) -> None:
    """Merge one cluster's layouts into the best few.

    Args:
        w: the planning problem.
        rules: what may be tried.
        tally: counts, added to.
        top: how many to keep.
        weight: what one second of this cluster's step counts for in the order.
        best: the best so far, in order; changed in place.
    """
    for g, microbatch, recomputations, choices in _groups(w, rules):
        m = w.global_batch // g.data // microbatch
        floors = [weight * _floor(w, g, microbatch, r, m) for r in recomputations]
        tally.considered += len(choices) * len(recomputations)
        for schedule, sharing in choices:
            waiting = 1 + _least_bubble(schedule, g.pipeline, m)
            for i, recomputation in enumerate(recomputations):
                if len(best) == top and floors[i] * waiting > best[-1].order[0]:  # type: ignore[operator]
                    tally.dropped[TOO_SLOW] += len(recomputations) - i
                    break
                layout = layout_of(g, sharing, microbatch, recomputation, schedule)
                memory = sum(fullest_stage(w, layout, m))
                if _lacks(w, layout, m, memory, tally):
                    continue
                tally.dropped[REPEATS] += len(recomputations) - i - 1
                tally.timed += 1
                time = step_time(w, layout, m)
                insort(best, Timed((weight * time.seconds, memory, *_simplicity(layout)), w, layout, time), key=_order)
                del best[top:]
                break


def fits(w: Workload, rules: Rules) -> bool:
    """Whether any layout goes into memory."""
    limit = w.cluster.accelerator.memory_bytes
    return any(
        sum(fullest_stage(w, layout_of(g, sharing, microbatch, recomputation, schedule), m)) <= limit
        for g, microbatch, recomputations, choices in _groups(w, rules)
        for m in (w.global_batch // g.data // microbatch,)
        for schedule, sharing in choices
        for recomputation in recomputations
    )


def _groups(w: Workload, rules: Rules) -> Iterator[tuple[Degrees, int, list[Recomputation], list]]:  # type: ignore[type-arg]
    """(degrees, microbatch, ways of recomputation, (schedule, sharing) pairs): all layouts, in groups of equal pace"""
    recomputations = [r for r in RECOMPUTATIONS if rules.allows("recomputation", r)]
    for g in degrees(w, rules):
        shared = list(sharings(w, rules, g))
        for microbatch in microbatch_sizes(w, rules, g.data):
            m = w.global_batch // g.data // microbatch
            choices = [(schedule, sharing) for schedule in schedules(w, rules, g.pipeline, m) for sharing in shared]
            if choices and recomputations:
                yield g, microbatch, recomputations, choices


def _floor(w: Workload, g: Degrees, microbatch: int, recomputation: Recomputation, microbatches: int) -> float:
    one = pace(w, layout_of(g, (0, 0), microbatch, recomputation, ("1f1b", 1)))
    return microbatches * (one.forward_seconds + one.backward_seconds)


def _least_bubble(schedule: tuple[Schedule, int], stages: int, microbatches: int) -> float:
    """Bubble over ideal time of the schedules for which it does not depend on the passes' lengths; else 0"""
    return (stages - 1) / (microbatches * schedule[1]) if schedule[0] in ("1f1b", "gpipe", "interleaved") else 0.0


def _lacks(w: Workload, layout: Layout, microbatches: int, memory: float, tally: Tally) -> bool:
    missing = memory - w.cluster.accelerator.memory_bytes
    if missing <= 0:
        return False
    tally.dropped[OUT_OF_MEMORY] += 1
    if tally.leanest is None or missing < tally.leanest.missing_bytes:
        tally.leanest = Leanest(missing, layout, microbatches, w)
    return True


def _order(one: Timed) -> tuple[object, ...]:
    return one.order


def _simplicity(layout: Layout) -> tuple[object, ...]:
    """Settles ties: the layout with smaller groups first."""
    return (
        layout.pipeline_parallel, layout.tensor_parallel, layout.context_parallel, layout.expert_parallel,
        layout.zero_stage, layout.shard_parallel, layout.microbatch, layout.virtual_stages, layout.schedule,
        layout.recomputation,
    )  # fmt: skip
