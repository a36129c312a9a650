"""Checks of logging: who called what (CloudTrail), who read which object (S3), who talked to whom (VPC flow logs).

The rules are those that AWS Config documents: multi-region-cloudtrail-enabled, cloud-trail-log-file-validation-enabled,
s3-bucket-logging-enabled, vpc-flow-logs-enabled.
Source: https://docs.aws.amazon.com/config/latest/developerguide/managed-rules-by-aws-config.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from course_lib.finops.aws import AwsError
from course_lib.finops.compliance.facts import Account, Bucket, Region, listed, read
from course_lib.finops.compliance.results import Finding, verdict


def trail_everywhere(account: Account) -> Iterator[Finding]:
    """One trail records every region, and is recording now."""
    trails = _trails(account)
    good = [trail["Name"] for trail in trails if trail.get("IsMultiRegionTrail") and _records(account, trail)]
    told = ", ".join(
        f"{trail['Name']} ({'all regions' if trail.get('IsMultiRegionTrail') else 'one region'}, "
        f"{'recording' if _records(account, trail) else 'stopped'})"
        for trail in trails
    )
    yield verdict(
        bool(good),
        "CloudTrail",
        told or "there is no trail",
        "make a trail with --is-multi-region-trail into a bucket that its readers can't write to, and start it",
    )


def trail_validated(account: Account) -> Iterator[Finding]:
    """Each trail writes digests, by which a log file that was changed or removed is found out."""
    for trail in _trails(account):
        on = bool(trail.get("LogFileValidationEnabled"))
        yield verdict(
            on,
            f"trail {trail['Name']}",
            f"LogFileValidationEnabled is {str(on).lower()}",
            f"aws cloudtrail update-trail --name {trail['TrailARN']} --enable-log-file-validation",
        )


def bucket_access_log(bucket: Bucket) -> Iterator[Finding]:
    """The bucket's requests are logged into another bucket. The one that receives logs would log itself forever."""
    receives = [one.name for one in bucket.account.buckets if one.name != bucket.name and _logs_to(one, bucket)]
    if receives and not bucket.log_target:
        yield Finding("not applicable", bucket.name, f"receives the access logs of {', '.join(receives)}")
        return
    yield verdict(
        bool(bucket.log_target),
        bucket.name,
        f"logs to {bucket.log_target}" if bucket.log_target else "no access log",
        "set server access logging to a bucket for logs, or record data events in CloudTrail and decide so in writing",
    )


def flow_logs(region: Region) -> Iterator[Finding]:
    """Each VPC has an active flow log, also the default one that AWS made."""
    logs = listed(region.ec2, "describe_flow_logs", "FlowLogs")
    watched = {log["ResourceId"] for log in logs if log.get("FlowLogStatus") == "ACTIVE"}
    for network in listed(region.ec2, "describe_vpcs", "Vpcs"):
        name = network["VpcId"]
        kind = "default VPC" if network.get("IsDefault") else "VPC"
        yield verdict(
            name in watched,
            name,
            f"{kind}, {'with' if name in watched else 'without'} an active flow log",
            "make a flow log for it" + (", or delete the default VPC if nobody uses it" if kind != "VPC" else ""),
        )


def _trails(account: Account) -> list[dict[str, Any]]:
    # without pages: AWS allows five trails in a region
    told = read(account.clients.client("cloudtrail"), "describe_trails") or {}
    return list(told.get("trailList", ()))


def _records(account: Account, trail: dict[str, Any]) -> bool:
    client = account.clients.client("cloudtrail", region=trail.get("HomeRegion"))
    return bool((read(client, "get_trail_status", Name=trail["TrailARN"]) or {}).get("IsLogging"))


def _logs_to(one: Bucket, target: Bucket) -> bool:
    try:
        return one.log_target == target.name
    except AwsError:  # that bucket's own finding says that it could not be seen
        return False
