"""Checks of encryption: EBS and S3 at rest, S3 on the way, and snapshots that anybody could restore.

The rules are those that AWS Config documents: ec2-ebs-encryption-by-default, encrypted-volumes,
ebs-snapshot-public-restorable-check, s3-bucket-server-side-encryption-enabled, s3-bucket-ssl-requests-only.
Source: https://docs.aws.amazon.com/config/latest/developerguide/managed-rules-by-aws-config.html
"""

from __future__ import annotations

from collections.abc import Iterator

from course_lib.finops.compliance.facts import Bucket, Region, read
from course_lib.finops.compliance.results import Finding, verdict
from course_lib.finops.errors import FinopsError
from course_lib.finops.iam import Match, Outcome, Policies, Request, evaluate

NO_ENCRYPTION = "ServerSideEncryptionConfigurationNotFoundError"


def ebs_default(region: Region) -> Iterator[Finding]:
    """New volumes and snapshots of this region are encrypted without anybody asking."""
    on = bool((read(region.ec2, "get_ebs_encryption_by_default") or {}).get("EbsEncryptionByDefault"))
    yield verdict(
        on,
        f"EBS default of {region.name}",
        f"EbsEncryptionByDefault is {str(on).lower()}",
        f"aws ec2 enable-ebs-encryption-by-default --region {region.name}",
    )


def volumes(region: Region) -> Iterator[Finding]:
    """Each volume is encrypted; encrypting by default changes none that exists."""
    for volume in region.volumes:
        yield verdict(
            bool(volume.get("Encrypted")),
            volume["VolumeId"],
            f"Encrypted is {str(bool(volume.get('Encrypted'))).lower()}, {volume['Size']} GiB, {volume['State']}",
            "copy a snapshot of it with encryption, make a volume from the copy, and swap the two",
        )


def snapshots_private(region: Region) -> Iterator[Finding]:
    """No snapshot may be restored by everybody."""
    for snapshot in region.snapshots:
        name = snapshot["SnapshotId"]
        told = (
            read(region.ec2, "describe_snapshot_attribute", SnapshotId=name, Attribute="createVolumePermission") or {}
        )
        public = any(one.get("Group") == "all" for one in told.get("CreateVolumePermissions", ()))
        yield verdict(
            not public,
            name,
            "everybody may restore it" if public else "no permission for everybody",
            f"aws ec2 modify-snapshot-attribute --region {region.name} --snapshot-id {name} "
            "--attribute createVolumePermission --operation-type remove --group-names all",
        )


def bucket_at_rest(bucket: Bucket) -> Iterator[Finding]:
    """The bucket says how it encrypts; AWS itself encrypts every new object at least with keys of S3's own."""
    told = bucket.ask("get_bucket_encryption", NO_ENCRYPTION) or {}
    rules = told.get("ServerSideEncryptionConfiguration", {}).get("Rules", ())
    names = [rule.get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm", "") for rule in rules]
    yield verdict(
        any(names),
        bucket.name,
        f"encrypts with {', '.join(filter(None, names))}" if any(names) else "no encryption is set",
        f"aws s3api put-bucket-encryption --bucket {bucket.name} --server-side-encryption-configuration "
        '\'{"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}\'',
    )


def bucket_tls_only(bucket: Bucket) -> Iterator[Finding]:
    """The bucket's policy denies every request that doesn't come over TLS, whoever asks: it is asked, not searched."""
    remedy = "add a statement that denies s3:* to everybody where aws:SecureTransport is false"
    if bucket.policy is None:
        yield Finding("failed", bucket.name, "it has no policy, so plain HTTP is served", remedy)
        return
    try:
        open_ = [action for action, resource in _plain_requests(bucket.name) if not _denies(bucket, action, resource)]
    except FinopsError as error:  # the policy language has corners that our parser refuses
        yield Finding("unseen", bucket.name, f"its policy can't be judged: {error}", "read the policy yourself")
        return
    left = list(dict.fromkeys(open_))
    told = f"its policy serves {', '.join(left)} over plain HTTP" if left else "its policy denies plain HTTP"
    yield verdict(not left, bucket.name, told, remedy)


def _plain_requests(name: str) -> tuple[tuple[str, str], ...]:
    arn = f"arn:aws:s3:::{name}"
    objects = (f"{arn}/any/key", f"{arn}/0.txt")  # a policy may spare one of them by a pattern, hardly both
    actions = ("s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:DeleteObject")
    return (*((action, one) for action in actions for one in objects), ("s3:ListBucket", arn))


def _denies(bucket: Bucket, action: str, resource: str) -> bool:
    """Whether the policy explicitly denies a request over plain HTTP by the account's own root, and by a stranger.

    A statement with further conditions (all addresses but some, all endpoints but one) or with NotResource has
    exceptions, which a request that lacks those keys doesn't show; such a statement does not count.
    """
    number = bucket.account.number
    for caller in (f"arn:aws:iam::{number}:root", "*"):
        request = Request(caller, action, resource, {"aws:SecureTransport": "false"}, resource_account=number)
        decision = evaluate(Policies(resource=bucket.policy), request)
        if decision.outcome is not Outcome.EXPLICIT_DENY or not any(map(_without_exception, decision.statements)):
            return False
    return True


def _without_exception(match: Match) -> bool:
    keys = {one.condition.key.lower() for one in match.checks}
    return keys <= {"aws:securetransport"} and not match.statement.not_resource
