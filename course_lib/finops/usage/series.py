"""A series of spend in equal steps of time: what the detector of anomalies and the forecast read."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from course_lib.finops.errors import FinopsError

if TYPE_CHECKING:
    import pandas as pd

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@dataclass(frozen=True)
class SpendSeries:
    """Spend in equal steps, oldest first; a step without a bill is 0.

    Attributes:
        name: what it is of, such as "total" or "region=us-east-1".
        start: of the first step, in UTC.
        usd: of each step.
        incomplete: how many steps at the end are not on the bill in full yet.
        step: a day or an hour.

    Raises:
        FinopsError: for a start without time zone, a step that isn't a day or an hour, more incomplete steps than
            there are steps, or an amount that isn't finite.
    """

    name: str
    start: datetime
    usd: tuple[float, ...]
    incomplete: int = 0
    step: timedelta = DAY

    def __post_init__(self) -> None:
        if self.start.tzinfo is None:
            raise FinopsError.of("start", self.start.isoformat(), "names no time zone", "add +00:00 for UTC")
        if self.step not in (DAY, HOUR):
            raise FinopsError.of("step", str(self.step), "must be a day or an hour", "read DAILY or HOURLY usage")
        FinopsError.check_count("incomplete", self.incomplete, minimum=0)
        if self.incomplete > len(self.usd):
            raise FinopsError.of("incomplete", self.incomplete, f"is more than {len(self.usd)} steps", "count again")
        for number, usd in enumerate(self.usd):
            if not math.isfinite(usd):
                raise FinopsError.of(f"usd[{number}]", usd, "must be a finite number", "a step without a bill is 0")

    def __len__(self) -> int:
        return len(self.usd)

    @property
    def times(self) -> list[datetime]:
        """The beginnings of the steps."""
        return [self.start + number * self.step for number in range(len(self.usd))]

    @property
    def days(self) -> list[date]:
        """The beginnings of the steps as dates in UTC."""
        return [time.astimezone(UTC).date() for time in self.times]

    @property
    def end(self) -> datetime:
        """The end of the last step."""
        return self.start + len(self.usd) * self.step

    def complete(self) -> SpendSeries:
        """The series without the steps that are not on the bill in full yet."""
        return replace(self, usd=self.usd[: len(self.usd) - self.incomplete], incomplete=0)

    def frame(self) -> pd.DataFrame:
        """Columns date, usd, incomplete; one row a step."""
        import pandas as pd

        whole = len(self.usd) - self.incomplete
        flags = [number >= whole for number in range(len(self.usd))]
        return pd.DataFrame({"date": pd.to_datetime(self.times), "usd": self.usd, "incomplete": flags})


def daily(name: str, first: date, usd: list[float] | tuple[float, ...], incomplete: int = 0) -> SpendSeries:
    """A daily series from its first day, in UTC."""
    start = datetime(first.year, first.month, first.day, tzinfo=UTC)
    return SpendSeries(name, start, tuple(float(one) for one in usd), incomplete)
