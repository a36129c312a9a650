"""From what is held to money: the bill's lines for volumes and public addresses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from course_lib.catalog import service_prices
from course_lib.finops.cloud.holdings import Held
from course_lib.finops.cloud.meter import days

HOUR = timedelta(hours=1)
# As Cost Explorer names them.
VOLUMES, ADDRESSES = "EC2 - Other", "Amazon Virtual Private Cloud"


def quantity(held: Held, start: datetime, end: datetime, now: datetime) -> float:
    """How many units an interval holds: gibibyte-months, each by its own month's length, or hours."""
    if held.kind == "address":
        return held.between(start, end, now) / HOUR
    size, months = float(held.thing.size), 0.0
    while start < end:
        first = start.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        after = (first + timedelta(days=32)).replace(day=1)
        months += held.between(start, min(after, end), now) / (after - first)
        start = after
    return size * months


def price(held: Held) -> tuple[str, float] | None:
    """Unit and USD per unit of something held; None where no price is known, so that it is not on the bill."""
    item = "public-ipv4" if held.kind == "address" else str(held.thing.volume_type)
    return next(((row.unit, row.usd) for row in service_prices() if row.item == item), None)


def dimensions(held: Held, account: str) -> dict[str, str]:
    """Cost Explorer's names for what it is."""
    thing, region = held.thing, held.thing.ec2_backend.region_name
    told = {"REGION": region, "LINKED_ACCOUNT": account, "INSTANCE_TYPE": "NoInstanceType", "RESOURCE_ID": thing.id}
    if held.kind == "volume":
        kind = str(thing.volume_type)
        named = {"SERVICE": VOLUMES, "AZ": thing.zone.name, "OPERATION": f"CreateVolume-{kind.capitalize()}"}
        return {**told, **named, "PURCHASE_TYPE": "", "USAGE_TYPE": f"EBS:VolumeUsage.{kind}"}
    use = "InUse" if thing.association_id else "Idle"
    named = {"SERVICE": ADDRESSES, "AZ": "", "OPERATION": "AllocateAddressVPC", "PURCHASE_TYPE": ""}
    return {**told, **named, "USAGE_TYPE": f"PublicIPv4:{use}Address"}


def steps(held: Held, start: datetime, end: datetime, step: timedelta) -> Iterator[tuple[datetime, datetime]]:
    """Those steps of an interval in which something was held."""
    for begin, until in days(start, end, step):
        if until > held.began and (held.ended is None or begin < held.ended):
            yield begin, until
