"""FOCUS data sets in S3: as AWS's Data Exports deliver them, read through boto3, page by page."""

from __future__ import annotations

import re

from course_lib.finops.aws import Clients, one_line, pages
from course_lib.finops.focus.data import FocusData, gather, month_of
from course_lib.finops.focus.errors import FocusError
from course_lib.finops.focus.files import read_bytes

# https://docs.aws.amazon.com/cur/latest/userguide/dataexports-export-delivery.html
PARTITION = re.compile(r"(?:^|/)BILLING_PERIOD=(\d{4}-\d\d)/")


def read_focus_s3(
    account: Clients, bucket: str, prefix: str = "", *, month: str | None = None, strict: bool = True
) -> FocusData:
    """Read the FOCUS 1.2 files under a prefix of a bucket.

    Where an export writes a new report each day (one folder for each execution), only the newest execution of a month
    is read: each holds the month so far, and two would count every charge twice. For the same reason two exports of one
    account's month are refused: "billing/focus" also covers what "billing/focus-hourly" begins with.

    Args:
        account: whose clients to use.
        bucket: its name.
        prefix: what the keys begin with, such as "billing/focus".
        month: such as "2026-12"; every month when left out.
        strict: refuse a file with an error; see `read_focus`.

    Raises:
        FocusError: when no file is there, one is no FOCUS 1.2 data set, or two exports hold the same bill.
        AwsError: when S3 refuses; one line with the remedy.
    """
    s3 = account.client("s3")
    found: dict[tuple[str, str], dict[str, object]] = {}
    newest: dict[tuple[str, str], tuple[object, str]] = {}
    doing = f"listing s3://{bucket}/{prefix}"
    for page in pages(s3, "list_objects_v2", doing, Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", ()):
            key = entry["Key"]
            if not key.endswith((".csv", ".csv.gz")):
                continue
            part = PARTITION.search(key)
            of = part[1] if part else ""
            if month is not None and of != month:
                continue
            export, folder = key[: part.start()] if part else "", key.rpartition("/")[0]
            found[export, key] = {"of": of, "folder": folder}
            newest[export, of] = max(
                newest.get((export, of), (entry["LastModified"], "")), (entry["LastModified"], folder)
            )
    parts = []
    whose: dict[tuple[object, object, str], str] = {}
    for (export, key), told in sorted(found.items()):
        if told["of"] and newest[export, str(told["of"])][1] != told["folder"]:
            continue
        with one_line(f"reading s3://{bucket}/{key}"):
            content = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        parts.append(read_bytes(content, f"s3://{bucket}/{key}", strict=strict))
        for row in parts[-1]:
            bill = row.get("BillingAccountId"), row.get("SubAccountId"), month_of(row)
            if (first := whose.setdefault(bill, export)) != export:
                limit = f"holds the bill of {bill[0]} for {bill[2]} twice, in {first or '.'} and {export or '.'}"
                raise FocusError.of("prefix", prefix, limit, "name one export's folder, with a / at its end")
    if not parts:
        wanted = f" of {month}" if month else ""
        where = f"s3://{bucket}/{prefix}"
        raise FocusError.of("prefix", where, f"holds no CSV{wanted}", "an export's first delivery takes up to a day")
    return gather(parts, f"s3://{bucket}/{prefix}")
