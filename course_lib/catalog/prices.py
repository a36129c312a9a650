"""Prices as dated observations: the same instance has several rows, and a look-up returns the newest.

A price that nobody published stays empty and its note says why; a guess would be worse than a gap.
"""

import datetime
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo
from pydantic.dataclasses import dataclass

from course_lib.catalog.schema import ROW, Date, Positive, Text

FILE = "prices.csv"
KEY = ("instance", "region", "purchase", "os", "date")
DEFAULT_REGION = "us-east-1"

Purchase = Literal["on_demand", "spot", "capacity_block"]


def _explained(note: str, info: ValidationInfo) -> str:
    if info.data.get("usd_per_hour", 0) is None and not note.strip():
        raise ValueError("must say why the price is unknown when usd_per_hour is empty")
    return note


@dataclass(frozen=True, config=ROW)
class Price:
    """What one instance cost per hour, in one region, on one day.

    Args:
        instance: name of the instance type.
        region: the provider's region.
        purchase: `on_demand`, `spot` (a sample: spot prices move) or `capacity_block`.
        source: where the price was read.
        date: the day on which the source said so.
        usd_per_hour: for the whole instance, not per accelerator; None when unknown.
        os: operating system that the price includes.
        currency: always USD so far.
        note: what a reader must know; for an unknown price, why it is unknown.
    """

    instance: Text
    region: Text
    purchase: Purchase
    source: Text
    date: Date
    usd_per_hour: Positive | None = None
    os: Text = "linux"
    currency: Literal["USD"] = "USD"
    note: Annotated[str, Field(validate_default=True), AfterValidator(_explained)] = ""

    def age_days(self, today: datetime.date) -> int:
        """Days between the observation and `today` (passed in, so that a book built tomorrow says the same)."""
        return (today - self.date).days


def newest(prices: Iterable[Price], region: str | None) -> Price | None:
    """Choose the newest observation.

    Args:
        prices: observations of one instance and one way of purchase.
        region: the region, or None for us-east-1 where that price is known, else the newest known price anywhere.

    Returns:
        The newest row of the region; with None and no known price at all, the newest row that says why; None when
        there is no row.
    """
    rows = [p for p in prices if region is None or p.region == region]
    newest_by_region: dict[str, Price] = {}
    for row in sorted(rows, key=lambda p: p.date):
        newest_by_region[row.region] = row
    return max(newest_by_region.values(), key=_preference, default=None)


def _preference(price: Price) -> tuple[bool, bool, datetime.date, float]:
    known = price.usd_per_hour is not None
    return known, price.region == DEFAULT_REGION, price.date, -(price.usd_per_hour or 0.0)


def describe_unknown(instance: str, purchase: str, region: str | None, row: Price | None, rows: Sequence[Price]) -> str:
    """Say why a price is unknown and what to do.

    Args:
        instance: name of the instance.
        purchase: way of purchase that was asked for.
        region: region that was asked for, or None for any.
        row: the row that holds no price, if there is one.
        rows: every observation of the instance.

    Returns:
        The message.
    """
    where = f" in {region}" if region else ""
    why = f"{row.note} (read {row.date}: {row.source})" if row else "the catalog holds no such observation"
    known = sorted({(p.purchase, p.region) for p in rows if p.usd_per_hour is not None})
    listing = ", ".join(f"{p} in {r}" for p, r in known)
    instead = f"choose one that is known ({listing})" if known else "ask the provider's price list or its Pricing API"
    return (
        f"unknown {purchase} price of {instance!r}{where}: {why}. "
        f"Remedy: {instead}, or pass your own usd_per_hour to course_lib.arithmetic.run_cost()."
    )
