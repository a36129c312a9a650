"""From running times to money: the lines of the account's bill, and Cost Explorer's way of asking for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from course_lib.finops.cloud import held_costs
from course_lib.finops.cloud.catalog_prices import known_price
from course_lib.finops.cloud.meter import Meter, Metered, days
from course_lib.finops.cloud.spot_prices import spot_price

HOUR = timedelta(hours=1)
SERVICE = "Amazon Elastic Compute Cloud - Compute"  # as Cost Explorer names it


@dataclass(frozen=True)
class Line:
    """What one instance, volume or address cost in one step of time.

    Attributes:
        start: of the step.
        hours: that were charged in it; 0 for what is not charged by the hour.
        usd: what it cost; 0 where nobody knows the price.
        priced: whether there is a price.
        dimensions: Cost Explorer's names for what it was: SERVICE, REGION, INSTANCE_TYPE, RESOURCE_ID, ...
        tags: the resource's.
        unit: "Hrs", or "GB-Mo" for a volume.
        quantity: of that unit.
    """

    start: datetime
    hours: float
    usd: float
    priced: bool
    dimensions: dict[str, str]
    tags: dict[str, str]
    unit: str = "Hrs"
    quantity: float = 0.0


def lines(meter: Meter, start: datetime, end: datetime, step: timedelta, now: datetime, account: str) -> Iterator[Line]:
    """The bill of an interval in steps of an hour or longer, as known at `now`.

    Args:
        meter: what ran, and what was held.
        start, end: the interval, with time zones.
        step: a multiple of an hour.
        now: what lies after it is not on the bill.
        account: the account's number.
    """
    for metered in meter.metered():
        span = metered.span(now)
        if not span or span[0] >= end or span[1] <= start:
            continue
        dimensions, tags = _dimensions(metered, account), metered_tags(metered)
        first = start + max(0, (span[0] - start) // step) * step  # the first step in which it ran
        for begin, until in days(first, min(end, now, span[1]), step):
            hours = metered.between(begin, until, now) / HOUR
            if hours:
                usd, priced = _usd(metered, begin, until, now)
                yield Line(begin, hours, usd, priced, dimensions, tags, "Hrs", hours)
    for held in meter.holdings.all():
        price = held_costs.price(held)
        if price is None:
            continue
        names, tags = held_costs.dimensions(held, account), _tags(held.thing)
        for begin, until in held_costs.steps(held, start, min(end, now), step):
            amount = held_costs.quantity(held, begin, until, now)
            if amount:
                unit, usd = price
                yield Line(begin, amount if unit == "Hrs" else 0.0, amount * usd, True, names, tags, unit, amount)


def metered_tags(metered: Metered) -> dict[str, str]:
    """An instance's tags as they are now."""
    return _tags(metered.instance)


def _tags(resource: Any) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in resource.get_tags()}


def total(found: Iterable[Line]) -> tuple[float, float]:
    """USD and hours of some lines."""
    usd = hours = 0.0
    for line in found:
        usd, hours = usd + line.usd, hours + line.hours
    return usd, hours


def _usd(metered: Metered, start: datetime, end: datetime, now: datetime) -> tuple[float, bool]:
    machine = metered.instance
    if machine.lifecycle == "spot":
        usd = 0.0
        span = metered.span(now)
        first = max(start, span[0].replace(minute=0, second=0, microsecond=0)) if span else end
        for begin, until in days(first, min(end, span[1]) if span else end, HOUR):
            price = spot_price(machine.instance_type, machine.region_name, machine.availability_zone or "", begin)
            if price is None:
                return 0.0, False
            usd += metered.between(begin, until, now) / HOUR * price
        return usd, True
    found = known_price(machine.instance_type, ("on_demand", machine.region_name), ("on_demand", None))
    return (0.0, False) if found is None else (metered.between(start, end, now) / HOUR * found[1], True)


def _dimensions(metered: Metered, account: str) -> dict[str, str]:
    machine = metered.instance
    spot = machine.lifecycle == "spot"
    return {
        "SERVICE": SERVICE,
        "REGION": machine.region_name,
        "AZ": machine.availability_zone or "",
        "INSTANCE_TYPE": machine.instance_type,
        "LINKED_ACCOUNT": account,
        "OPERATION": "RunInstances",
        "PURCHASE_TYPE": "Spot Instances" if spot else "On Demand Instances",
        "USAGE_TYPE": f"{'SpotUsage' if spot else 'BoxUsage'}:{machine.instance_type}",
        "RESOURCE_ID": machine.id,
    }
