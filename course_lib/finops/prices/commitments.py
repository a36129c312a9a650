"""What is paid whether used or not: a commitment of a year or three, and a Capacity Block."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import Literal

from course_lib.finops.prices.amounts import Number, above_zero, exact
from course_lib.finops.prices.errors import PriceError, check_count, check_fleet

HOURS_PER_YEAR = 8_760
HOURS_PER_DAY = 24
BY_DAYS, BY_WEEKS, LONGEST_BLOCK = 14, 7, 182  # days: any number up to the first, then weeks
TERMINATED_BEFORE = Decimal("0.5")  # hours before its end, in which EC2 ends what still runs in a Capacity Block


@dataclass(frozen=True)
class Commitment:
    """A Reserved Instance or a Savings Plan against on-demand, for one instance.

    Args:
        on_demand_usd_per_hour: what an hour costs without it.
        usd_per_hour: what each hour of the term costs with it, used or not.
        upfront_usd: what is paid at the beginning.
        years: 1 or 3.

    Raises:
        PriceError: for an amount out of range, a term that isn't sold, or a commitment that costs nothing.

    Source: "Reserved Instances" and "Savings Plans", AWS documentation: both are charged for every hour of the term.
    """

    on_demand_usd_per_hour: Decimal
    usd_per_hour: Decimal
    upfront_usd: Decimal
    years: Literal[1, 3]

    def __post_init__(self) -> None:
        above_zero("on_demand_usd_per_hour", self.on_demand_usd_per_hour)
        exact("usd_per_hour", self.usd_per_hour)
        exact("upfront_usd", self.upfront_usd)
        if self.years not in (1, 3):
            raise PriceError.of("years", self.years, "is no term that AWS sells", "give 1 or 3")
        above_zero("the commitment's total", self.usd)

    @property
    def hours(self) -> int:
        """Hours of the term."""
        return self.years * HOURS_PER_YEAR

    @property
    def usd(self) -> Decimal:
        """All of it, used or not."""
        return self.upfront_usd + self.usd_per_hour * self.hours

    @property
    def break_even_utilisation(self) -> Decimal:
        """Share of the term's hours that you must use for it to pay; above 1 it never does."""
        return self.usd / (self.on_demand_usd_per_hour * self.hours)

    @property
    def break_even_hours_per_week(self) -> Decimal:
        """The same in hours of a week of 168."""
        return self.break_even_utilisation * 168

    @property
    def pays(self) -> bool:
        """Whether any use makes it pay."""
        return self.break_even_utilisation < 1

    def saving(self, utilisation: Number) -> Decimal:
        """What it saves over the term at a share of hours used; below 0 it loses.

        Raises:
            PriceError: for a share outside of 0 to 1.
        """
        share = exact("utilisation", utilisation)
        if share > 1:
            raise PriceError.of("utilisation", utilisation, "must be a share of at most 1", "write 0.7 for 70 %")
        return share * self.hours * self.on_demand_usd_per_hour - self.usd


def commitment(
    on_demand_usd_per_hour: Number, *, usd_per_hour: Number = 0, upfront_usd: Number = 0, years: int = 1
) -> Commitment:
    """A `Commitment` from plain numbers.

    Raises:
        PriceError: as for `Commitment`.
    """
    amounts = (above_zero("on_demand_usd_per_hour", on_demand_usd_per_hour), exact("usd_per_hour", usd_per_hour))
    return Commitment(*amounts, exact("upfront_usd", upfront_usd), years)  # type: ignore[arg-type]


@dataclass(frozen=True)
class BlockUse:
    """A Capacity Block of which only a part was used.

    Args:
        used_hours: hours in which its instances worked.
        stranded_usd: what the rest cost.
        usd_per_used_hour: of one instance.
        on_demand_usd: what the same hours cost on demand; None where that price is unknown.
    """

    used_hours: Decimal
    stranded_usd: Decimal
    usd_per_used_hour: Decimal
    on_demand_usd: Decimal | None


def block_days(hours: float) -> int | None:
    """Days of the shortest Capacity Block in which some hours of work fit; None if the longest is too short.

    Raises:
        PriceError: for hours that are negative or no number.

    Source: "Capacity Blocks for ML", Amazon EC2 User Guide: the lengths, and the last half hour that can't be used.
    """
    PriceError.check_not_negative("hours", hours)
    days = ceil((Decimal(str(hours)) + TERMINATED_BEFORE) / HOURS_PER_DAY)
    if days > BY_DAYS:
        days = ceil(Decimal(days) / BY_WEEKS) * BY_WEEKS
    return max(days, 1) if days <= LONGEST_BLOCK else None


@dataclass(frozen=True)
class CapacityBlock:
    """A Capacity Block for ML: paid in full when reserved, can't be changed or cancelled.

    Args:
        instances: how many.
        days: 1 to 14, or a multiple of 7 up to 182.
        usd_per_instance_hour: price of one instance for one hour; an offering states the whole as its upfront fee.

    Raises:
        PriceError: for a length that isn't sold, or numbers out of range.

    Source: "Capacity Blocks for ML", Amazon EC2 User Guide.
    """

    instances: int
    days: int
    usd_per_instance_hour: Decimal

    def __post_init__(self) -> None:
        check_fleet(self.instances)
        check_count("days", self.days)
        above_zero("usd_per_instance_hour", self.usd_per_instance_hour)
        if self.days > LONGEST_BLOCK or (self.days > BY_DAYS and self.days % BY_WEEKS):
            remedy = f"give 1 to {BY_DAYS} days, or a multiple of {BY_WEEKS} up to {LONGEST_BLOCK}"
            raise PriceError.of("days", self.days, "is no length that is sold", remedy)

    @property
    def hours(self) -> Decimal:
        """Hours that are paid."""
        return Decimal(self.days * HOURS_PER_DAY)

    @property
    def usable_hours(self) -> Decimal:
        """Hours until EC2 begins to terminate the instances, 30 minutes before the end."""
        return self.hours - TERMINATED_BEFORE

    @property
    def upfront_usd(self) -> Decimal:
        """All of it, due at once."""
        return self.idle_usd(self.hours)

    def idle_usd(self, hours: Number) -> Decimal:
        """What some hours cost in which nothing runs, such as a night: stopping saves nothing here.

        Raises:
            PriceError: for hours out of range.
        """
        return exact("hours", hours) * self.instances * self.usd_per_instance_hour

    def break_even_hours(self, on_demand_usd_per_hour: Number) -> Decimal:
        """Hours of use from which on the block is cheaper than on-demand; above `usable_hours` it never is.

        Raises:
            PriceError: for a price that isn't above 0.
        """
        return self.hours * self.usd_per_instance_hour / above_zero("on_demand_usd_per_hour", on_demand_usd_per_hour)

    def used(self, hours: Number, on_demand_usd_per_hour: Number | None = None) -> BlockUse:
        """What the block costs when its instances work for some hours only: an early finish, idle nights.

        Raises:
            PriceError: for no hours, or more than are usable.
        """
        worked = above_zero("hours", hours)
        if worked > self.usable_hours:
            limit = f"is more than the {self.usable_hours} usable hours"
            raise PriceError.of("hours", hours, limit, "reserve a longer block, or plan less")
        price = None if on_demand_usd_per_hour is None else above_zero("on_demand_usd_per_hour", on_demand_usd_per_hour)
        return BlockUse(
            used_hours=worked,
            stranded_usd=self.idle_usd(self.hours - worked),
            usd_per_used_hour=self.hours * self.usd_per_instance_hour / worked,
            on_demand_usd=None if price is None else worked * self.instances * price,
        )
