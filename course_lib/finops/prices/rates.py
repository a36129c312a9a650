"""A price per unit that may fall with the quantity: gigabyte-months of storage, gigabytes that leave, hours."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from decimal import Decimal

from course_lib.catalog import service_prices
from course_lib.finops.prices.amounts import Number, exact
from course_lib.finops.prices.errors import PriceError

LISTED = {"ebs-gp3": "gp3"}  # kind → item in the catalog's service_prices.csv


@dataclass(frozen=True)
class Tier:
    """A price for the units between two quantities.

    Args:
        begin: the first unit that it counts for.
        end: the unit at which it ends; None for no end.
        usd: for one unit.
    """

    begin: Decimal
    end: Decimal | None
    usd: Decimal


@dataclass(frozen=True)
class Rate:
    """What one unit costs, with the day and the place where that was said.

    Args:
        tiers: prices by quantity, from 0 upwards without a gap.
        unit: such as "GB-Mo" or "GB", as the price list writes it.
        source: where the price was read.
        date: when the source said so.

    Raises:
        PriceError: for tiers with a gap or an overlap, an end before the last, or no source.
    """

    tiers: tuple[Tier, ...]
    unit: str
    source: str
    date: datetime.date

    def __post_init__(self) -> None:
        if not self.source.strip():
            raise PriceError.of("source", self.source, "is empty", "say where the price was read")
        ends = [tier.end for tier in self.tiers]
        begins = [tier.begin for tier in self.tiers]
        if not self.tiers or begins != [Decimal(), *ends[:-1]] or ends[-1] is not None:
            shown = [f"{tier.begin} to {tier.end}" for tier in self.tiers]
            raise PriceError.of(
                "tiers", shown, "must go from 0 upwards without a gap, the last without end", "mend them"
            )

    def usd(self, quantity: Decimal) -> Decimal:
        """The price of a quantity: each unit at its own tier's price, as AWS charges tiers.

        Raises:
            PriceError: for a negative quantity.
        """
        left = exact("quantity", quantity)
        total = Decimal()
        for tier in self.tiers:
            upto = left if tier.end is None else min(left, tier.end)
            total += max(upto - tier.begin, Decimal()) * tier.usd
        return total


def flat_rate(usd: Number, unit: str, *, source: str, date: datetime.date) -> Rate:
    """The same price for every unit.

    Raises:
        PriceError: for a negative price, or no source.
    """
    return Rate((Tier(Decimal(), None, exact("usd", usd)),), unit, source, date)


def listed_rate(kind: str, region: str) -> Rate | None:
    """The catalog's price of a kind of storage or transfer in a region, or None: for most there is no dated source.

    Args:
        kind: such as "ebs-gp3".
        region: where.
    """
    for row in service_prices():
        if (row.item, row.region) == (LISTED.get(kind), region):
            return flat_rate(Decimal(str(row.usd)), row.unit, source=row.source, date=row.date)
    return None
