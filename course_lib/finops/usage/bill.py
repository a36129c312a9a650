"""The bill as Cost Explorer tells it, tidy: which step of time, which keys, how many dollars, and whether all of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from course_lib.finops.errors import FinopsError
from course_lib.finops.usage.series import SpendSeries

if TYPE_CHECKING:
    import pandas as pd

USD_PER_CALL = Decimal("0.01")  # https://aws.amazon.com/aws-cost-management/aws-cost-explorer/pricing/
LATE = timedelta(hours=24)  # Cost Explorer refreshes once every 24 hours at least; what is younger may be missing
Keys = tuple[str, ...]


@dataclass(frozen=True)
class UsageRow:
    """One key's spend in one step of time.

    Attributes:
        start: of the step, in UTC.
        keys: one for each group, in the groups' order; () without groups. An absent tag is "".
        usd: exactly as Cost Explorer wrote it.
    """

    start: datetime
    keys: Keys
    usd: Decimal


@dataclass(frozen=True)
class Usage:
    """Spend of an interval by step of time and key. Steps and keys without a row cost nothing.

    Attributes:
        start, end: the interval, in UTC; its end is not part of it.
        step: a day or an hour.
        by: the groups, such as ("service", "tag:project").
        rows: by time, then keys; a key that cost nothing has none.
        now: AWS's time at which it was read.
        calls: how often Cost Explorer was asked; each costs USD_PER_CALL.
        estimated: steps of which Cost Explorer says that they may still change. On AWS these are all of the open
            month, so it is `incomplete` that says which steps are not to be judged yet.
        late: how old the end of a step must be to count as complete.
    """

    start: datetime
    end: datetime
    step: timedelta
    by: tuple[str, ...]
    rows: tuple[UsageRow, ...]
    now: datetime
    calls: int
    estimated: frozenset[datetime] = field(default=frozenset())
    late: timedelta = LATE

    @property
    def empty(self) -> bool:
        """Whether nothing was spent at all."""
        return not any(row.usd for row in self.rows)

    @property
    def total(self) -> Decimal:
        """USD of the whole interval."""
        return sum((row.usd for row in self.rows), Decimal())

    @property
    def usd_of_reading(self) -> Decimal:
        """What the questions to Cost Explorer cost."""
        return self.calls * USD_PER_CALL

    @property
    def steps(self) -> int:
        """Steps in the interval."""
        return -((self.start - self.end) // self.step)

    @property
    def incomplete(self) -> int:
        """Steps at the end of the interval that are not on the bill in full yet."""
        whole = max(timedelta(), min(self.end, self.now - self.late) - self.start) // self.step
        return self.steps - whole

    def totals(self) -> dict[Keys, Decimal]:
        """USD by keys, the dearest first."""
        found: dict[Keys, Decimal] = {}
        for row in self.rows:
            found[row.keys] = found.get(row.keys, Decimal()) + row.usd
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def series(self, keys: Keys | None = None) -> SpendSeries:
        """The series of one key, or of all together; missing steps are zeros.

        Raises:
            FinopsError: for keys that are not as many as the groups.
        """
        if keys is not None and len(keys) != len(self.by):
            raise FinopsError.of("keys", keys, f"must be {len(self.by)}, one for each of {self.by}", "look at totals()")
        usd = [Decimal()] * self.steps
        for row in self.rows:
            if keys is None or row.keys == keys:
                usd[(row.start - self.start) // self.step] += row.usd
        name = "total" if keys is None else scope_name(self.by, keys)
        return self._series(name, usd)

    def _series(self, name: str, usd: list[Decimal]) -> SpendSeries:
        return SpendSeries(name, self.start, tuple(float(one) for one in usd), self.incomplete, self.step)

    def scopes(self) -> dict[str, SpendSeries]:
        """The series of each key, by name such as "region=us-east-1"."""
        usd = {keys: [Decimal()] * self.steps for keys in self.totals()}
        for row in self.rows:
            usd[row.keys][(row.start - self.start) // self.step] += row.usd
        found = [self._series(scope_name(self.by, keys), amounts) for keys, amounts in usd.items()]
        return {series.name: series for series in found}

    def frame(self) -> pd.DataFrame:
        """Columns date, one for each group, usd (float), estimated, incomplete; missing steps are rows of 0.

        Its shape is (steps * keys, 4 + groups), or (steps, 4) without groups.
        """
        import pandas as pd

        usd = {(row.start, row.keys): row.usd for row in self.rows}
        whole = self.steps - self.incomplete
        wanted = list(self.totals()) if self.by else [()]
        records = [
            (start, *keys, float(usd.get((start, keys), 0)), start in self.estimated, number >= whole)
            for number, start in enumerate(self.start + number * self.step for number in range(self.steps))
            for keys in wanted
        ]
        return pd.DataFrame(records, columns=["date", *self.by, "usd", "estimated", "incomplete"])

    def __str__(self) -> str:
        span = f"{self.start:%Y-%m-%d} to {self.end:%Y-%m-%d}"
        asked = f"calls of Cost Explorer: {self.calls}, {self.usd_of_reading} USD"
        if self.empty:
            return f"nothing was spent from {span} ({asked}); what runs now is on the bill within a day"
        return f"{self.total:,.2f} USD from {span}, the last {self.incomplete} steps incomplete ({asked})"


def scope_name(by: tuple[str, ...], keys: Keys) -> str:
    """The name of a key: "region=us-east-1", or "tag:project=(none)" where the tag is absent."""
    return " ".join(f"{group}={key or '(none)'}" for group, key in zip(by, keys, strict=True))


def merged(pages: list[Mapping[tuple[datetime, Keys], Decimal]]) -> tuple[UsageRow, ...]:
    """Rows of all pages in order; one step's groups may stand on several pages."""
    found: dict[tuple[datetime, Keys], Decimal] = {}
    for page in pages:
        for place, usd in page.items():
            found[place] = found.get(place, Decimal()) + usd
    return tuple(UsageRow(start.astimezone(UTC), keys, usd) for (start, keys), usd in sorted(found.items()) if usd)
