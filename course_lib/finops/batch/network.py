"""Where a fleet's machines stand: its subnets and security groups, looked up before anything is made.

Batch itself takes what it can't use, and says so later: an environment becomes INVALID, or jobs wait for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from course_lib.finops.aws import AwsError, Clients, one_line, pages
from course_lib.finops.batch.errors import BatchError
from course_lib.finops.batch.fleet import DEFAULT, Fleet

NOT_THERE = (".NotFound", ".Malformed", "InvalidParameterValue")  # how EC2's words for such an id end


def find_network(account: Clients, fleet: Fleet, region: str) -> Fleet:
    """The fleet with ids of subnets and security groups that are there; ("default",) becomes the default VPC's.

    Raises:
        BatchError: naming the field and how to find its value, when an id is not there, the region has no default VPC,
            or the groups belong to another VPC than the subnets.
        AwsError: if EC2 can't be asked.
    """
    ec2 = account.client("ec2", region=region)
    subnets = _subnets(ec2, fleet.subnets, region)
    networks = {one["VpcId"] for one in subnets}
    if len(networks) > 1:
        found = ", ".join(sorted(networks))
        raise BatchError.of("subnets", list(fleet.subnets), f"belong to several VPCs ({found})", "name one VPC's")
    (network,) = networks
    groups = _groups(ec2, fleet.security_groups, network, region)
    elsewhere = sorted(one["GroupId"] for one in groups if one["VpcId"] != network)
    if elsewhere:
        remedy = (
            f"write those that `{_command('security-groups', region)} --filters Name=vpc-id,Values={network}` shows"
        )
        raise BatchError.of("security_groups", elsewhere, f"are not in the subnets' VPC, {network}", remedy)
    places = sorted(subnets, key=lambda one: (one["AvailabilityZone"], one["SubnetId"]))
    in_order = [one["SubnetId"] for one in places] if fleet.subnets == DEFAULT else fleet.subnets
    return replace(fleet, subnets=tuple(in_order), security_groups=tuple(one["GroupId"] for one in groups))


def _subnets(ec2: Any, given: tuple[str, ...], region: str) -> list[dict[str, Any]]:
    if given != DEFAULT:
        return _by_id(ec2, "subnets", given, region)
    asked = {"Filters": [{"Name": "default-for-az", "Values": ["true"]}]}
    found = _all(ec2, "describe_subnets", "Subnets", f"looking for the default VPC's subnets in {region}", asked)
    if not found:
        remedy = f"write the ids that `{_command('subnets', region)}` shows, or make one: aws ec2 create-default-vpc"
        raise BatchError.of("subnets", given[0], f"finds no default VPC in {region}", remedy)
    return found


def _groups(ec2: Any, given: tuple[str, ...], network: str, region: str) -> list[dict[str, Any]]:
    if given != DEFAULT:
        return _by_id(ec2, "security_groups", given, region)
    asked = {"Filters": [{"Name": "vpc-id", "Values": [network]}, {"Name": "group-name", "Values": ["default"]}]}
    return _all(ec2, "describe_security_groups", "SecurityGroups", f"looking for the default group of {network}", asked)


def _by_id(ec2: Any, field: str, ids: Sequence[str], region: str) -> list[dict[str, Any]]:
    operation, key, argument = {
        "subnets": ("describe_subnets", "Subnets", "SubnetIds"),
        "security_groups": ("describe_security_groups", "SecurityGroups", "GroupIds"),
    }[field]
    found = []
    for one in dict.fromkeys(ids):  # each by itself, so that the message names the one that is wrong
        try:
            found += _all(ec2, operation, key, f"looking for {one} in {region}", {argument: [one]})
        except AwsError as error:
            if not error.code.endswith(NOT_THERE):
                raise
            what = f'write the ids that `{_command(field.replace("_", "-"), region)}` shows, or ["default"]'
            raise BatchError.of(field, one, f"is not there in {region} ({error.code})", what) from error
    return found


def _all(ec2: Any, operation: str, key: str, doing: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
    if argument := next((one for one in ("SubnetIds", "GroupIds") if one in asked), None):
        with one_line(doing):  # a page size and ids don't go together
            return list(getattr(ec2, operation)(**{argument: asked[argument]})[key])
    return [one for page in pages(ec2, operation, doing, **asked) for one in page[key]]


def _command(what: str, region: str) -> str:
    return f"aws ec2 describe-{what} --region {region}"
