"""The regions of this account: those of a new one and one more; moto tells of all regions of all parts of AWS."""

from __future__ import annotations

from typing import Any

from course_lib.finops.cloud.wire import ApiCall, ApiError

# Regions launched before March 20, 2019 are enabled by default; the others have to be enabled, which no lab does.
# https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html
DEFAULT_REGIONS = frozenset(
    [
        "ap-northeast-1",
        "ap-northeast-2",
        "ap-northeast-3",
        "ap-south-1",
        "ap-southeast-1",
        "ap-southeast-2",
        "ca-central-1",
        "eu-central-1",
        "eu-north-1",
        "eu-west-1",
        "eu-west-2",
        "eu-west-3",
        "sa-east-1",
        "us-east-1",
        "us-east-2",
        "us-west-1",
        "us-west-2",
    ]
)
# Enabled besides: Capacity Blocks of trn1 are sold there, the one price of the catalog outside the default regions.
OPTED_IN = frozenset({"ap-southeast-4"})
ENABLED = DEFAULT_REGIONS | OPTED_IN
FILTERS = {"region-name": "RegionName", "endpoint": "Endpoint", "opt-in-status": "OptInStatus"}


def describe_regions(account: Any, call: ApiCall) -> dict[str, Any] | None:
    """Answer DescribeRegions: the enabled ones, and with AllRegions the others of the commercial part of AWS, too.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html
    """
    if call.parameters.get("DryRun"):
        return None
    rows = [_row(name) for name in _commercial()]
    if names := call.parameters.get("RegionNames"):
        if wrong := sorted(set(names) - {row["RegionName"] for row in rows}):
            raise ApiError("InvalidParameterValue", f"Invalid region provided: {', '.join(wrong)}")
        rows = [row for row in rows if row["RegionName"] in names]
    elif not call.parameters.get("AllRegions"):
        rows = [row for row in rows if row["RegionName"] in ENABLED]
    for one in call.parameters.get("Filters") or ():
        if one["Name"] not in FILTERS:
            raise ApiError("InvalidParameterValue", f"The filter '{one['Name']}' is invalid")
        rows = [row for row in rows if row[FILTERS[one["Name"]]] in one["Values"]]
    return {"Regions": rows}


def check_region(call: ApiCall) -> None:
    """Refuse a region that is none or is not enabled: real EC2 does not know the account's credentials there."""
    if call.service != "ec2" or call.region in ENABLED:
        return
    if call.region in _commercial():
        raise ApiError("AuthFailure", "AWS was not able to validate the provided access credentials", 401)
    raise ApiError("AuthFailure", f"Credential should be scoped to a valid region, not '{call.region}'.", 401)


def _commercial() -> list[str]:
    from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend

    return [one.name for one in RegionsAndZonesBackend.regions if not one.name.startswith(("us-gov-", "cn-"))]


def _row(name: str) -> dict[str, Any]:
    status = "opt-in-not-required" if name in DEFAULT_REGIONS else "opted-in" if name in OPTED_IN else "not-opted-in"
    return {"RegionName": name, "Endpoint": f"ec2.{name}.amazonaws.com", "OptInStatus": status}
