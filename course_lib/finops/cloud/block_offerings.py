"""Capacity Blocks to look at: DescribeCapacityBlockOfferings over the catalog's dated prices.

Which days are free is drawn, the same for everybody who asks. A type and region for which the catalog has no dated
price has no offering: a fee would be a guess. None can be bought here. Source for the rules: "Find and purchase
Capacity Blocks", Amazon EC2 User Guide: days up to 14, then weeks up to 26, up to 64 instances, at most six offerings
within the next eight weeks, and every block ends at 11:30 UTC.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from course_lib.finops.cloud.catalog_prices import known_price
from course_lib.finops.cloud.instances import check_type
from course_lib.finops.cloud.wire import ApiCall, ApiError

DAY = timedelta(days=1)
AHEAD = 56 * DAY
MOST, LARGEST = 6, 64  # offerings in all; instances in one
ZONES = "abc"
FREE = 0.15  # of a zone's days


def block_offerings(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer DescribeCapacityBlockOfferings: the earliest few."""
    asked = call.parameters
    if asked.get("DryRun"):
        raise ApiError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)
    hours, count = int(asked.get("CapacityDurationHours") or 0), int(asked.get("InstanceCount") or 1)
    days, rest = divmod(hours, 24)
    if rest or not (1 <= days <= 14 or (days <= 182 and days % 7 == 0 < days)):
        raise _invalid(f"CapacityDurationHours {hours} must be in steps of a day to 14 days, or of 7 days to 182.")
    if not 1 <= count <= LARGEST:
        raise _invalid(f"InstanceCount {count} must be from 1 to {LARGEST}.")
    name = str(asked.get("InstanceType") or "")
    if not name:
        raise ApiError("MissingParameter", "The request must contain the parameter InstanceType.")
    check_type(account, call)
    price = known_price(name, ("capacity_block", call.region))
    found = [] if price is None else list(_offers(account.clock.now(), call, name, count, days, price[1]))[:MOST]
    first, most = int(asked.get("NextToken") or 0), int(asked.get("MaxResults") or MOST)
    following = {"NextToken": str(first + most)} if first + most < len(found) else {}
    return {"CapacityBlockOfferings": found[first : first + most], **following}


def _offers(now: datetime, call: ApiCall, name: str, count: int, days: int, usd: float) -> Iterator[dict[str, Any]]:
    start = now.replace(hour=11, minute=30, second=0, microsecond=0)
    start += DAY if start <= now else timedelta()
    after, until = (_time(call.parameters.get(key)) for key in ("StartDateRange", "EndDateRange"))
    while start <= now + AHEAD:
        end = start + days * DAY
        for zone in (call.region + letter for letter in ZONES):
            free = random.Random(f"{name} {zone} {start:%Y-%m-%d}").random() < FREE
            if free and (after is None or start >= after) and (until is None or end <= until):
                said = f"{name} {zone} {start.isoformat()} {days} {count}"
                yield {
                    "CapacityBlockOfferingId": f"cb-{hashlib.sha256(said.encode()).hexdigest()[:17]}",
                    "InstanceType": name,
                    "AvailabilityZone": zone,
                    "InstanceCount": count,
                    "StartDate": start,
                    "EndDate": end,
                    "CapacityBlockDurationHours": 24 * days,
                    "CapacityBlockDurationMinutes": 0,
                    "UpfrontFee": f"{usd * count * 24 * days:.2f}",
                    "CurrencyCode": "USD",
                    "Tenancy": "default",
                }
        start += DAY


def _time(value: datetime | None) -> datetime | None:
    return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidParameterValue", message)
