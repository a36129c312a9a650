"""What runs at this moment, times its price: the spend that no bill knows yet.

Cost Explorer is up to a day behind, budgets eight hours or more; a forgotten p5.48xlarge costs hundreds of dollars by
then. The estimate is of instances only (no disks, addresses, transfer), at the catalog's on-demand prices and at the
market's latest spot prices, before discounts. `reconcile` holds it against the bill.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from course_lib.catalog import CatalogError, instance
from course_lib.finops.aws import AwsError, Clients, aws_now, living_instances, pages, tags_of, usable_regions
from course_lib.finops.errors import FinopsError
from course_lib.finops.usage.bill import Usage

WORKERS = 8  # regions at a time
HOUR = timedelta(hours=1)
GROUPS = ("owner", "project", "region", "instance_type", "purchase")


@dataclass(frozen=True)
class RunningInstance:
    """An instance that is charged at this moment.

    Attributes:
        id, region, zone, instance_type: as EC2 tells them.
        owner, project: its tags; "" without.
        purchase: "on_demand", "spot" or "capacity_block".
        since: its last start, in UTC.
        usd_per_hour: None where nobody knows the price, as of a Capacity Block, which is paid when it is reserved.
    """

    id: str
    region: str
    zone: str
    instance_type: str
    owner: str
    project: str
    purchase: str
    since: datetime
    usd_per_hour: float | None


@dataclass(frozen=True)
class Running:
    """All instances that are charged at a moment.

    Attributes:
        now: AWS's time.
        instances: by region and id.
        unseen: regions that could not be looked at, with the reason.
    """

    now: datetime
    instances: tuple[RunningInstance, ...]
    unseen: dict[str, str]

    @property
    def usd_per_hour(self) -> float:
        """USD per hour of everything whose price is known."""
        return sum(one.usd_per_hour or 0.0 for one in self.instances)

    @property
    def unpriced(self) -> list[RunningInstance]:
        """What runs at a price that nobody knows: the total is at least this much too small."""
        return [one for one in self.instances if one.usd_per_hour is None]

    def by(self, *groups: str) -> dict[tuple[str, ...], float]:
        """USD per hour by "owner", "project", "region", "instance_type" or "purchase", the dearest first.

        Raises:
            FinopsError: for another group.
        """
        if unknown := [name for name in groups if name not in GROUPS]:
            raise FinopsError.of("group", unknown[0], "is not known", f"choose some of {', '.join(GROUPS)}")
        found: dict[tuple[str, ...], float] = {}
        for one in self.instances:
            keys = tuple(str(getattr(one, name)) for name in groups)
            found[keys] = found.get(keys, 0.0) + (one.usd_per_hour or 0.0)
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def unknown(self, *groups: str) -> set[tuple[str, ...]]:
        """The keys of `by` none of whose instances has a known price: the 0 that stands there is no price.

        Raises:
            FinopsError: for another group.
        """
        known = replace(self, instances=tuple(one for one in self.instances if one.usd_per_hour is not None))
        return self.by(*groups).keys() - known.by(*groups).keys()


def running_now(account: Clients, regions: Iterable[str] | None = None) -> Running:
    """Look at every region, and price what runs there; changes nothing.

    Args:
        account: whose.
        regions: where; every enabled region when left out.

    Raises:
        AwsError: if AWS tells neither its time nor its regions; a region that fails alone is named in the result.
    """
    now = aws_now(account)
    where = sorted(regions) if regions is not None else usable_regions(account)
    found: list[RunningInstance] = []
    unseen: dict[str, str] = {}
    with ThreadPoolExecutor(WORKERS) as pool:
        looks = {region: pool.submit(_look, account, region, now) for region in where}
        for region, look in looks.items():
            try:
                found += look.result()
            except AwsError as error:
                unseen[region] = str(error)
    return Running(now, tuple(sorted(found, key=lambda one: (one.region, one.id))), unseen)


@dataclass(frozen=True)
class Reconciled:
    """A project's estimate held against its bill over the same complete steps.

    Attributes:
        project: "" for what carries no tag.
        billed_usd: what Cost Explorer has.
        estimated_usd: price times hours of the instances that run now, since their last start.
        other_usd: the bill less the estimate: instances that have ended, disks, transfer. Well below 0 it says that
            the estimate's prices are too high for this account (discounts, Savings Plans, credits).
    """

    project: str
    billed_usd: float
    estimated_usd: float

    @property
    def other_usd(self) -> float:
        """See the class."""
        return self.billed_usd - self.estimated_usd


def reconcile(running: Running, usage: Usage) -> tuple[Reconciled, ...]:
    """The estimate against the bill, by project, the largest bill first.

    Args:
        running: what runs.
        usage: the bill by ("tag:project",); its incomplete steps are left out.

    Raises:
        FinopsError: for a bill with other groups.
    """
    if usage.by != ("tag:project",):
        raise FinopsError.of("usage.by", usage.by, "must be ('tag:project',)", 'read it with by=["tag:project"]')
    end = usage.start + (usage.steps - usage.incomplete) * usage.step
    billed: dict[str, float] = {}
    for row in usage.rows:
        if row.start < end:
            billed[row.keys[0]] = billed.get(row.keys[0], 0.0) + float(row.usd)
    estimated: dict[str, float] = {}
    for one in running.instances:
        hours = max(timedelta(), end - max(one.since, usage.start)) / HOUR
        estimated[one.project] = estimated.get(one.project, 0.0) + hours * (one.usd_per_hour or 0.0)
    rows = [
        Reconciled(project, billed.get(project, 0.0), estimated.get(project, 0.0))
        for project in {**billed, **estimated}
    ]
    return tuple(sorted(rows, key=lambda row: (-row.billed_usd, row.project)))


def _look(account: Clients, region: str, now: datetime) -> list[RunningInstance]:
    charged = [found for found in living_instances(account, region) if found["State"]["Name"] == "running"]
    spot = {found["InstanceType"] for found in charged if found.get("InstanceLifecycle") == "spot"}
    market = _spot_prices(account, region, sorted(spot), now) if spot else {}
    return [_running(found, region, market) for found in charged]


def _running(found: dict[str, Any], region: str, market: dict[tuple[str, str], float]) -> RunningInstance:
    tags = tags_of(found.get("Tags"))
    kind, zone = found["InstanceType"], found.get("Placement", {}).get("AvailabilityZone", "")
    purchase = {"spot": "spot", "capacity-block": "capacity_block"}.get(found.get("InstanceLifecycle", ""), "on_demand")
    price = {"spot": market.get((kind, zone)), "on_demand": _on_demand(kind, region)}.get(purchase)
    since = found["LaunchTime"].astimezone(UTC)
    told = (found["InstanceId"], region, zone, kind, tags.get("owner", ""), tags.get("project", ""))
    return RunningInstance(*told, purchase, since, price)


def _on_demand(kind: str, region: str) -> float | None:
    try:
        spec = instance(kind)
    except CatalogError:
        return None
    for where in (region, None):  # another region's price is nearer to the truth than none
        row = spec.price("on_demand", where)
        if row is not None and row.usd_per_hour is not None:
            return row.usd_per_hour
    return None


def _spot_prices(account: Clients, region: str, kinds: list[str], now: datetime) -> dict[tuple[str, str], float]:
    """The price in force now, by type and zone: a history from now on begins with it."""
    ec2 = account.client("ec2", region=region)
    asked = {"InstanceTypes": kinds, "ProductDescriptions": ["Linux/UNIX"], "StartTime": now, "EndTime": now}
    rows = [
        row
        for page in pages(ec2, "describe_spot_price_history", f"reading spot prices in {region}", **asked)
        for row in page["SpotPriceHistory"]
    ]
    rows.sort(key=lambda row: row["Timestamp"])
    return {(row["InstanceType"], row["AvailabilityZone"]): float(row["SpotPrice"]) for row in rows}
