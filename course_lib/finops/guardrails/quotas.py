"""Whether a launch fits into its vCPU quota, and the request for more, as a planned write.

RunInstances would say so too, but only when it is too late to wait for an answer from Service Quotas.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from course_lib.finops.aws import Clients, living_instances, one_line, pages
from course_lib.finops.guardrails.errors import GuardrailError
from course_lib.finops.guardrails.lines import Line
from course_lib.finops.guardrails.quota_codes import SERVICE, Purchase, VcpuQuota, quota_of_type
from course_lib.finops.guardrails.wanted import PlannedLaunch

OPEN = ("PENDING", "CASE_OPENED")
RUNNING = ("pending", "running")  # stopped instances don't count
MOST_TYPES = 100  # that DescribeInstanceTypes takes at once


@dataclass(frozen=True)
class QuotaCheck:
    """How a planned launch stands to its quota.

    Attributes:
        launch: what is planned.
        quota: the quota that counts it.
        limit: vCPUs that may run.
        in_use: vCPUs that run.
        needed: vCPUs of the launch.
        asked: the highest value that an open request asks for; None if none is open.
        beside: vCPUs of other launches that are planned in the same quota.
    """

    launch: PlannedLaunch
    quota: VcpuQuota
    limit: float
    in_use: int
    needed: int
    asked: float | None = None
    beside: int = 0

    @property
    def total(self) -> int:
        """vCPUs that would run: now, by the other planned launches, and by this one."""
        return self.in_use + self.beside + self.needed

    @property
    def fits(self) -> bool:
        """Whether the launch would be within the quota now."""
        return self.total <= self.limit

    @property
    def short(self) -> int:
        """vCPUs that are lacking; 0 where it fits."""
        return max(math.ceil(self.total - self.limit), 0)

    def __str__(self) -> str:
        what = f"{self.launch.count} x {self.launch.instance_type} ({self.launch.purchase}) in {self.launch.region}"
        others = f" and {self.beside} of other planned launches" if self.beside else ""
        sums = f"{self.needed} vCPUs beside {self.in_use} that run{others}, of {self.limit:,.0f}"
        verdict = "fits" if self.fits else f"lacks {self.short}"
        return f"{what} {verdict}: {sums} ({self.quota.code}, {self.quota.name})"


def check_quota(account: Clients, launch: PlannedLaunch, *, beside: int = 0) -> QuotaCheck:
    """Compare a planned launch with what may run and what runs; changes nothing.

    Args:
        account: whose.
        launch: what is planned.
        beside: vCPUs of other launches that are planned in the same quota.

    Raises:
        GuardrailError: if AWS names no quota for the type, or doesn't know it.
        AwsError: if AWS can't be asked.
    """
    quota = quota_of_type(launch.instance_type, launch.purchase)
    if quota is None:
        raise GuardrailError.of(
            "instance_type", launch.instance_type, f"has no published {launch.purchase} quota", "look in the console"
        )
    client = account.client("service-quotas", region=launch.region)
    with one_line(f"reading the quota {quota.code} in {launch.region}"):
        told = client.get_service_quota(ServiceCode=SERVICE, QuotaCode=quota.code)["Quota"]
    counts = _running(account, launch.region, quota)
    vcpus = _vcpus(account, launch.region, {launch.instance_type, *counts})
    in_use = sum(vcpus[kind] * count for kind, count in counts.items())
    asked = None
    needed = vcpus[launch.instance_type] * launch.count
    if in_use + beside + needed > told["Value"]:
        found = pages(
            client,
            "list_requested_service_quota_change_history_by_quota",
            f"reading what was asked for in {launch.region}",
            ServiceCode=SERVICE,
            QuotaCode=quota.code,
        )
        asked = max(
            (one["DesiredValue"] for page in found for one in page["RequestedQuotas"] if one["Status"] in OPEN),
            default=None,
        )
    return QuotaCheck(launch, quota, float(told["Value"]), in_use, needed, asked, beside)


def quota_line(account: Clients, check: QuotaCheck) -> Line:
    """The line of a plan that asks for a higher quota, if the launch needs one and nobody has asked for it yet."""
    name = f"{check.quota.code} in {check.launch.region}"
    if check.fits:
        return Line("nothing", "quota", name, str(check))
    wanted = check.total
    if check.asked is not None and check.asked >= wanted:
        return Line("nothing", "quota", name, f"{check}; {check.asked:,.0f} are asked for already, wait for the answer")
    if check.asked is not None:
        return Line("drift", "quota", name, f"{check}; an open request asks for {check.asked:,.0f} only: one at a time")
    client = account.client("service-quotas", region=check.launch.region)
    ask = partial(_ask, client, check.quota.code, float(wanted))
    return Line("update", "quota", name, f"{check}; ask for {wanted:,}", ask)


def quota_lines(account: Clients, launches: Iterable[PlannedLaunch]) -> Iterator[Line]:
    """The lines of all planned launches. Those in one quota count together, and the last of them asks for all.

    AWS takes one open request for a quota: a second one would fail, and what comes after it in a plan with it.
    """
    groups: dict[tuple[VcpuQuota | None, str], list[PlannedLaunch]] = {}
    for launch in launches:
        groups.setdefault((quota_of_type(launch.instance_type, launch.purchase), launch.region), []).append(launch)
    for group in groups.values():
        beside = 0
        for launch in group:
            check = check_quota(account, launch, beside=beside)
            beside += check.needed
            line = quota_line(account, check)
            if line.change == "update" and launch is not group[-1]:
                line = Line("nothing", line.kind, line.name, f"{check}; the last launch in this quota asks for all")
            yield line


def _ask(client: Any, code: str, wanted: float) -> None:
    client.request_service_quota_increase(ServiceCode=SERVICE, QuotaCode=code, DesiredValue=wanted)


def _running(account: Clients, region: str, quota: VcpuQuota) -> Counter[str]:
    """Types of the instances that a quota counts → how many of them run."""
    counts: Counter[str] = Counter()
    for found in living_instances(account, region):
        purchase: Purchase = "spot" if found.get("InstanceLifecycle") == "spot" else "on_demand"
        if found.get("InstanceLifecycle") == "capacity-block":
            continue  # paid for and counted apart
        if found["State"]["Name"] in RUNNING and quota_of_type(found["InstanceType"], purchase) == quota:
            counts[found["InstanceType"]] += 1
    return counts


def _vcpus(account: Clients, region: str, types: set[str]) -> dict[str, int]:
    """vCPUs of each type, as EC2 tells them."""
    ec2, names = account.client("ec2", region=region), sorted(types)
    vcpus: dict[str, int] = {}
    with one_line(f"looking up {', '.join(names)} in {region}"):
        for start in range(0, len(names), MOST_TYPES):
            told = ec2.describe_instance_types(InstanceTypes=names[start : start + MOST_TYPES])["InstanceTypes"]
            vcpus |= {one["InstanceType"]: one["VCpuInfo"]["DefaultVCpus"] for one in told}
    return vcpus
