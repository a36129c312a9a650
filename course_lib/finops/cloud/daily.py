"""The account's spend by day, for what looks at its history: forecasts and anomalies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from course_lib.finops.cloud.costs import Line, lines
from course_lib.finops.cloud.meter import Meter

DAY = timedelta(days=1)


def daily_lines(meter: Meter, first: date, after: date, known: datetime, account: str) -> list[Line]:
    """The bill's lines by day, for days that are complete at `known`.

    Args:
        meter: what ran and was held.
        first, after: the days, the second not included.
        known: what lies after it is not on the bill yet.
        account: the account's number.
    """
    start, end = midnight(first), min(midnight(after), midnight(known.date()))
    return list(lines(meter, start, end, DAY, known, account)) if start < end else []


def series(
    found: list[Line], first: date, after: date, keep: Callable[[Line], bool] = lambda line: True
) -> list[float]:
    """USD for each day from `first` to the day before `after`, of the lines that `keep` keeps."""
    usd: dict[date, float] = defaultdict(float)
    for line in found:
        if keep(line):
            usd[line.start.date()] += line.usd
    return [usd[first + number * DAY] for number in range((after - first).days)]


def midnight(day: date) -> datetime:
    """A day's first moment, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
