"""Checks of retention: what is deleted by mistake comes back, and what should go does go.

The rules are those that AWS Config documents: s3-lifecycle-policy-check, s3-bucket-versioning-enabled,
cw-loggroup-retention-period-check; ours are stricter in two places, which the functions name.
Source: https://docs.aws.amazon.com/config/latest/developerguide/managed-rules-by-aws-config.html
"""

from __future__ import annotations

from collections.abc import Iterator

from course_lib.finops.compliance.facts import Bucket, Region
from course_lib.finops.compliance.results import Finding, verdict


def bucket_lifecycle(bucket: Bucket) -> Iterator[Finding]:
    """A rule that is switched on deletes objects; where there are or were versions, one also deletes those.

    Stricter than AWS Config, which asks for any rule: one that only moves objects to cheaper storage deletes nothing.
    """
    expires = any({"Days", "Date"} & set(rule.get("Expiration", {})) for rule in bucket.lifecycle)
    forgets = any("NoncurrentDays" in rule.get("NoncurrentVersionExpiration", {}) for rule in bucket.lifecycle)
    lacking = [] if expires else ["no rule deletes objects"]
    if bucket.has_versions and not forgets:
        lacking.append("old versions stay forever")
    yield verdict(
        not lacking,
        bucket.name,
        "; ".join(lacking) or "objects expire" + (", and old versions too" if bucket.has_versions else ""),
        "add a lifecycle rule with Expiration, and NoncurrentVersionExpiration where versions are kept",
    )


def bucket_versioning(bucket: Bucket) -> Iterator[Finding]:
    """What is overwritten or deleted can be had back."""
    yield verdict(
        bucket.versioned,
        bucket.name,
        "versioning is on" if bucket.versioned else "versioning is off",
        f"aws s3api put-bucket-versioning --bucket {bucket.name} --versioning-configuration Status=Enabled",
    )


def log_retention(region: Region) -> Iterator[Finding]:
    """Each log group keeps its events long enough, and not forever.

    Stricter than AWS Config, whose rule has a lower bound alone: a group without a number keeps everything.
    """
    fewest, most = region.settings.log_days
    for group in region.log_groups:
        days = group.get("retentionInDays")
        yield verdict(
            days is not None and fewest <= days <= most,
            group["logGroupName"],
            "keeps its events forever" if days is None else f"keeps its events for {days} days",
            f"aws logs put-retention-policy --region {region.name} --log-group-name {group['logGroupName']} "
            f"--retention-in-days N, with N from {fewest} to {most}",
        )
