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

GOOD = ("all regions", "recording")


def trail_everywhere(account: Account) -> Iterator[Finding]:
    """One trail records every region's management events, all of them, and is recording now."""
    states = {trail["Name"]: _state(account, trail) for trail in _trails(account)}
    told = ", ".join(f"{name} ({', '.join(words)})" for name, words in states.items())
    yield verdict(
        list(GOOD) in states.values(),
        "CloudTrail",
        told or "there is no trail",
        "make a trail with --is-multi-region-trail into a bucket that its readers can't write to, with all management "
        "events, and start it",
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
    # FlowLogStatus is ACTIVE for every flow log that there is; whether the records arrive is told apart from it.
    watched = {
        log["ResourceId"]
        for log in logs
        if log.get("FlowLogStatus") == "ACTIVE" and log.get("DeliverLogsStatus") != "FAILED"
    }
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


def _state(account: Account, trail: dict[str, Any]) -> list[str]:
    """What a trail records and whether it does; `GOOD` if that is everything, everywhere, now."""
    client = account.clients.client("cloudtrail", region=trail.get("HomeRegion"))
    status = read(client, "get_trail_status", Name=trail["TrailARN"]) or {}
    found = ["all regions" if trail.get("IsMultiRegionTrail") else "one region"]
    found.append("recording" if status.get("IsLogging") else "stopped")
    if lost := status.get("LatestDeliveryError"):
        found.append(f"not delivered: {lost}")
    told = read(client, "get_event_selectors", TrailName=trail["TrailARN"]) or {}
    if not _whole(told.get("EventSelectors") or [], told.get("AdvancedEventSelectors") or []):
        found.append("not all management events")
    return found


def _whole(plain: list[dict[str, Any]], advanced: list[dict[str, Any]]) -> bool:
    """Whether selectors let every management event in, reads and writes of every service; none at all do.

    Source: https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_EventSelector.html
    """
    return (
        not (plain or advanced)
        or any(
            one.get("IncludeManagementEvents", True)
            and one.get("ReadWriteType", "All") == "All"
            and not one.get("ExcludeManagementEventSources")
            for one in plain
        )
        or any(
            all(
                each["Field"] == "eventCategory" and each.get("Equals") == ["Management"]
                for each in one["FieldSelectors"]
            )
            for one in advanced
        )
    )


def _logs_to(one: Bucket, target: Bucket) -> bool:
    try:
        return one.log_target == target.name
    except AwsError:  # that bucket's own finding says that it could not be seen
        return False
