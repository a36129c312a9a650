"""Capacity Blocks for ML that can be reserved now, asked of AWS. Nothing here reserves one.

A block has no list price: an offering states its own fee, for a number of instances and a span of time, and the next
question may get another answer. Sources: "DescribeCapacityBlockOfferings", Amazon EC2 API Reference; "Find and purchase
Capacity Blocks", Amazon EC2 User Guide.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit

from course_lib.finops.aws import AwsError, Clients, aws_now, pages
from course_lib.finops.prices.commitments import CapacityBlock
from course_lib.finops.prices.errors import PriceError, PriceUnknownError
from course_lib.finops.prices.quotes import Quote

LARGEST = 64  # instances of one block
NOT_SOLD = ("InvalidParameterValue", "InvalidInstanceType", "Unsupported")  # of a type that has no blocks there


@dataclass(frozen=True)
class BlockOffer:
    """A Capacity Block that AWS offers: paid at once and in full when reserved, never changed or cancelled.

    Args:
        offering: its id, which a reservation names.
        instance: type.
        region, zone: where.
        instances: how many.
        start, end: when they can be used; EC2 ends what still runs some minutes before.
        upfront_usd: the fee for all of it.
        source: who said so.
        date: the day on which it was offered.
    """

    offering: str
    instance: str
    region: str
    zone: str
    instances: int
    start: datetime.datetime
    end: datetime.datetime
    upfront_usd: Decimal
    source: str
    date: datetime.date

    @property
    def hours(self) -> Decimal:
        """Its length."""
        return Decimal((self.end - self.start) // datetime.timedelta(seconds=1)) / 3600

    @property
    def usd_per_instance_hour(self) -> Decimal:
        """The fee divided by instances and hours, rounded to millionths of a dollar."""
        return round(self.upfront_usd / (self.instances * self.hours), 6)

    def quote(self) -> Quote:
        """The same as a price of one instance for one hour."""
        note = (
            f"{self.offering}: {self.instances} x {self.hours.normalize():f} h from {self.start:%Y-%m-%dT%H:%MZ}, "
            f"{self.upfront_usd:,} USD at once"
        )
        price = self.usd_per_instance_hour
        bought = "capacity_block"
        return Quote(self.instance, self.region, bought, price, self.source, self.date, zone=self.zone, note=note)


def ask_blocks(
    account: Clients,
    name: str,
    region: str,
    *,
    instances: int = 1,
    days: int = 1,
    earliest: datetime.datetime | None = None,
    latest: datetime.datetime | None = None,
) -> tuple[BlockOffer, ...]:
    """The Capacity Blocks that are offered now, the cheapest per instance and hour first; reads only.

    Args:
        account: real or practice; it needs ec2:DescribeCapacityBlockOfferings.
        name: instance type, exactly as AWS writes it.
        region: where.
        instances: 1 to 64, in one block.
        days: 1 to 14, or a multiple of 7 up to 182.
        earliest, latest: bounds of its start and its end; any within the next eight weeks when left out.

    Raises:
        PriceError: for a length or a number that isn't sold, or a fee that is no number.
        PriceUnknownError: when nothing is offered.
        AwsError: when the call is denied, throttled too often, or finds no credentials.
    """
    CapacityBlock(instances, days, Decimal(1))  # refuses what isn't sold
    if instances > LARGEST:
        raise PriceError.of(
            "instances", instances, f"is more than the {LARGEST} of one block", "ask for several blocks"
        )
    asked: dict[str, Any] = {"InstanceType": name, "InstanceCount": instances, "CapacityDurationHours": 24 * days}
    for key, moment in (("StartDateRange", earliest), ("EndDateRange", latest)):
        if moment is not None:
            if moment.tzinfo is None:
                raise PriceError.of(key, moment.isoformat(), "names no time zone", "add +00:00 for UTC")
            asked[key] = moment
    today = aws_now(account).date()
    ec2 = account.client("ec2", region=region)
    source = f"DescribeCapacityBlockOfferings at {urlsplit(ec2.meta.endpoint_url).hostname}"
    doing = f"asking for Capacity Blocks of {name} in {region}"
    try:
        answers = pages(ec2, "describe_capacity_block_offerings", doing, **asked)
        rows = [row for page in answers for row in page["CapacityBlockOfferings"]]
    except AwsError as error:
        if error.code in NOT_SOLD:
            raise PriceUnknownError(str(error)) from error
        raise
    found = [_offer(row, region, source, today) for row in rows if row.get("CurrencyCode", "USD") == "USD"]
    if not found:
        limit = f"has no Capacity Block on offer for {instances} x {days} d in {region} now"
        raise PriceUnknownError.of("instance", name, limit, "ask for other days, fewer instances or another region")
    return tuple(sorted(found, key=lambda one: (one.usd_per_instance_hour, one.start, one.offering)))


def _offer(row: dict[str, Any], region: str, source: str, day: datetime.date) -> BlockOffer:
    name = row["CapacityBlockOfferingId"]
    try:
        fee = Decimal(row["UpfrontFee"])
    except InvalidOperation:
        raise PriceError.of("UpfrontFee", row["UpfrontFee"], f"is no number, offering {name}", "ask again") from None
    if not fee.is_finite() or fee <= 0:
        raise PriceError.of("UpfrontFee", row["UpfrontFee"], f"must be above 0, offering {name}", "ask again")
    place = (region, row["AvailabilityZone"], row["InstanceCount"])
    return BlockOffer(name, row["InstanceType"], *place, row["StartDate"], row["EndDate"], fee, source, day)
