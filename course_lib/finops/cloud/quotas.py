"""Service Quotas for EC2's vCPUs, and launches that respect them; moto has neither.

A real account starts with 0 vCPUs of every accelerator family. This one starts with plenty, so that a lesson about
something else isn't about quotas; the back door sets a lower value, and a request for an increase is granted after a
day of the account's time. As on AWS: running on-demand instances count and stopped ones don't, spot has quotas of its
own, each region counts for itself, and a dry run doesn't look at quotas. Not covered: fleets and spot requests, whose
launches aren't counted against a quota. Source: https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from course_lib.finops.cloud.instances import account_of, moto_instance
from course_lib.finops.cloud.pages import page_of
from course_lib.finops.cloud.wire import ApiCall, ApiError
from course_lib.finops.errors import FinopsError
from course_lib.finops.guardrails import QUOTAS, Purchase, VcpuQuota, quota_by_code, quota_of_type

PLENTY = 1e8  # vCPUs of each quota that the practice account starts with, which nobody reaches
GRANTED_AFTER = timedelta(days=1)  # AWS promises no time; small increases often come within minutes, large ones in days
COUNTED = ("pending", "running")
SERVICE_NAME = "Amazon Elastic Compute Cloud (Amazon EC2)"
_NAMES = UUID("6f1c2f5e-6f0b-4b52-8f1e-0c1b5f5a7e11")


@dataclass
class Quotas:
    """What the account may run, and what it asked for."""

    values: dict[tuple[str, str], float] = field(default_factory=dict)  # by region and code: set at the back door
    requests: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)  # account, region, request

    def set(self, region: str, code: str, vcpus: float) -> None:
        """Set a quota by hand; what was asked for before is forgotten.

        Raises:
            FinopsError: for a code that isn't one, or a negative value.
        """
        quota_by_code(code)
        FinopsError.check_not_negative("vcpus", vcpus)
        self.values[region, code] = float(vcpus)
        self.requests = [asked for asked in self.requests if (asked[1], asked[2]["QuotaCode"]) != (region, code)]

    def of(self, account: str, region: str, code: str, now: datetime) -> float:
        """The vCPUs that an account may run in a region."""
        granted = [
            request["DesiredValue"]
            for asker, where, request in self.requests
            if (asker, where, request["QuotaCode"]) == (account, region, code) and _status(request, now) == "APPROVED"
        ]
        return float(max([self.values.get((region, code), PLENTY), *granted]))


def check_run(account: Any, call: ApiCall) -> None:
    """Refuse a launch above the quota; the smallest count decides, as on AWS."""
    if call.parameters.get("DryRun"):
        return
    kind = str(call.parameters.get("InstanceType") or "m1.small")  # EC2's default
    spot = (call.parameters.get("InstanceMarketOptions") or {}).get("MarketType") == "spot"
    _check(account, call, {kind: int(call.parameters.get("MinCount", 1))}, "spot" if spot else "on_demand")


def check_start(account: Any, call: ApiCall) -> None:
    """Refuse to start stopped instances above the quota."""
    if call.parameters.get("DryRun"):
        return
    counts: dict[str, int] = {}
    for name in call.parameters.get("InstanceIds", ()):
        machine = moto_instance(account_of(call), call.region, name)
        if machine is not None and machine._state.name not in COUNTED:
            counts[machine.instance_type] = counts.get(machine.instance_type, 0) + 1
    _check(account, call, counts, "on_demand")


def _check(account: Any, call: ApiCall, counts: dict[str, int], purchase: Purchase) -> None:
    needed: dict[str, int] = {}
    for kind, count in counts.items():
        if quota := quota_of_type(kind, purchase):
            needed[quota.code] = needed.get(quota.code, 0) + count * vcpus_of(kind)
    owner = account_of(call)
    for code, vcpus in needed.items():
        limit = account.quotas.of(owner, call.region, code, account.clock.now())
        if limit >= PLENTY or _in_use(owner, call.region, quota_by_code(code)) + vcpus <= limit:
            continue
        if purchase == "spot":
            raise ApiError("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
        raise ApiError(
            "VcpuLimitExceeded",
            f"You have requested more vCPU capacity than your current vCPU limit of {limit:.0f} allows for the "
            "instance bucket that the specified instance type belongs to. Please visit "
            "http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.",
        )


def vcpus_of(instance_type: str) -> int:
    """The vCPUs that a type has by default; 0 for one that moto doesn't know."""
    from moto.ec2.models.instance_types import INSTANCE_TYPES

    return int(INSTANCE_TYPES.get(instance_type, {}).get("VCpuInfo", {}).get("DefaultVCpus", 0))


def _in_use(owner: str, region: str, quota: VcpuQuota) -> int:
    from moto.ec2.models import ec2_backends

    total = 0
    for reservation in list(ec2_backends[owner][region].reservations.values()):
        for machine in reservation.instances:
            purchase: Purchase = "spot" if machine.lifecycle == "spot" else "on_demand"
            if machine._state.name in COUNTED and quota_of_type(machine.instance_type, purchase) == quota:
                total += vcpus_of(machine.instance_type)
    return total


