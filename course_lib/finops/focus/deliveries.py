"""Have AWS deliver the bill in FOCUS 1.2 columns to a bucket each day: first a plan, then what is missing is made.

Source: https://docs.aws.amazon.com/cur/latest/userguide/dataexports-create-standard.html and the bucket policy at
https://docs.aws.amazon.com/cur/latest/userguide/dataexports-s3-bucket.html.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from course_lib.finops.aws import Clients, in_words, make_tagged_bucket, one_line, tag_list
from course_lib.finops.focus.columns import COLUMNS
from course_lib.finops.focus.errors import FocusError

HOME = "us-east-1"  # Data Exports has one endpoint
TABLE = "FOCUS_1_2_AWS"
Granularity = Literal["HOURLY", "DAILY", "MONTHLY"]
AWS_COLUMNS = ("x_Discounts", "x_Operation", "x_ServiceCode")  # what AWS adds to FOCUS's own
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
SID = "FocusExportDelivery"
PURPOSE = {"purpose": "bill-export"}


@dataclass(frozen=True)
class ExportPlan:
    """What has to be made so that the bill arrives.

    Attributes:
        account: its number.
        name: of the export.
        bucket, region, prefix: where it goes.
        granularity: of the rows.
        steps: what is missing, of "bucket", "public access block", "bucket policy" and "export"; empty when all is
            there.
        statement: the sentence that the bucket's policy needs.
        policy: the bucket's policy with it.
        tags: of what is made.
    """

    account: str
    name: str
    bucket: str
    region: str
    prefix: str
    granularity: Granularity
    steps: tuple[str, ...]
    statement: dict[str, Any]
    policy: dict[str, Any]
    tags: dict[str, str]

    def __str__(self) -> str:
        """The plan in lines."""
        head = f"FOCUS 1.2, {self.granularity.lower()}, to s3://{self.bucket}/{self.prefix} as export {self.name}"
        return "\n".join([head, *(f"create {step}" for step in self.steps)] if self.steps else [head, "nothing to do"])

    def export(self) -> dict[str, Any]:
        """The argument `Export` of CreateExport."""
        return {
            "Name": self.name,
            "DataQuery": {
                "QueryStatement": f"SELECT {', '.join((*sorted(COLUMNS), *AWS_COLUMNS))} FROM {TABLE}",
                "TableConfigurations": {TABLE: {"TIME_GRANULARITY": self.granularity}},
            },
            "DestinationConfigurations": {
                "S3Destination": {
                    "S3Bucket": self.bucket,
                    "S3Prefix": self.prefix,
                    "S3Region": self.region,
                    "S3OutputConfigurations": {
                        "OutputType": "CUSTOM",
                        "Format": "TEXT_OR_CSV",
                        "Compression": "GZIP",
                        "Overwrite": "OVERWRITE_REPORT",
                    },
                }
            },
            "RefreshCadence": {"Frequency": "SYNCHRONOUS"},
        }


def plan_export(
    account: Clients,
    bucket: str,
    *,
    name: str = "focus",
    prefix: str = "billing",
    region: str = HOME,
    granularity: Granularity = "DAILY",
    tags: Mapping[str, str] | None = None,
) -> ExportPlan:
    """What is missing for a daily delivery of the bill; reads only.

    Args:
        account: whose bill.
        bucket: where it goes; made when it is not there.
        name: of the export.
        prefix: what the keys begin with.
        region: the bucket's.
        granularity: "HOURLY", "DAILY" or "MONTHLY".
        tags: of the export, and of a bucket that is made, beside `purpose` = "bill-export".

    Raises:
        FocusError: for another granularity, or a name that no bucket can have.
        AwsError: when a call fails; a bucket that belongs to somebody else, for one.
    """
    if granularity not in ("HOURLY", "DAILY", "MONTHLY"):
        raise FocusError.of("granularity", granularity, "is none", "use HOURLY, DAILY or MONTHLY")
    if not BUCKET.fullmatch(bucket):
        remedy = "use 3 to 63 small letters, digits, hyphens and dots, as in my-group-bills"
        raise FocusError.of("bucket", bucket, "is no name for a bucket", remedy)
    with one_line("asking whose account this is"):
        number = str(account.client("sts").get_caller_identity()["Account"])
    s3 = account.client("s3", region=region)
    there = _asked(s3.head_bucket, f"looking for bucket {bucket}", Bucket=bucket) is not None
    block = policy = None
    if there:
        block = _asked(s3.get_public_access_block, f"reading bucket {bucket}", Bucket=bucket)
        policy = _asked(s3.get_bucket_policy, f"reading the policy of {bucket}", Bucket=bucket)
    statement = _statement(bucket, number)
    document: dict[str, Any] = json.loads(policy["Policy"]) if policy else {"Version": "2012-10-17", "Statement": []}
    missing = {
        "bucket": not there,
        "public access block": block is None,
        "bucket policy": statement not in document["Statement"],
        "export": name not in _names(account),
    }
    others = [one for one in document["Statement"] if one.get("Sid") != SID]
    document["Statement"] = [*others, statement]
    steps = tuple(step for step, needed in missing.items() if needed)
    labels = {**PURPOSE, **(tags or {})}
    return ExportPlan(number, name, bucket, region, prefix, granularity, steps, statement, document, labels)


def apply_export(account: Clients, plan: ExportPlan) -> str:
    """Make what a plan says is missing; returns the export's ARN, "" when it was there before.

    Raises:
        AwsError: when a call fails, in one line; what was made before stays, and the next plan goes on from there.
    """
    s3 = account.client("s3", region=plan.region)
    arn = ""
    for step in plan.steps:
        with one_line(f"creating {step} for {plan.name} in {plan.bucket}"):
            if step == "bucket":
                make_tagged_bucket(s3, plan.bucket, plan.region, plan.tags)
            elif step == "public access block":
                settings = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
                closed = dict.fromkeys(settings, True)
                s3.put_public_access_block(Bucket=plan.bucket, PublicAccessBlockConfiguration=closed)
            elif step == "bucket policy":
                s3.put_bucket_policy(Bucket=plan.bucket, Policy=json.dumps(plan.policy))
            else:
                client = account.client("bcm-data-exports", region=HOME)
                arn = str(client.create_export(Export=plan.export(), ResourceTags=tag_list(plan.tags))["ExportArn"])
    return arn


def _names(account: Clients) -> set[str]:
    client = account.client("bcm-data-exports", region=HOME)
    found: set[str] = set()
    asked: dict[str, str] = {}
    while True:
        with one_line("listing data exports"):
            page: dict[str, Any] = client.list_exports(**asked)
        found |= {one["ExportName"] for one in page["Exports"]}
        if not page.get("NextToken"):
            return found
        asked = {"NextToken": page["NextToken"]}


def _statement(bucket: str, account: str) -> dict[str, Any]:
    """Only Data Exports, only for this account: without the condition, others could have AWS write into the bucket."""
    return {
        "Sid": SID,
        "Effect": "Allow",
        "Principal": {"Service": ["bcm-data-exports.amazonaws.com", "billingreports.amazonaws.com"]},
        "Action": ["s3:PutObject", "s3:GetBucketPolicy"],
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        "Condition": {"StringEquals": {"aws:SourceAccount": account}},
    }


def _asked(call: Any, doing: str, **asked: Any) -> dict[str, Any] | None:
    """An answer, or None if there is no such thing."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return dict(call(**asked))
    except ClientError as error:
        code = str(error.response["Error"].get("Code", ""))
        if code in ("404", "NoSuchBucket", "NoSuchBucketPolicy", "NoSuchPublicAccessBlockConfiguration"):
            return None
        raise in_words(error, doing) from error
    except BotoCoreError as error:
        raise in_words(error, doing) from error
