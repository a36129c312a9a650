"""The checks, by name: what each claims, and the function that looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from course_lib.finops.compliance import (
    administrators,
    encryption,
    exposure,
    identities,
    residency,
    retention,
    trails,
)
from course_lib.finops.compliance.results import Finding

Area = Literal["encryption", "logging", "residency", "retention", "access"]


@dataclass(frozen=True)
class Check:
    """One claim about an account.

    Attributes:
        name: such as "volume-encryption".
        claim: what holds for whatever passes.
        area: "encryption", "logging", "residency", "retention" or "access".
        of: what `look` is given, one at a time: a "region", a "bucket" or the "account".
        look: reads and judges.
        calls: the actions that IAM must allow for it, in a policy's notation.
    """

    name: str
    claim: str
    area: Area
    of: Literal["region", "bucket", "account"]
    look: Callable[[Any], Iterator[Finding]]
    calls: tuple[str, ...]


_LIST = ("s3:ListAllMyBuckets", "s3:GetBucketLocation")
_LIFECYCLE = ("s3:GetLifecycleConfiguration", "s3:GetBucketVersioning")
_HELD = ("ec2:DescribeInstances", "ec2:DescribeVolumes", "ec2:DescribeSnapshots", "logs:DescribeLogGroups")
_TRAIL = ("cloudtrail:DescribeTrails", "cloudtrail:GetEventSelectors", "cloudtrail:GetTrailStatus")
_SHARED = ("ec2:DescribeSnapshots", "ec2:DescribeSnapshotAttribute")
_KEYS = ("iam:ListUsers", "iam:ListAccessKeys")
_USED = (*_KEYS, "iam:GetAccessKeyLastUsed", "iam:ListRoles", "iam:GetRole")
_FACTOR = ("iam:ListUsers", "iam:GetLoginProfile", "iam:ListMFADevices")
_ALL_OF_IAM = ("iam:GetAccountAuthorizationDetails", "iam:GetPolicy", "iam:GetPolicyVersion")
_FLOWS = ("ec2:DescribeVpcs", "ec2:DescribeFlowLogs")

CHECKS: tuple[Check, ...] = (
    Check("ebs-default", "EBS encrypts whatever is made new", "encryption", "region", encryption.ebs_default,
          ("ec2:GetEbsEncryptionByDefault",)),
    Check("volume-encryption", "each EBS volume is encrypted", "encryption", "region", encryption.volumes,
          ("ec2:DescribeVolumes",)),
    Check("snapshot-private", "no snapshot may be restored by everybody", "encryption", "region",
          encryption.snapshots_private, _SHARED),
    Check("bucket-encryption", "each bucket says how it encrypts", "encryption", "bucket", encryption.bucket_at_rest,
          (*_LIST, "s3:GetEncryptionConfiguration")),
    Check("bucket-tls", "each bucket refuses plain HTTP", "encryption", "bucket", encryption.bucket_tls_only,
          (*_LIST, "s3:GetBucketPolicy")),
    Check("trail-everywhere", "a trail records every region's management events", "logging", "account",
          trails.trail_everywhere, _TRAIL),
    Check("trail-validated", "each trail proves that its logs are unchanged", "logging", "account",
          trails.trail_validated, _TRAIL[:1]),
    Check("bucket-access-log", "each bucket's requests are logged", "logging", "bucket", trails.bucket_access_log,
          (*_LIST, "s3:GetBucketLogging")),
    Check("flow-logs", "each VPC has a flow log", "logging", "region", trails.flow_logs, _FLOWS),
    Check("regional-things", "nothing lies outside the allowed regions", "residency", "region",
          residency.regional_things, _HELD),
    Check("bucket-place", "no bucket lies outside the allowed regions", "residency", "bucket", residency.bucket_place,
          _LIST),
    Check("bucket-lifecycle", "each bucket forgets", "retention", "bucket", retention.bucket_lifecycle,
          (*_LIST, *_LIFECYCLE)),
    Check("bucket-versioning", "each bucket keeps what is overwritten", "retention", "bucket",
          retention.bucket_versioning, (*_LIST, "s3:GetBucketVersioning")),
    Check("log-retention", "each log group keeps its events within the bounds", "retention", "region",
          retention.log_retention, ("logs:DescribeLogGroups",)),
    Check("root-user", "the root user has a second factor and no keys", "access", "account", identities.root_user,
          ("iam:GetAccountSummary",)),
    Check("console-mfa", "each password has a second factor beside it", "access", "account", identities.console_mfa,
          _FACTOR),
    Check("key-age", "no access key is older than the limit", "access", "account", identities.key_age, _KEYS),
    Check("unused", "each user and role was used within the limit", "access", "account", identities.unused, _USED),
    Check("administrators", "nobody may do everything unless people decided so", "access", "account",
          administrators.administrators, _ALL_OF_IAM),
    Check("bucket-private", "each bucket blocks public access", "access", "bucket", exposure.bucket_private,
          (*_LIST, "s3:GetBucketPublicAccessBlock")),
    Check("security-groups", "no security group opens more than the allowed ports to the world", "access", "region",
          exposure.security_groups, ("ec2:DescribeSecurityGroups",)),
    Check("imdsv2", "each instance asks for a token before it tells credentials", "access", "region", exposure.imdsv2,
          ("ec2:DescribeInstances",)),
)  # fmt: skip
BY_NAME = {check.name: check for check in CHECKS}


def read_only_policy() -> dict[str, Any]:
    """The IAM policy that the checks need: reads, and nothing else."""
    general = {"sts:GetCallerIdentity", "ec2:DescribeRegions"}
    actions = sorted(general.union(*(check.calls for check in CHECKS)))
    statement = {"Sid": "ReadForCompliance", "Effect": "Allow", "Action": actions, "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}
