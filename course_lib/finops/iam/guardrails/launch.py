"""The least privilege with which a researcher launches accelerators, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from course_lib.finops.iam.document import Kind
from course_lib.finops.iam.errors import PolicyError
from course_lib.finops.iam.guardrails.blocks import Block
from course_lib.finops.iam.guardrails.inputs import (
    check_account,
    check_image_owners,
    check_name,
    check_owner,
    check_regions,
    check_roles,
    check_tags,
    check_types,
    check_unprotected,
    check_volume_types,
)
from course_lib.finops.iam.guardrails.size import finished
from course_lib.finops.iam.operators import read_date

MARKETS = ("on-demand", "spot", "capacity-block")
UTC_TIME = "????-??-??T??:??:??Z"  # the shape of 2026-11-26T18:00:00Z; IAM can't compare a tag with the clock
# Not all of Describe*: DescribeInstanceAttribute shows user data, which may hold somebody's secret.
_LOOKS = (
    "AvailabilityZones", "Images", "InstanceStatus", "InstanceTypeOfferings", "InstanceTypes", "Instances", "KeyPairs",
    "Regions", "SecurityGroups", "SpotPriceHistory", "Subnets", "Tags", "Volumes", "Vpcs",
)  # fmt: skip


def launch_policy(
    account: str,
    regions: Sequence[str],
    instance_types: Sequence[str],
    *,
    required_tags: Sequence[str] = ("project",),
    owner_tag: str = "owner",
    owner: str = "${aws:username}",
    ttl_tag: str = "expires-at",
    optional_tags: Sequence[str] = ("Name",),
    protected_tag: str = "protected",
    max_volume_gib: int = 500,
    volume_types: Sequence[str] = ("gp2", "gp3"),
    image_owners: Sequence[str] = ("amazon",),
    markets: Sequence[str] = ("on-demand", "spot"),
    pass_roles: Sequence[str] = (),
    scheduler_role: str = "",
    schedule_group: str = "ephemeral",
    until: str | None = None,
    partition: str = "aws",
) -> dict[str, Any]:
    """Allow launches of these instance types in these regions, with tags, an end and IMDSv2; and nothing else.

    Instance and volume must carry the owner tag with the caller's own name, the end in UTC, and the required tags
    with some value; no tags but these and the optional ones, compared with their capitals. The caller may stop,
    reboot and terminate instances with the caller's own owner tag, and not start a stopped one again: a launch is
    what has an end. Instances share their hosts, since dedicated ones cost extra. Tags are set at launch only. Not in
    IAM's reach, and left to the reaper: how far away the end is, how many instances there are, and termination
    protection set at launch, for which RunInstances has no condition key.

    Args:
        account: 12 digits.
        regions: where launches are allowed.
        instance_types: names, or families such as "trn1.*".
        required_tags: keys that must be there with a value, owner and end aside.
        owner_tag: key of the tag that says whose an instance is.
        owner: its value: "${aws:username}" for IAM users; for roles a tag of the session, such as
            "${aws:PrincipalTag/owner}".
        ttl_tag: key of the tag that holds the end, as in 2026-11-26T18:00:00Z.
        optional_tags: further keys that may be there.
        protected_tag: key of the tag that puts an instance out of the reaper's reach; it is refused among the others.
        max_volume_gib: the largest volume, GiB.
        volume_types: of volumes; the IOPS of io1 and io2 can cost more than the accelerator, whatever the size.
        image_owners: whose images may be started: "amazon", "aws-marketplace" or accounts.
        markets: of `MARKETS`.
        pass_roles: the ARNs of the roles that an instance may be given.
        scheduler_role: the ARN of the role with which EventBridge Scheduler ends an instance at its time; "" to allow
            no schedules.
        schedule_group: the group in which the caller may create such schedules, and not delete them.
        until: a date after which no launch is allowed, such as the course's end; None for no date.
        partition: "aws", "aws-cn" or "aws-us-gov".

    Returns:
        An identity policy for a managed policy.

    Raises:
        PolicyError: an argument can't be read, or would allow more than it says.
        PolicyTooLargeError: the policy is over 6,144 characters.
    """
    check_account(account)
    regions, types = check_regions(regions), check_types(instance_types)
    demanded = check_tags("tags", [owner_tag, ttl_tag, *required_tags], least=2)
    every_tag = check_tags("tags", [*demanded, *optional_tags])
    check_owner(owner)
    check_unprotected(protected_tag, every_tag)
    PolicyError.check_count("max_volume_gib", max_volume_gib)
    volumes = check_volume_types(volume_types)
    roles = check_roles("pass_roles", pass_roles)
    owners = check_image_owners(image_owners)

    where: Block = {"aws:RequestedRegion": regions}
    always, if_given = _market(markets)
    texts = {f"aws:RequestTag/{tag}": UTC_TIME if tag == ttl_tag else "?*" for tag in demanded if tag != owner_tag}
    tagged: Block = {
        "StringEquals": {**where, f"aws:RequestTag/{owner_tag}": owner},
        "StringLike": texts,
        "ForAllValues:StringEquals": {"aws:TagKeys": every_tag},
        "Null": {"aws:TagKeys": "false"},
        **_until(until),
    }
    arn = f"arn:{partition}:ec2:*:{account}"
    statements: list[Block] = [
        {
            "Sid": "LaunchInstance",
            "Effect": "Allow",
            "Action": "ec2:RunInstances",
            "Resource": f"{arn}:instance/*",
            "Condition": {
                **tagged,
                "StringEquals": {**tagged["StringEquals"], "ec2:MetadataHttpTokens": "required", **always},
                "StringLike": {**texts, "ec2:InstanceType": types},
                "StringEqualsIfExists": {"ec2:Tenancy": "default", **if_given},
            },
        },
        {
            "Sid": "LaunchVolume",
            "Effect": "Allow",
            "Action": "ec2:RunInstances",
            "Resource": f"{arn}:volume/*",
            "Condition": {
                **tagged,
                "NumericLessThanEquals": {"ec2:VolumeSize": str(max_volume_gib)},
                "StringEqualsIfExists": {"ec2:VolumeType": volumes},  # left out, it is the image's or the default
            },
        },
        {
            "Sid": "LaunchImage",
            "Effect": "Allow",
            "Action": "ec2:RunInstances",
            "Resource": f"arn:{partition}:ec2:*::image/*",
            "Condition": {"StringEquals": {**where, "ec2:Owner": owners}},
        },
        {
            "Sid": "LaunchNetwork",
            "Effect": "Allow",
            "Action": "ec2:RunInstances",
            "Resource": [f"{arn}:{kind}/*" for kind in ("network-interface", "subnet", "security-group", "key-pair")],
            "Condition": {"StringEquals": where},
        },
        {
            "Sid": "TagAtLaunch",
            "Effect": "Allow",
            "Action": "ec2:CreateTags",
            "Resource": [f"{arn}:instance/*", f"{arn}:volume/*"],
            "Condition": {"StringEquals": {**where, "ec2:CreateAction": "RunInstances"}},
        },
        {
            "Sid": "ManageOwn",
            "Effect": "Allow",
            "Action": ["ec2:RebootInstances", "ec2:StopInstances", "ec2:TerminateInstances"],
            "Resource": f"{arn}:instance/*",
            "Condition": {"StringEquals": {**where, f"aws:ResourceTag/{owner_tag}": owner}},
        },
        {
            "Sid": "Look",
            "Effect": "Allow",
            "Action": [f"ec2:Describe{what}" for what in _LOOKS],
            "Resource": "*",
            "Condition": {"StringEquals": where},
        },
    ]
    if roles:
        statements.append(_pass("PassRole", roles, "ec2", partition))
    if scheduler_role:
        check_name("schedule_group", schedule_group)
        statements += [
            {
                "Sid": "ScheduleEnd",
                "Effect": "Allow",
                "Action": "scheduler:CreateSchedule",
                "Resource": f"arn:{partition}:scheduler:*:{account}:schedule/{schedule_group}/*",
                "Condition": {"StringEquals": where},
            },
            _pass("PassSchedulerRole", check_roles("scheduler_role", [scheduler_role]), "scheduler", partition),
        ]
    return finished(statements, Kind.IDENTITY)


def _pass(sid: str, roles: Sequence[str], service: str, partition: str) -> Block:
    """Allow to give these roles to one service, and to nothing else."""
    host = f"{service}.amazonaws.com.cn" if partition == "aws-cn" and service == "ec2" else f"{service}.amazonaws.com"
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Action": "iam:PassRole",
        "Resource": list(roles),
        "Condition": {"StringEquals": {"iam:PassedToService": host}},
    }


def _market(markets: Sequence[str]) -> tuple[Block, Block]:
    """Keys for StringEquals, and those for StringEqualsIfExists: a launch on demand may lack the market."""
    if isinstance(markets, str) or not markets or not set(markets) <= set(MARKETS):
        raise PolicyError.of("markets", markets, f"must be some of {MARKETS}", "write ['on-demand', 'spot']")
    wanted: Block = {"ec2:InstanceMarketType": list(markets)}
    if set(markets) == set(MARKETS):
        return {}, {}
    return ({}, wanted) if "on-demand" in markets else (wanted, {})


def _until(until: str | None) -> Block:
    if until is None:
        return {}
    if not isinstance(until, str) or read_date(until) is None:
        raise PolicyError.of("until", until, "must be an ISO 8601 date with a zone", "write '2027-06-30T00:00:00Z'")
    return {"DateLessThan": {"aws:CurrentTime": until}}
