"""Labelled synthetic spend: a known pattern, known disturbances, and the days on which something really was wrong.

Made from a seed, so that a detector can be measured on traces that nobody looked at while choosing its thresholds. A
trace is weekday pattern times trend times noise (log-normal, so never negative) around a level of 200 to 5,000 USD a
day; into it go events, which are to be found, and nuisances, which are not: missing days, drops of the level, a storage
charge at each month's first day, a growth of at most 12 % a month. How often each comes is our choice, not a
measurement of real accounts; sizes begin where the thresholds of FinOps tools do, above a third of the level.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np

from course_lib.finops.usage import SpendSeries, daily

Kind = Literal["spike", "shift", "forgotten", "leak"]
KINDS: tuple[Kind, ...] = ("spike", "shift", "forgotten", "leak")
# Days after an event's beginning within which a report counts: what is there at once must be told at once, a leak has
# to have grown first.
DELAY: dict[Kind, int] = {"spike": 0, "shift": 2, "forgotten": 2, "leak": 21}
WARM = 42  # days at the beginning without events and without reports: the detector's past
GAP = 28  # days from an event's end to the next event's beginning


@dataclass(frozen=True)
class Event:
    """Something that was really wrong.

    Attributes:
        kind: "spike" (1 to 3 days), "shift" (stays), "forgotten" (an instance that runs for 4 to 14 days) or "leak"
            (grows for 21 to 40 days).
        first, last: numbers of its days, both part of it.
        usd: what it added in all; a shift in its first GAP days.
        late: days more than DELAY within which a report counts.
    """

    kind: Kind
    first: int
    last: int
    usd: float
    late: int = 0

    @property
    def until(self) -> int:
        """The last day on which a report counts as its detection."""
        return self.first + DELAY[self.kind] + self.late


@dataclass(frozen=True)
class Trace:
    """A series with the truth about it."""

    seed: int
    series: SpendSeries
    events: tuple[Event, ...]


def make_trace(
    seed: int,
    *,
    days: int = 180,
    kinds: tuple[Kind, ...] = KINDS,
    first: date = date(2026, 1, 1),
    noise: float | None = None,
    scale: float = 1.0,
    calm: int = 0,
) -> Trace:
    """One trace; the same seed gives the same one.

    Args:
        seed: of NumPy's generator.
        days: how many; the first WARM have no events.
        kinds: which events may be in it; () for a quiet one.
        first: its first day.
        noise: standard deviation of the logarithm of a day's spend; 0.03 to 0.08 by the seed when left out.
        scale: factor on the events' sizes: below 1 some are smaller than what the detector's thresholds let through.
        calm: days at the end in which no event begins, ends or goes on; a forecast can't know of one to come.
    """
    random = np.random.default_rng(seed)
    level = float(np.exp(random.uniform(np.log(200), np.log(5000))))
    spread = random.uniform(0.03, 0.08) if noise is None else noise
    number = np.arange(days)
    dates = [first + timedelta(days=int(one)) for one in number]
    usd = level * _week(random)[[day.weekday() for day in dates]] * (1 + random.uniform(-0.04, 0.12)) ** (number / 30)
    events = []
    place = WARM + int(random.integers(0, GAP))
    end = days - calm
    while kinds and place < end - 3:
        kind = kinds[int(random.integers(len(kinds)))]
        extra = scale * _event(kind, random, float(np.median(usd[place - 14 : place])))[: end - place]
        if kind != "leak" or len(extra) > 14:  # a leak that the trace's end cuts off has not become one
            usd[place : place + len(extra)] += extra
            last = place if kind == "shift" else place + len(extra) - 1
            if kind == "shift":
                usd[place + len(extra) :] += extra[-1]
            events.append(Event(kind, place, last, float(extra.sum())))
        place += len(extra) + GAP + int(random.integers(0, 14))
    usd = _drop(random, usd, [event.first for event in events])
    usd = usd * np.exp(random.normal(0, spread, days))
    usd += _storage(random, dates, level)
    for gap in random.choice(np.arange(7, days), size=int(random.integers(0, 4)), replace=False):
        if not any(event.first <= gap <= event.until for event in events):
            usd[gap] = 0.0  # the export was not delivered
    return Trace(seed, daily(f"trace {seed}", first, [round(float(one), 2) for one in usd]), tuple(events))


def _week(random: np.random.Generator) -> np.ndarray:
    """Factors of the weekdays, Monday first: shape (7,), mean 1."""
    weekend = random.uniform(0.4, 1.0)
    factors = np.array([*random.uniform(0.92, 1.08, 5), weekend, weekend * random.uniform(0.95, 1.05)])
    return np.asarray(factors / factors.mean())


def _event(kind: Kind, random: np.random.Generator, level: float) -> np.ndarray:
    """What an event adds, USD for each of its days: shape (days of the event,)."""
    if kind == "spike":
        return np.full(int(random.integers(1, 4)), level * random.uniform(0.5, 3.0))
    if kind == "shift":
        return np.full(GAP, level * random.uniform(0.4, 1.2))
    if kind == "forgotten":
        return np.full(int(random.integers(4, 15)), level * random.uniform(0.4, 1.5))
    length = int(random.integers(21, 41))
    return np.asarray(level * random.uniform(0.025, 0.06) * np.arange(1, length + 1))


def _drop(random: np.random.Generator, usd: np.ndarray, firsts: list[int]) -> np.ndarray:
    """In every third trace a team leaves, well before or after the events: nothing is wrong with that."""
    place = int(random.integers(GAP, len(usd)))
    share = random.uniform(0.6, 0.85)
    if random.random() > 1 / 3 or any(place - GAP < first < place + GAP for first in firsts):
        return usd
    return np.concatenate([usd[:place], usd[place:] * share])


def _storage(random: np.random.Generator, dates: list[date], level: float) -> np.ndarray:
    """In every third trace a charge on the first of each month, of about the same size."""
    charge = level * random.uniform(0.3, 0.8) if random.random() < 1 / 3 else 0.0
    return np.array([charge * random.uniform(0.95, 1.05) if day.day == 1 else 0.0 for day in dates])
