"""The calls that make a checkpoint bucket with boto3: the same settings as the Terraform module `aws/storage`.

A plan is a list of calls, to be read before it is carried out. There is no state: each call but the first sets what it
says, so that to ask again mends what somebody changed by hand. A bucket without the course's tag is somebody's, and is
left alone unless asked for: to set a lifecycle may delete what it holds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from course_lib.finops.aws import (
    AwsError,
    Clients,
    bucket_place,
    make_tagged_bucket,
    one_line,
    region_told,
    tag_list,
    tags_of,
)
from course_lib.finops.ephemeral import MANAGED
from course_lib.finops.errors import FinopsError

_OWNER = re.compile(r"[A-Za-z0-9._+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", re.ASCII)
_PROJECT = re.compile(r"[a-z0-9][a-z0-9-]{1,30}[a-z0-9]", re.ASCII)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", re.ASCII)


@dataclass(frozen=True)
class CheckpointBucket:
    """A bucket that is encrypted, closed, versioned, and forgets.

    Attributes:
        name: unique in all of AWS.
        owner: mail address of the person to ask.
        project: who pays.
        region: where.
        checkpoint_days: after how many days objects under checkpoints/ are deleted.

    Raises:
        FinopsError: for a value that the Terraform module refuses, too.
    """

    name: str
    owner: str
    project: str
    region: str = "us-east-1"
    checkpoint_days: int = 30

    def __post_init__(self) -> None:
        FinopsError.check_count("checkpoint_days", self.checkpoint_days)
        for what, value, pattern, example in (
            ("name", self.name, _BUCKET, "bert-checkpoints-2f6c"),
            ("owner", self.owner, _OWNER, "ada@example.org"),
            ("project", self.project, _PROJECT, "bert"),
        ):
            if not pattern.fullmatch(value):
                raise FinopsError.of(what, value, "does not look right", f"write it as in {example!r}")


def plan_bucket(wanted: CheckpointBucket) -> list[tuple[str, dict[str, Any]]]:
    """The calls of boto3's S3 client, in order: method and parameters. Changes nothing."""
    return [(call, {"Bucket": wanted.name, **given}) for call, given in _calls(wanted)]


def make_bucket(account: Clients, wanted: CheckpointBucket, *, adopt: bool = False) -> None:
    """Carry the plan out; to ask again mends what was changed.

    Args:
        account: whose.
        wanted: the bucket.
        adopt: take over a bucket of this account that is there without the course's tag. Its tags, policy and
            lifecycle become the plan's, and what it holds under checkpoints/ is deleted when it's old enough.

    Raises:
        FinopsError: without `adopt`, for such a bucket; for one in another region. Nothing was changed.
        AwsError: a call fails, or somebody else has a bucket of this name. A new bucket that could not be tagged is
            gone again.
    """
    s3 = account.client("s3", region=wanted.region)
    tags = _tags_there(s3, wanted)
    if tags is not None:
        _check_place(s3, wanted)
        if not adopt and not MANAGED.items() <= tags.items():
            remedy = "choose another name, or adopt=True if its tags, policy and lifecycle may become the plan's"
            raise FinopsError.of("name", wanted.name, "is a bucket of yours that this did not make", remedy)
    todo = plan_bucket(wanted)
    if tags is None:
        make_tagged_bucket(s3, wanted.name, wanted.region, _tags(wanted))
        todo = [step for step in todo if step[0] != "put_bucket_tagging"]
    for call, given in todo:
        if call != "create_bucket":
            with one_line(f"{call} on {wanted.name}"):
                getattr(s3, call)(**given)


def _tags(wanted: CheckpointBucket) -> dict[str, str]:
    return {"owner": wanted.owner, "project": wanted.project, **MANAGED}


def _tags_there(s3: Any, wanted: CheckpointBucket) -> dict[str, str] | None:
    """The tags of the bucket that is there; None if there is none."""
    try:
        with one_line(f"asking whether there is a bucket {wanted.name}"):
            return tags_of(s3.get_bucket_tagging(Bucket=wanted.name)["TagSet"])
    except AwsError as error:
        if error.code == "NoSuchBucket":
            return None
        if error.code == "NoSuchTagSet":
            return {}
        raise


def _check_place(s3: Any, wanted: CheckpointBucket) -> None:
    with one_line(f"asking where {wanted.name} is"):
        place = region_told(s3.get_bucket_location(Bucket=wanted.name))
    if place != wanted.region:
        raise FinopsError.of(
            "region",
            wanted.region,
            f"is not where {wanted.name} is, {place}",
            f"ask in {place}, or choose another name",
        )


def _calls(wanted: CheckpointBucket) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "create_bucket", bucket_place(wanted.region)
    yield "put_bucket_tagging", {"Tagging": {"TagSet": tag_list(_tags(wanted))}}
    flags = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    yield "put_public_access_block", {"PublicAccessBlockConfiguration": dict.fromkeys(flags, True)}
    yield (
        "put_bucket_ownership_controls",
        {"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}},
    )
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}
    yield "put_bucket_encryption", {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}
    yield "put_bucket_versioning", {"VersioningConfiguration": {"Status": "Enabled"}}
    rules = [
        {
            "ID": "old-checkpoints",
            "Status": "Enabled",
            "Filter": {"Prefix": "checkpoints/"},
            "Expiration": {"Days": wanted.checkpoint_days},
        },
        {
            # parts of broken uploads and overwritten versions show in no listing, and are paid for
            "ID": "leftovers",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 7},
        },
    ]
    yield "put_bucket_lifecycle_configuration", {"LifecycleConfiguration": {"Rules": rules}}
    statement = {
        "Sid": "DenyPlainHttp",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{wanted.name}", f"arn:aws:s3:::{wanted.name}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    yield "put_bucket_policy", {"Policy": json.dumps({"Version": "2012-10-17", "Statement": [statement]})}
