"""How good a detector is: recall and precision of events, with what counts as a hit written down.

An event is hit when a report begins on one of the days from its first to its last permitted one (`Event.until`). A
report is right when it is the first that hits its event; every other report is a false alarm, a second one about the
same event too, since a detector that repeats itself is not read. Reports about the first WARM days don't count.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from course_lib.finops.anomalies.traces import KINDS, WARM, Event, Kind


@dataclass(frozen=True)
class Score:
    """Counts of events and reports.

    Attributes:
        hits: events that were reported in time, by kind.
        events: all events, by kind.
        reports: all reports after the first WARM days.
    """

    hits: dict[Kind, int]
    events: dict[Kind, int]
    reports: int

    @property
    def recall(self) -> float:
        """Events that were hit, of all; 1 without events."""
        return sum(self.hits.values()) / sum(self.events.values()) if self.events else 1.0

    @property
    def precision(self) -> float:
        """Reports that were right, of all; 1 without reports."""
        return sum(self.hits.values()) / self.reports if self.reports else 1.0

    def __add__(self, other: Score) -> Score:
        return Score(_sum(self.hits, other.hits), _sum(self.events, other.events), self.reports + other.reports)


def score(reports: Sequence[int], events: Iterable[Event]) -> Score:
    """Hold the days on which reports began against the truth of one trace.

    Args:
        reports: numbers of days, from the trace's first.
        events: of the trace.
    """
    counted = [day for day in reports if day >= WARM]
    hits: dict[Kind, int] = {}
    all_: dict[Kind, int] = {}
    for event in events:
        all_[event.kind] = all_.get(event.kind, 0) + 1
        if any(event.first <= day <= event.until for day in counted):
            hits[event.kind] = hits.get(event.kind, 0) + 1
    return Score(hits, all_, len(counted))


def _sum(one: dict[Kind, int], other: dict[Kind, int]) -> dict[Kind, int]:
    return {kind: one.get(kind, 0) + other.get(kind, 0) for kind in KINDS if kind in one or kind in other}
