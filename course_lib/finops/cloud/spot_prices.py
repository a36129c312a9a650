"""A spot price history to practise on: simulated, since a real one belongs to an account.

The level is the catalog's dated sample of the type and region where there is one, else the on-demand price times the
share that the one dated sample has (`SHARE`). Around it the logarithm of the price walks with a pull back to the
level, one step an hour, the same for everybody who asks. These prices show what code has to cope with; they are not a
market.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from course_lib.catalog import instances
from course_lib.finops.cloud.catalog_prices import known_price
from course_lib.finops.cloud.wire import ApiCall, ApiError

SHARE = 0.43  # p5en.48xlarge, us-east-1: 27.1988 of 63.296 USD/h, dstack's sample of 2026-08-06 in the catalog
PULL, SHAKE = 0.05, 0.02  # of the walk, an hour: it stays within about 12 % of its level
KEPT = timedelta(days=90)  # AWS keeps three months
ZONES = "abc"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def spot_price_history(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer DescribeSpotPriceHistory: newest first, with the price in force when the interval begins."""
    from moto.utilities.utils import get_partition

    asked = call.parameters
    if get_partition(call.region) != "aws":  # moto has the regions of every partition; an account has its own
        raise ApiError("AuthFailure", f"Credential should be scoped to a valid region, not '{call.region}'.", 401)
    if asked.get("DryRun"):
        raise ApiError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)
    now = account.clock.now()
    end = min(_time(asked.get("EndTime"), now), now)
    start = max(_time(asked.get("StartTime"), end), now - KEPT)
    wanted = asked.get("InstanceTypes") or _filter(asked, "instance-type") or sorted(set(instances()["name"]))
    zones = [asked["AvailabilityZone"]] if asked.get("AvailabilityZone") else _filter(asked, "availability-zone")
    for zone in zones:
        if zone not in {call.region + letter for letter in ZONES}:
            raise ApiError("InvalidParameterValue", f"Invalid availability zone: [{zone}]")
    products = asked.get("ProductDescriptions") or _filter(asked, "product-description") or ["Linux/UNIX"]
    found = []
    if "Linux/UNIX" in products:
        for name in wanted:
            for zone in zones or [call.region + letter for letter in ZONES]:
                found += list(_history(name, call.region, zone, start, end))
    found.sort(key=lambda row: row["Timestamp"], reverse=True)
    first = int(asked.get("NextToken") or 0)
    most = int(asked.get("MaxResults") or 1000)
    page = found[first : first + most]
    following = str(first + most) if first + most < len(found) else ""
    return {"SpotPriceHistory": page, "NextToken": following}


def _history(name: str, region: str, zone: str, start: datetime, end: datetime) -> Iterator[dict[str, Any]]:
    hour = start.replace(minute=0, second=0, microsecond=0)
    while hour <= end and (price := spot_price(name, region, zone, hour)) is not None:
        yield {
            "AvailabilityZone": zone,
            "InstanceType": name,
            "ProductDescription": "Linux/UNIX",
            "SpotPrice": f"{price:.6f}",
            "Timestamp": hour,
        }
        hour += timedelta(hours=1)


def spot_price(name: str, region: str, zone: str, at: datetime) -> float | None:
    """USD per hour of a type in a zone at a moment, or None where the catalog has no price to start from."""
    level = _level(name, region)
    return None if level is None else level * math.exp(_walk(name, zone, int((at - EPOCH) / timedelta(hours=1))))


def _level(name: str, region: str) -> float | None:
    found = known_price(name, ("spot", region), ("on_demand", region), ("on_demand", None))
    if found is None:
        return None  # AWS, too, gives an empty history for a type that nobody can rent
    purchase, price = found
    return price if purchase == "spot" else price * SHARE


@lru_cache(maxsize=200_000)
def _walk(name: str, zone: str, hour: int) -> float:
    """Where the walk stands in an hour; begins anew at zero each week, so that no hour needs a long past."""
    if hour % 168 == 0:
        return 0.0
    return _walk(name, zone, hour - 1) * (1 - PULL) + random.Random(f"{name} {zone} {hour}").gauss(0, SHAKE)


def _time(value: Any, otherwise: datetime) -> datetime:
    if value is None:
        return otherwise
    time: datetime = value if value.tzinfo else value.replace(tzinfo=UTC)
    return time


def _filter(asked: dict[str, Any], name: str) -> list[str]:
    return [value for entry in asked.get("Filters") or [] if entry["Name"] == name for value in entry["Values"]]
