"""Making a bucket that nobody finds without tags later."""

from __future__ import annotations

from typing import Any

from course_lib.finops.aws.failures import AwsError, one_line
from course_lib.finops.aws.tags import tag_list

FIRST_REGION = "us-east-1"  # S3 calls it None, for a reason that is older than regions


def bucket_place(region: str) -> dict[str, Any]:
    """The parameters of CreateBucket that say where; the first region is the one that must not be named."""
    return {} if region == FIRST_REGION else {"CreateBucketConfiguration": {"LocationConstraint": region}}


def region_told(location: dict[str, Any]) -> str:
    """The region in an answer of GetBucketLocation, where the two oldest have other names."""
    place = location.get("LocationConstraint") or FIRST_REGION
    return "eu-west-1" if place == "EU" else str(place)


def make_tagged_bucket(s3: Any, bucket: str, region: str, tags: dict[str, str]) -> None:
    """Make a bucket and tag it; one that can't be tagged is taken away again, while it is empty.

    Args:
        s3: a boto3 client.
        bucket: its name.
        region: where.
        tags: at least one.

    Raises:
        AwsError: if a call fails, or somebody has a bucket of this name.
    """
    with one_line(f"create_bucket on {bucket}"):
        s3.create_bucket(Bucket=bucket, **bucket_place(region))
    try:
        with one_line(f"put_bucket_tagging on {bucket}"):
            s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tag_list(tags)})
    except AwsError:
        with one_line(f"delete_bucket on {bucket}, which could not be tagged"):
            s3.delete_bucket(Bucket=bucket)
        raise