def list_quotas(account: Any, call: ApiCall) -> dict[str, Any] | None:
    """Answer ListServiceQuotas for EC2."""
    if call.parameters["ServiceCode"] != "ec2":
        return None
    wanted = [quota for quota in QUOTAS if call.parameters.get("QuotaCode", quota.code) == quota.code]
    return page_of([_told(account, call, quota) for quota in wanted], call, "Quotas")


def get_quota(account: Any, call: ApiCall) -> dict[str, Any] | None:
    """Answer GetServiceQuota for EC2."""
    quota = _asked(call)
    return None if quota is None else {"Quota": _told(account, call, quota)}


def list_default_quotas(account: Any, call: ApiCall) -> dict[str, Any] | None:
    """Answer ListAWSDefaultServiceQuotas for EC2: AWS's own defaults, which this account doesn't start with."""
    if call.parameters["ServiceCode"] != "ec2":
        return None
    told = [{**_told(account, call, quota), "Value": float(quota.default)} for quota in QUOTAS]
    return page_of(told, call, "Quotas")


def get_default_quota(account: Any, call: ApiCall) -> dict[str, Any] | None:
    """Answer GetAWSDefaultServiceQuota for EC2."""
    quota = _asked(call)
    return None if quota is None else {"Quota": {**_told(account, call, quota), "Value": float(quota.default)}}


def request_increase(account: Any, call: ApiCall) -> dict[str, Any] | None:
    """Answer RequestServiceQuotaIncrease for EC2; one request for a quota may be open at a time."""
    quota = _asked(call)
    if quota is None:
        return None
    now, owner, wanted = account.clock.now(), account_of(call), float(call.parameters["DesiredValue"])
    for open_request in _requests(account, owner, call.region, quota.code):
        if _status(open_request, now) == "PENDING":
            raise ApiError("ResourceAlreadyExistsException", "Only one open service quota increase request is allowed.")
    if wanted <= account.quotas.of(owner, call.region, quota.code, now):
        raise ApiError("IllegalArgumentException", "The desired value must be greater than the current quota value.")
    told = _told(account, call, quota)
    request = {name: told[name] for name in ("ServiceCode", "ServiceName", "QuotaArn", "QuotaCode", "QuotaName")}
    number = len(account.quotas.requests)
    request |= {
        "Id": uuid5(_NAMES, f"{owner} {call.region} {quota.code} {number}").hex,
        "DesiredValue": wanted,
        "Created": now,
        "Requester": f'{{"accountId":"{owner}"}}',
        "Unit": "None",
        "GlobalQuota": False,
    }
    account.quotas.requests.append((owner, call.region, request))
    return {"RequestedQuota": _answer(request, now)}


def history(account: Any, call: ApiCall) -> dict[str, Any] | None:
    """Answer ListRequestedServiceQuotaChangeHistory, and the same by quota; the newest comes first."""
    if call.parameters.get("ServiceCode", "ec2") != "ec2":
        return {"RequestedQuotas": []}
    now = account.clock.now()
    found = _requests(account, account_of(call), call.region, call.parameters.get("QuotaCode"))
    told = [_answer(request, now) for request in reversed(found)]
    if status := call.parameters.get("Status"):
        told = [request for request in told if request["Status"] == status]
    return page_of(told, call, "RequestedQuotas")


def _requests(account: Any, owner: str, region: str, code: str | None) -> list[dict[str, Any]]:
    return [
        request
        for asker, where, request in account.quotas.requests
        if (asker, where) == (owner, region) and code in (None, request["QuotaCode"])
    ]


def _status(request: dict[str, Any], now: datetime) -> str:
    return "APPROVED" if now >= request["Created"] + GRANTED_AFTER else "PENDING"


def _answer(request: dict[str, Any], now: datetime) -> dict[str, Any]:
    status = _status(request, now)
    changed = request["Created"] + (GRANTED_AFTER if status == "APPROVED" else timedelta())
    return {**request, "Status": status, "LastUpdated": changed}


def _asked(call: ApiCall) -> VcpuQuota | None:
    if call.parameters["ServiceCode"] != "ec2":
        return None  # moto knows some of another service
    for quota in QUOTAS:
        if quota.code == call.parameters["QuotaCode"]:
            return quota
    raise ApiError("NoSuchResourceException", "The request failed because the specified quota does not exist.")


def _told(account: Any, call: ApiCall, quota: VcpuQuota) -> dict[str, Any]:
    owner = account_of(call)
    return {
        "ServiceCode": "ec2",
        "ServiceName": SERVICE_NAME,
        "QuotaArn": f"arn:aws:servicequotas:{call.region}:{owner}:ec2/{quota.code}",
        "QuotaCode": quota.code,
        "QuotaName": quota.name,
        "Value": account.quotas.of(owner, call.region, quota.code, account.clock.now()),
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }
