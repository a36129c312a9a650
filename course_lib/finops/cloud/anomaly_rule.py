"""Which days of a daily series are out of line: a simple robust rule, and no more than a stand-in for AWS's.

AWS does not publish how its Cost Anomaly Detection decides. Here a day is compared with the median of the same weekday
in the eight weeks before it, and with how far days usually lie from such medians (1.4826 times the median absolute
residual, which for normal noise estimates its standard deviation). It is out of line if it lies above by more than
`TIMES` of that, by more than `SHARE` of what was expected, and by more than `FLOOR` dollars. A step to a new level is
therefore told for as long as most of the weeks before are on the old one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

WEEKS, LEAST = 8, 3  # weeks looked back, and how many of them there must be
TIMES, SHARE, FLOOR = 5.0, 0.4, 10.0
SIGMA = 1.4826


@dataclass(frozen=True)
class Spell:
    """Consecutive days out of line.

    Attributes:
        first, last: their indices in the series, both included.
        actual, expected: USD by day.
    """

    first: int
    last: int
    actual: tuple[float, ...]
    expected: tuple[float, ...]

    @property
    def impacts(self) -> tuple[float, ...]:
        """What each day cost more than expected, USD."""
        return tuple(got - due for got, due in zip(self.actual, self.expected, strict=True))


def spells(series: Sequence[float]) -> list[Spell]:
    """The spells of a series of daily spend, oldest first.

    Args:
        series: USD by day, without gaps; days up to the account's first are not evidence.
    """
    begin = (
        next((day for day, value in enumerate(series) if value), len(series)) + 1
    )  # the first may be a part of a day
    expected = {day: due for day in range(begin, len(series)) if (due := _expected(series, day, begin)) is not None}
    flagged = [day for day, due in expected.items() if _out_of_line(series, expected, day, due)]
    found: list[list[int]] = []
    for day in flagged:
        if found and found[-1][-1] == day - 1:
            found[-1].append(day)
        else:
            found.append([day])
    return [
        Spell(days[0], days[-1], tuple(series[day] for day in days), tuple(expected[day] for day in days))
        for days in found
    ]


def _expected(series: Sequence[float], day: int, begin: int) -> float | None:
    same = [series[day - 7 * week] for week in range(1, WEEKS + 1) if day - 7 * week >= begin]
    return median(same) if len(same) >= LEAST else None


def _out_of_line(series: Sequence[float], expected: dict[int, float], day: int, due: float) -> bool:
    earlier = [abs(series[other] - expected[other]) for other in range(day - 7 * WEEKS, day) if other in expected]
    noise = SIGMA * median(earlier) if earlier else 0.0
    return series[day] - due > max(TIMES * noise, SHARE * due, FLOOR)
