"""One run's bill, explained: what each part cost, where its price comes from, and what nobody could price."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from course_lib.finops.prices.amounts import CENT, Number, above_zero, exact, in_cents
from course_lib.finops.prices.errors import PriceError, check_count, check_fleet
from course_lib.finops.prices.quotes import Quote
from course_lib.finops.prices.rates import Rate
from course_lib.finops.prices.times import RunTimes

SECONDS_PER_HOUR = Decimal(3600)
HOURS_PER_MONTH = Decimal(720)  # "30-day month" in the examples of https://aws.eu/ebs/pricing
PARTS = {
    "useful_seconds": "compute, useful",
    "lost_seconds": "compute, lost to failures and restarts",
    "checkpoint_seconds": "compute, writing checkpoints",
    "idle_seconds": "compute, idle",
}


@dataclass(frozen=True)
class StorageUse:
    """Storage that a run keeps: a volume, a bucket's objects.

    Args:
        what: such as "ebs-gp3" or "s3-standard".
        gb: gigabytes as AWS counts them; for a volume what was provisioned, used or not.
        hours: for how long. A volume is charged until it is deleted, also while its instance is stopped.
        rate: USD per GB-month; None when nobody could tell.
        count: how many of them, such as one volume for each instance.
    """

    what: str
    gb: Number
    hours: Number
    rate: Rate | None
    count: int = 1


@dataclass(frozen=True)
class TransferUse:
    """Data that moves over a border that AWS charges for.

    Args:
        what: such as "internet-out" or "between-zones".
        gb: gigabytes as the bill counts them: between zones both the sending and the receiving side are charged, so
            that a gigabyte that crosses counts twice.
        rate: USD per GB; None when nobody could tell.
    """

    what: str
    gb: Number
    rate: Rate | None


@dataclass(frozen=True)
class BillLine:
    """One part of a bill.

    Args:
        part: "compute, useful", ..., "storage", "transfer".
        what: the instance, the kind of storage or of transfer.
        quantity: how many units.
        unit: "instance-hours", "GB-Mo", "GB".
        exact_usd: the amount before rounding; None when the price is unknown.
        usd: in whole cents, so that the lines add up to the bill's total.
        source: where the price was read.
        date: when the source said so; None for an unknown price.
    """

    part: str
    what: str
    quantity: Decimal
    unit: str
    exact_usd: Decimal | None
    usd: Decimal | None
    source: str
    date: datetime.date | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON: amounts as text, so that no digit is lost."""
        told = {name: str(value) if isinstance(value, Decimal) else value for name, value in vars(self).items()}
        return {**told, "date": self.date.isoformat() if self.date else None}


@dataclass(frozen=True)
class Bill:
    """A run's bill.

    Args:
        lines: its parts; those of compute are always there, at 0 when nothing fell to them.
        warnings: what makes a price doubtful, such as its age.
    """

    lines: tuple[BillLine, ...]
    warnings: tuple[str, ...] = ()

    @property
    def usd(self) -> Decimal:
        """The total of everything with a known price, in whole cents."""
        return sum((line.usd for line in self.lines if line.usd is not None), Decimal("0.00"))

    @property
    def unknown(self) -> tuple[BillLine, ...]:
        """The lines that nobody could price: the real bill is higher."""
        return tuple(line for line in self.lines if line.usd is None)

    def of(self, part: str) -> Decimal:
        """The known amount of all lines of a part, such as "storage"."""
        return sum((line.usd for line in self.lines if line.part == part and line.usd is not None), Decimal("0.00"))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "usd": str(self.usd),
            "complete": not self.unknown,
            "lines": [line.as_dict() for line in self.lines],
            "warnings": list(self.warnings),
        }


def explain_bill(
    times: RunTimes,
    quote: Quote,
    *,
    instances: int = 1,
    storage: Sequence[StorageUse] = (),
    transfer: Sequence[TransferUse] = (),
) -> Bill:
    """What a run costs, part by part; the parts add up to the total to the cent.

    The four parts of compute are the same hours at the same price, divided by what happened in them. AWS rounds each
    launch up to the next second and charges a minute at least; for runs of hours that is below a cent and left out.

    Args:
        times: from `expected_times`, `measured_times` or your own log; of one instance, they all run together.
        quote: price of one instance; from `price_of`, `ask_on_demand` or `given_price`.
        instances: how many.
        storage: what is kept, and for how long.
        transfer: what leaves.

    Returns:
        The bill. A part without a known price stays a line without an amount and is left out of the total.

    Raises:
        PriceError: for a quantity out of range, or a rate of the wrong unit.
    """
    check_fleet(instances)
    lines = [_compute(part, getattr(times, field), quote, instances) for field, part in PARTS.items()]
    lines += [_storage(use) for use in storage]
    lines += [_line("transfer", use.what, above_zero("gb", use.gb), "GB", use.rate) for use in transfer]
    known = [i for i, line in enumerate(lines) if line.exact_usd is not None]
    cents = in_cents([exact("usd", lines[i].exact_usd) for i in known])
    for i, usd in zip(known, cents, strict=True):
        lines[i] = replace(lines[i], usd=usd)
    return Bill(tuple(lines), (quote.warning,) if quote.warning else ())


def _compute(part: str, seconds: float, quote: Quote, instances: int) -> BillLine:
    hours = exact("seconds", seconds) * instances / SECONDS_PER_HOUR
    usd = hours * quote.usd_per_hour
    return BillLine(
        part, f"{instances} x {quote.instance}", hours, "instance-hours", usd, None, quote.source, quote.date
    )


def _storage(use: StorageUse) -> BillLine:
    check = above_zero("gb", use.gb) * above_zero("hours", use.hours)
    check_count("count", use.count)
    what = f"{use.count} x {use.what}" if use.count > 1 else use.what
    return _line("storage", what, check * use.count / HOURS_PER_MONTH, "GB-Mo", use.rate)


def _line(part: str, what: str, quantity: Decimal, unit: str, rate: Rate | None) -> BillLine:
    if rate is None:
        return BillLine(part, what, quantity, unit, None, None, "unknown: ask the Price List or give your own", None)
    if rate.unit != unit:
        raise PriceError.of("unit", rate.unit, f"is not {unit}, in which {part} is counted", "give the right rate")
    return BillLine(part, what, quantity, unit, rate.usd(quantity), None, rate.source, rate.date)


def rounded(usd: Decimal) -> str:
    """An amount as people read it: 1,234.50."""
    return f"{usd.quantize(CENT):,}"
