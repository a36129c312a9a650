"""What the reaper may do: end instances whose time is over, stop those without an end, and report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from course_lib.finops.iam.document import Kind
from course_lib.finops.iam.errors import PolicyError
from course_lib.finops.iam.guardrails.blocks import Block
from course_lib.finops.iam.guardrails.inputs import check_account, check_regions, check_tags
from course_lib.finops.iam.guardrails.size import finished


def reaper_policy(
    account: str,
    regions: Sequence[str],
    *,
    ttl_tag: str = "expires-at",
    protected_tag: str = "protected",
    note_tag: str = "reaper-note",
    namespace: str = "Guardrails",
    topic: str = "",
    partition: str = "aws",
) -> dict[str, Any]:
    """Allow a reaper to end what has an end, and nothing that is protected.

    It may terminate instances that carry the TTL tag, and lift termination protection from them first; stop any
    instance, which is how one without the tag is quarantined; leave a note in a tag of its own; cancel spot requests,
    which would otherwise start the next instance; write metrics to one namespace, and publish to one topic. An
    instance whose protected tag says "true" is out of its reach. It can't change an end, nor launch anything.

    Args:
        account: 12 digits.
        regions: where it works.
        ttl_tag: key of the tag that holds the end.
        protected_tag: key of the tag that protects an instance when its value is "true".
        note_tag: key of the one tag that the reaper may write.
        namespace: of its CloudWatch metrics.
        topic: ARN of an SNS topic for its reports; "" for none.
        partition: "aws", "aws-cn" or "aws-us-gov".

    Returns:
        An identity policy for a managed policy.

    Raises:
        PolicyError: an argument can't be read.
    """
    check_account(account)
    regions = check_regions(regions)
    check_tags("tags", [ttl_tag, protected_tag, note_tag])
    if not namespace or set(namespace) & set("*?$") or namespace.startswith("AWS/"):
        raise PolicyError.of("namespace", namespace, "must be a name of your own", "write 'Guardrails'")
    if topic and (not topic.startswith(f"arn:{partition}:sns:") or set(topic) & set("*?$") or topic.count(":") != 5):
        raise PolicyError.of("topic", topic, "must be the ARN of one topic", "write 'arn:aws:sns:us-east-1:...:reaper'")
    instances = f"arn:{partition}:ec2:*:{account}:instance/*"
    where: Block = {"aws:RequestedRegion": regions}
    spared: Block = {"StringNotEqualsIgnoreCase": {f"aws:ResourceTag/{protected_tag}": "true"}}
    statements: list[Block] = [
        {
            "Sid": "FindInstances",
            "Effect": "Allow",
            "Action": [
                "ec2:DescribeInstances",
                "ec2:DescribeRegions",
                "ec2:DescribeSpotInstanceRequests",
                "ec2:DescribeVolumes",
            ],
            "Resource": "*",
        },
        {
            "Sid": "EndExpired",
            "Effect": "Allow",
            "Action": ["ec2:DescribeInstanceAttribute", "ec2:ModifyInstanceAttribute", "ec2:TerminateInstances"],
            "Resource": instances,
            "Condition": {"StringEquals": where, "Null": {f"aws:ResourceTag/{ttl_tag}": "false"}, **spared},
        },
        {
            "Sid": "StopUnmarked",
            "Effect": "Allow",
            "Action": "ec2:StopInstances",
            "Resource": instances,
            "Condition": {"StringEquals": where, **spared},
        },
        {
            # EC2 can't stop what a one-time spot request started, so without a mark it is terminated
            "Sid": "EndUnmarkedSpot",
            "Effect": "Allow",
            "Action": "ec2:TerminateInstances",
            "Resource": instances,
            "Condition": {"StringEquals": {**where, "ec2:InstanceMarketType": "spot"}, **spared},
        },
        {
            "Sid": "LeaveNote",
            "Effect": "Allow",
            "Action": "ec2:CreateTags",
            "Resource": instances,
            "Condition": {
                "StringEquals": where,
                "ForAllValues:StringEquals": {"aws:TagKeys": [note_tag]},
                "Null": {"aws:TagKeys": "false"},
            },
        },
        {
            "Sid": "CancelSpotRequests",
            "Effect": "Allow",
            "Action": "ec2:CancelSpotInstanceRequests",
            "Resource": f"arn:{partition}:ec2:*:{account}:spot-instances-request/*",
            "Condition": {"StringEquals": where},
        },
        {
            "Sid": "WriteMetrics",
            "Effect": "Allow",
            "Action": "cloudwatch:PutMetricData",
            "Resource": "*",
            "Condition": {"StringEquals": {"cloudwatch:namespace": namespace}},
        },
    ]
    if topic:
        statements.append({"Sid": "Report", "Effect": "Allow", "Action": "sns:Publish", "Resource": topic})
    return finished(statements, Kind.IDENTITY)
