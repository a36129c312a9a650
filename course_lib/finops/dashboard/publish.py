"""The page into a bucket: first a plan, then one object replaces the other whole, and a dated copy stays.

A PutObject is seen whole or not at all, and `If-Match` lets it through only if nobody has written since the plan was
made. A dated copy is never replaced: a second page of the same second gets a number.
Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html (consistency model) and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from course_lib.finops.aws import Clients, in_words, one_line
from course_lib.finops.errors import FinopsError

TYPE = "text/html; charset=utf-8"
# The newest page is asked for again each time (a few bytes if it is the same); a dated copy never changes.
NEWEST, DATED = "no-cache", "private, max-age=31536000, immutable"
GENERATED, DIGEST = "generated", "sha256"  # metadata of the object
ABSENT = ("404", "NoSuchKey", "NotFound")


class PublishError(FinopsError):
    """A page that must not go into this bucket."""


@dataclass(frozen=True)
class Write:
    """One object to be written.

    Attributes:
        key: its name in the bucket.
        cache: its Cache-Control header.
        etag: of the object that it replaces; "" where there is none.
        needed: False where the same bytes are there already.
    """

    key: str
    cache: str
    etag: str
    needed: bool

    @property
    def verb(self) -> str:
        """What happens to the object: "create", "replace" or "keep"."""
        return ("replace" if self.etag else "create") if self.needed else "keep"


@dataclass(frozen=True)
class PublishPlan:
    """What publishing a page writes.

    Attributes:
        bucket: where.
        now: the page's time.
        page: its bytes.
        writes: the dated copy, then the newest page.
        public: whether the bucket's policy lets everybody read.
    """

    bucket: str
    now: datetime
    page: bytes = field(repr=False)
    writes: tuple[Write, ...]
    public: bool

    @property
    def digest(self) -> str:
        """SHA-256 of the page."""
        return hashlib.sha256(self.page).hexdigest()

    def __str__(self) -> str:
        """The plan in lines."""
        seen = "everybody on the Internet may read it" if self.public else "it is not public"
        head = f"a page of {len(self.page):,} bytes to bucket {self.bucket}; {seen}"
        return "\n".join([head, *(f"{one.verb} s3://{self.bucket}/{one.key} ({one.cache})" for one in self.writes)])


def plan_publish(
    account: Clients,
    bucket: str,
    page: str,
    now: datetime,
    *,
    prefix: str = "",
    public: bool = False,
) -> PublishPlan:
    """What has to be written; reads only.

    Args:
        account: whose bucket.
        bucket: its name; it must exist.
        page: from `render`.
        now: the page's time, `DashboardData.now`.
        prefix: a folder in the bucket, such as "spend"; "" for its root.
        public: allow a bucket whose policy lets everybody read: a page about money seldom belongs there.

    Raises:
        PublishError: for a public bucket without `public`, or if the page there is newer than this one.
        AwsError: if the bucket can't be read.
    """
    if now.tzinfo is None:
        raise PublishError.of("now", now.isoformat(), "names no time zone", "add +00:00 for UTC")
    s3, body = account.client("s3"), page.encode()
    open_to_all = _is_public(s3, bucket)
    if open_to_all and not public:
        raise PublishError.of(
            "bucket", bucket, "is readable by everybody", "close it (public access block), or give public=True"
        )
    folder = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    digest = hashlib.sha256(body).hexdigest()
    copy = _copy(s3, bucket, f"{folder}{now.astimezone(UTC):%Y/%m/%d/%H%M%SZ}", digest)
    index = f"{folder}index.html"
    there = _head(s3, bucket, index)
    known = (there or {}).get("Metadata", {})
    if known.get(GENERATED, "") > _stamp(now):
        raise PublishError.of(index, known[GENERATED], f"is newer than {_stamp(now)}", "collect anew")
    newest = Write(index, NEWEST, str(there["ETag"]) if there else "", known.get(DIGEST) != digest)
    return PublishPlan(bucket, now, body, (copy, newest), open_to_all)


def apply_publish(account: Clients, plan: PublishPlan) -> tuple[str, ...]:
    """Write what the plan says, the dated copy first; gives the keys that were written.

    Raises:
        AwsError: if S3 refuses; one line. The newest page is then the old one, whole.
        PublishError: if somebody else has written since the plan was made.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    s3, done = account.client("s3"), []
    for write in plan.writes:
        if not write.needed:
            continue
        doing = f"writing s3://{plan.bucket}/{write.key}"
        guard = {"IfMatch": write.etag} if write.etag else {"IfNoneMatch": "*"}
        try:
            s3.put_object(
                Bucket=plan.bucket,
                Key=write.key,
                Body=plan.page,
                ContentType=TYPE,
                CacheControl=write.cache,
                Metadata={GENERATED: _stamp(plan.now), DIGEST: plan.digest},
                **guard,
            )
        except ClientError as error:
            if error.response["Error"].get("Code") in ("PreconditionFailed", "ConditionalRequestConflict"):
                raise PublishError.of(write.key, "another page", "was written meanwhile", "plan again") from error
            raise in_words(error, doing) from error
        except BotoCoreError as error:
            raise in_words(error, doing) from error
        done.append(write.key)
    return tuple(done)


def publish(
    account: Clients,
    bucket: str,
    page: str,
    now: datetime,
    *,
    prefix: str = "",
    public: bool = False,
    apply: bool = False,
) -> PublishPlan:
    """Plan, and with `apply` also write; see `plan_publish` and `apply_publish`."""
    plan = plan_publish(account, bucket, page, now, prefix=prefix, public=public)
    if apply:
        apply_publish(account, plan)
    return plan


def _stamp(now: datetime) -> str:
    """A time as text whose order is that of time."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _copy(s3: Any, bucket: str, moment: str, digest: str) -> Write:
    """The dated copy under a name that nothing else has; a page that is there already keeps its name."""
    key, number = f"{moment}.html", 1
    while True:
        there = _head(s3, bucket, key)
        if there is None:
            return Write(key, DATED, "", needed=True)
        if there.get("Metadata", {}).get(DIGEST) == digest:
            return Write(key, DATED, str(there["ETag"]), needed=False)
        number += 1
        key = f"{moment}-{number}.html"


def _head(s3: Any, bucket: str, key: str) -> dict[str, Any] | None:
    from botocore.exceptions import ClientError

    doing = f"looking for s3://{bucket}/{key}"
    with one_line(doing):
        try:
            return dict(s3.head_object(Bucket=bucket, Key=key))
        except ClientError as error:
            if error.response["Error"].get("Code") in ABSENT:
                return None
            raise


def _is_public(s3: Any, bucket: str) -> bool:
    from botocore.exceptions import ClientError

    with one_line(f"looking at bucket {bucket}"):
        s3.head_bucket(Bucket=bucket)  # HeadObject alone can't tell a missing bucket from a missing key
        try:
            return bool(s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"])
        except ClientError as error:
            if error.response["Error"].get("Code") == "NoSuchBucketPolicy":
                return False
            raise
