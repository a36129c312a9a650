"""A FOCUS data set in memory: its columns, its rows as typed values, and the bill that they add up to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from course_lib.finops.focus.columns import COSTS
from course_lib.finops.focus.errors import FocusError
from course_lib.finops.focus.values import Value, kind_of

if TYPE_CHECKING:
    import pandas as pd

# Column name → value: Decimal for numbers, datetime in UTC for times, dict for Tags and SkuPriceDetails, else str.
Row = dict[str, Value]


@dataclass(frozen=True)
class FocusData:
    """Rows of charges.

    Attributes:
        columns: in the order of the file.
        rows: one dictionary each, by column name; None stands for null.
        source: where they were read, "" when they were made here.
    """

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    source: str = ""

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        """The rows in the order of the file."""
        return iter(self.rows)

    def total(self, cost: str = "EffectiveCost") -> Decimal:
        """The exact sum of a cost column, in the billing currency.

        Args:
            cost: "EffectiveCost" (what use costs, amortized), "BilledCost" (what the invoice says), "ListCost" or
                "ContractedCost".

        Raises:
            FocusError: for another column.
        """
        if cost not in COSTS:
            raise FocusError.of("cost", cost, "is no cost column", f"use one of {', '.join(COSTS)}")
        return sum((number(row, cost) for row in self.rows), Decimal(0))

    @property
    def currency(self) -> str:
        """The one billing currency; "USD" for no rows.

        Raises:
            FocusError: when rows are billed in several.
        """
        found = sorted({str(row.get("BillingCurrency")) for row in self.rows}) or ["USD"]
        if len(found) > 1:
            raise FocusError.of("BillingCurrency", ", ".join(found), "can't be added up", "split the data by currency")
        return found[0]

    def months(self) -> list[str]:
        """The billing periods that occur, as "2026-12", oldest first."""
        return sorted({month_of(row) for row in self.rows})

    def month(self, month: str) -> FocusData:
        """The rows of one billing period.

        Args:
            month: such as "2026-12".

        Raises:
            FocusError: when there is no row of it; names the months that are there.
        """
        found = tuple(row for row in self.rows if month_of(row) == month)
        if not found:
            there = ", ".join(self.months()) or "none"
            raise FocusError.of("month", month, f"has no rows; there are: {there}", "name one of these")
        return FocusData(self.columns, found, self.source)

    def frame(self) -> pd.DataFrame:
        """The rows as a pandas frame, one column each; numbers become floats, times stay in UTC, pairs stay dicts."""
        import pandas as pd

        told = {name: [row.get(name) for row in self.rows] for name in self.columns}
        return pd.DataFrame({name: _series(name, values) for name, values in told.items()})


def _series(name: str, values: list[Value]) -> Any:
    import pandas as pd

    if kind_of(name) == "time":
        return pd.to_datetime(pd.Series(values, dtype="object"), utc=True)
    return [float(value) if isinstance(value, Decimal) else value for value in values]


def number(row: Row, column: str) -> Decimal:
    """A number of a row; 0 where it is null."""
    value = row.get(column)
    return value if isinstance(value, Decimal) else Decimal(0)


def tags_of_row(row: Row) -> dict[str, Any]:
    """A row's tags; an AWS export's prefix of tags that users set ("user:") is left out."""
    tags = row.get("Tags")
    pairs: dict[str, Any] = tags if isinstance(tags, dict) else {}
    return {key.removeprefix("user:"): value for key, value in pairs.items()}


def month_of(row: Row) -> str:
    """A row's billing period, as "2026-12"."""
    start = row.get("BillingPeriodStart")
    return f"{start:%Y-%m}" if isinstance(start, datetime) else ""


def gather(parts: Iterable[FocusData], source: str) -> FocusData:
    """Several data sets as one, columns in the order of their first occurrence."""
    columns: dict[str, None] = {}
    rows: list[Row] = []
    for part in parts:
        columns.update(dict.fromkeys(part.columns))
        rows += part.rows
    return FocusData(tuple(columns), tuple(rows), source)
