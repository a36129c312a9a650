"""Labelled synthetic spend of a project that runs on one or two days a week: most of its days cost nothing.

What a run costs is log-normal around 60 to 800 USD; its days are the same ones each week, or any. Into it go events,
which are to be found, and nuisances, which are not: a week without a run, and in every second trace a disk that costs
something each day. As in `traces`, how often each comes and its size are our choice, not a measurement.
"""

from __future__ import annotations

from datetime import date

import numpy as np

from course_lib.finops.anomalies.traces import GAP, WARM, Event, Kind, Trace
from course_lib.finops.usage import daily

RARE_KINDS: tuple[Kind, ...] = ("spike", "shift", "forgotten")
LATE = 3  # days more in which a machine left on may be told of: runs on three days in a row can be the project's own


def make_rare_trace(
    seed: int, *, days: int = 240, kinds: tuple[Kind, ...] = RARE_KINDS, first: date = date(2026, 1, 1)
) -> Trace:
    """One trace; the same seed gives the same one.

    Args:
        seed: of NumPy's generator.
        days: how many; the first WARM have no events.
        kinds: which events may be in it: "spike" (one run costs 2 to 4 times as much), "shift" (from then on each run
            costs 1.7 to 2.5 times as much), "forgotten" (after a run the machine stays on for 4 to 14 days); () for a
            quiet trace.
        first: its first day.
    """
    random = np.random.default_rng(seed)
    run = float(np.exp(random.uniform(np.log(60), np.log(800))))
    disk = 0.02 * run if random.random() < 0.5 else 0.0
    usd = _runs(random, days) * run * np.exp(random.normal(0, random.uniform(0.03, 0.15), days))
    events: list[Event] = []
    place = WARM + int(random.integers(0, GAP))
    while kinds:
        ran = np.flatnonzero(usd[place:])
        if not len(ran) or (begin := place + int(ran[0])) > days - 18:
            break
        kind = kinds[int(random.integers(len(kinds)))]
        before, last, late = usd.copy(), begin, 0
        if kind == "spike":
            usd[begin] *= random.uniform(2, 4)
        elif kind == "shift":
            usd[begin:] *= random.uniform(1.7, 2.5)
            run *= float(usd[begin] / before[begin])
        else:
            begin, late = begin + 1, LATE
            last = begin + int(random.integers(4, 15)) - 1
            usd[begin : last + 1] += run * random.uniform(1, 3) * np.exp(random.normal(0, 0.03, last + 1 - begin))
        added = (usd - before)[begin : begin + GAP if kind == "shift" else last + 1]
        events.append(Event(kind, begin, last, float(added.sum()), late))
        place = last + GAP + int(random.integers(0, GAP))
    series = daily(f"rare {seed}", first, [round(float(one), 2) for one in usd + disk])
    return Trace(seed, series, tuple(events))


def _runs(random: np.random.Generator, days: int) -> np.ndarray:
    """1 on each day with a run, 0 on others; shape (days,)."""
    found = np.zeros(days)
    own = random.choice(7, int(random.integers(1, 3)), replace=False)
    fixed = random.random() < 0.5
    for week in range(0, days, 7):
        chosen = own if fixed else random.choice(7, int(random.integers(1, 3)), replace=False)
        if random.random() > 0.1:
            found[[day for day in week + chosen if day < days]] = 1.0
    return found
