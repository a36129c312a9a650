"""What an instance costs, with the day and the place where that was said, from the catalog or from a price file."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from course_lib.catalog import CatalogError, Instance, Price, UnknownPriceError, instance
from course_lib.finops.prices.amounts import above_zero, exact
from course_lib.finops.prices.errors import PriceError, PriceUnknownError, check_count
from course_lib.finops.prices.price_files import PriceFile

STALE_AFTER_DAYS = 90  # AWS cut p5's price by 44 % between two looks two months apart, in April and June 2025


@dataclass(frozen=True)
class Quote:
    """The price of one instance for one hour, as somebody said it on some day.

    Args:
        instance: name of the type.
        region: where.
        purchase: `on_demand`, `spot` or `capacity_block`.
        usd_per_hour: of the whole instance.
        source: where the price was read.
        date: when the source said so.
        age_days: days since then.
        warning: "" for a price that is young enough, else why you should look again.
        zone: Availability Zone, for a spot price that was asked for by zone.
        note: what a reader must know.
    """

    instance: str
    region: str
    purchase: str
    usd_per_hour: Decimal
    source: str
    date: datetime.date
    age_days: int = 0
    warning: str = ""
    zone: str = ""
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON: amounts as text, so that no digit is lost."""
        return {**vars(self), "usd_per_hour": str(self.usd_per_hour), "date": self.date.isoformat()}


def price_of(
    name: str,
    *,
    purchase: str = "on_demand",
    region: str | None = None,
    prices: PriceFile | None = None,
    today: datetime.date | None = None,
    stale_after_days: int = STALE_AFTER_DAYS,
) -> Quote:
    """What an instance costs, newest observation.

    Args:
        name: instance type, as the catalog or the file knows it.
        purchase: `on_demand`, `spot` or `capacity_block`.
        region: where; None prefers us-east-1, else takes any region with a known price, and the quote says which.
        prices: a price file, read instead of the catalog.
        today: the day from which the price's age counts; this machine's when left out.
        stale_after_days: from which age on the quote carries a warning.

    Returns:
        The quote.

    Raises:
        PriceError: for an unknown instance or way of purchase.
        PriceUnknownError: when nobody published the price; says why and what to do.
    """
    check_count("stale_after_days", stale_after_days, minimum=0)
    row = _from_catalog(name, purchase, region) if prices is None else _from_file(name, purchase, region, prices)
    assert row.usd_per_hour is not None
    return _quote(row, today or datetime.datetime.now(datetime.UTC).date(), stale_after_days)


def given_price(name: str, usd_per_hour: float | Decimal, *, today: datetime.date | None = None) -> Quote:
    """A price of your own, such as your contract's.

    Raises:
        PriceError: unless it is above 0.
    """
    day = today or datetime.datetime.now(datetime.UTC).date()
    return Quote(name, "", "own price", above_zero("usd_per_hour", usd_per_hour), "given by the caller", day)


def canonical(name: str) -> Instance:
    """The catalog's instance of a name.

    Raises:
        PriceError: when there is none; suggests the nearest names.
    """
    if not isinstance(name, str):
        raise PriceError.of("instance", name, "is no name", "give one such as 'p5.48xlarge'")
    try:
        return instance(name)
    except CatalogError as error:
        raise PriceError(str(error)) from error


def _from_catalog(name: str, purchase: str, region: str | None) -> Price:
    machine = canonical(name)
    try:
        machine.usd_per_hour(purchase, region)
    except UnknownPriceError as error:
        raise PriceUnknownError(f"{error} Or: {_ask(purchase, machine.name, region or 'us-east-1')}.") from error
    except CatalogError as error:
        raise PriceError(str(error)) from error
    row = machine.price(purchase, region)
    assert row is not None
    return row


def _from_file(name: str, purchase: str, region: str | None, prices: PriceFile) -> Price:
    rows = [row for row in prices.rows if row.instance == name and row.purchase == purchase]
    wanted = [row for row in rows if region is None or row.region == region]
    row = newest(wanted)
    if row is None or row.usd_per_hour is None:
        where = f" in {region}" if region else ""
        why = f"{row.note} (read {row.date}: {row.source})" if row else "the file holds no such row"
        known = sorted({f"{one.instance} {one.purchase} in {one.region}" for one in prices.rows if one.usd_per_hour})
        remedy = f"{_ask(purchase, name, region or 'us-east-1')}, or give your own price; known: {', '.join(known)}"
        raise PriceUnknownError(f"unknown {purchase} price of {name!r}{where}: {why}. Remedy: {remedy}.")
    return row


def newest(rows: Iterable[Price]) -> Price | None:
    """The observation to believe: one with a price, of us-east-1, the latest; None of none."""
    return max(rows, key=lambda row: (row.usd_per_hour is not None, row.region == "us-east-1", row.date), default=None)


def _quote(row: Price, today: datetime.date, stale_after_days: int) -> Quote:
    age = row.age_days(today)
    warning = ""
    if age > stale_after_days:
        warning = (
            f"the {row.purchase} price of {row.instance} in {row.region} is {age} days old, more than "
            f"{stale_after_days}: {_ask(row.purchase, row.instance, row.region)}"
        )
    elif age < 0:
        warning = f"the {row.purchase} price of {row.instance} is dated {row.date}, after {today}: look at the clock"
    price = exact("usd_per_hour", row.usd_per_hour)
    return Quote(
        row.instance, row.region, row.purchase, price, row.source, row.date, age, warning=warning, note=row.note
    )


def _ask(purchase: str, name: str, region: str) -> str:
    command = f"course cost refresh FILE {name} --region {region}"
    if purchase == "capacity_block":  # its price belongs to an offering, which is in no list
        return f"{command} --purchase capacity_block asks DescribeCapacityBlockOfferings"
    return f"{command} asks AWS"


def warnings_of(quotes: Sequence[Quote | None]) -> list[str]:
    """The warnings of several quotes, each once, in their order."""
    return list(dict.fromkeys(quote.warning for quote in quotes if quote is not None and quote.warning))
