"""Look at an account and say what would save money; reads only, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from course_lib.finops.aws import AwsError, Clients, aws_now, pages, usable_regions
from course_lib.finops.optimize.advice import Advice, Recommendation
from course_lib.finops.optimize.instance_rules import cheaper_work, idle, old_generation, oversized, spot_able
from course_lib.finops.optimize.leftover_rules import stopped_with_volumes, unattached_addresses, unattached_volumes
from course_lib.finops.optimize.machines import Machine, loose_addresses, machines_in, volumes_in
from course_lib.finops.optimize.settings import AdviceSettings
from course_lib.finops.optimize.utilization import METRICS, Metric, Usage, utilization


def recommend(
    account: Clients,
    *,
    regions: Iterable[str] | None = None,
    settings: AdviceSettings | None = None,
    metrics: Sequence[Metric] = METRICS,
) -> Advice:
    """What would save money in an account. Every call is a Describe, Get or List.

    An idle instance gets that one recommendation; another one may get several, of which at most one can be followed.

    Args:
        account: whose clients to use.
        regions: where to look; everywhere that is enabled when left out.
        settings: thresholds and prices.
        metrics: what tells how busy an instance is.

    Returns:
        Recommendations, and what could not be judged: instances without data, regions that refused.

    Raises:
        AwsError: when AWS can't even be asked for its time or regions.
    """
    settings = settings or AdviceSettings()
    now = aws_now(account)
    found: list[Recommendation] = []
    unmeasured: list[str] = []
    unseen: dict[str, str] = {}
    for region in list(regions) if regions is not None else usable_regions(account):
        try:
            here, blind = _region(account, region, now, settings, metrics)
        except AwsError as error:
            unseen[region] = str(error)
            continue
        found += here
        unmeasured += blind
    found.sort(key=lambda one: (one.usd_per_month is None, -(one.usd_per_month or 0.0), one.resource, one.kind))
    return Advice(now, settings.days, tuple(found), tuple(unmeasured), unseen)


def _region(
    account: Clients, region: str, now: datetime, settings: AdviceSettings, metrics: Sequence[Metric]
) -> tuple[list[Recommendation], list[str]]:
    machines, volumes = machines_in(account, region), volumes_in(account, region)
    running = [machine for machine in machines if machine.state == "running" and not machine.prepaid]
    since = now - timedelta(days=settings.days)
    usage = utilization(account, region, since, now, metrics) if running else {}
    wanted = {machine.instance_type for machine in running}
    spot = _spot_prices(account, region, wanted, now) if wanted else {}
    found: list[Recommendation] = []
    for machine in running:
        if machine.spot:  # what it costs, and so what ending it saves, is its spot price
            machine = replace(machine, usd_per_hour=spot.get(machine.instance_type))
        found += _of_machine(machine, usage, spot, since, settings)
    found += stopped_with_volumes(machines, volumes, settings.storage)
    found += unattached_volumes(volumes, region, settings.storage)
    found += unattached_addresses(loose_addresses(account, region), region, settings.storage)
    return found, [machine.id for machine in running if machine.id not in usage]


def _of_machine(
    machine: Machine, usage: dict[str, list[Usage]], spot: dict[str, float], since: datetime, settings: AdviceSettings
) -> list[Recommendation]:
    own = usage.get(machine.id, []) if machine.launched <= since else []
    nothing_to_do = idle(machine, own, settings)
    if nothing_to_do is not None:
        return [nothing_to_do]
    found = (
        oversized(machine, own, settings),
        cheaper_work(machine, settings),
        old_generation(machine, settings),
        spot_able(machine, spot.get(machine.instance_type), settings),
    )
    return [one for one in found if one is not None]


def _spot_prices(account: Clients, region: str, types: Iterable[str], now: datetime) -> dict[str, float]:
    """The lowest price in force now of each type, over the region's zones."""
    latest: dict[tuple[str, str], tuple[datetime, float]] = {}
    asked = {
        "InstanceTypes": sorted(types),
        "ProductDescriptions": ["Linux/UNIX"],
        "StartTime": now,
        "EndTime": now,
    }
    ec2 = account.client("ec2", region=region)
    for page in pages(ec2, "describe_spot_price_history", f"reading spot prices in {region}", **asked):
        for row in page["SpotPriceHistory"]:
            key = row["InstanceType"], row["AvailabilityZone"]
            told = row["Timestamp"], float(row["SpotPrice"])
            latest[key] = max(latest.get(key, told), told)
    cheapest: dict[str, float] = {}
    for (kind, _), (_, price) in latest.items():
        cheapest[kind] = min(price, cheapest.get(kind, price))
    return cheapest
