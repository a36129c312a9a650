"""What the checks read: an account, its regions and its buckets, each answer asked for once and kept.

Reads only, by boto3, all pages. A read that AWS refuses raises an `AwsError`, which becomes the status "unseen".
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from course_lib.finops.aws import AwsError, Clients, living_instances, one_line, pages, region_told
from course_lib.finops.compliance.results import Settings


def read(client: Any, call: str, *, absent: Collection[str] = (), **asked: Any) -> dict[str, Any] | None:
    """One answer of a call without pages; None where AWS says with one of the codes `absent` that nothing is set.

    Raises:
        AwsError: for every other failure, also of an endpoint that doesn't know the call.
    """
    from botocore.exceptions import ClientError

    doing = f"{call}{_of(asked)}"
    try:
        with _understood(doing), one_line(doing):
            answer: dict[str, Any] = getattr(client, call)(**asked)
            return answer
    except AwsError as error:
        if isinstance(error.__cause__, ClientError) and error.code in absent:
            return None
        raise


def listed(client: Any, call: str, key: str, **asked: Any) -> list[Any]:
    """Everything that a call with pages lists under a key.

    Raises:
        AwsError: if a page can't be had.
    """
    doing = f"{call}{_of(asked)}"
    with _understood(doing):
        return [one for page in pages(client, call, doing, **asked) for one in page.get(key, ())]


@contextmanager
def _understood(doing: str) -> Iterator[None]:
    """What an endpoint that doesn't know a call makes of it, as an `AwsError`; AWS itself knows every call."""
    from botocore.parsers import ResponseParserError

    try:
        yield
    except NotImplementedError as error:
        raise AwsError(f"{doing}: {error}") from error
    except ResponseParserError as error:
        reason = " ".join(str(error).split())[:300]
        raise AwsError(f"{doing}: the answer is none that boto3 can read: {reason}") from error


def _of(asked: dict[str, Any]) -> str:
    names = [value for value in asked.values() if isinstance(value, str)]
    return f" of {names[0]}" if names else ""


@dataclass
class Region:
    """One region of an account.

    Attributes:
        clients: the account.
        name: such as "eu-west-1".
        settings: the limits.
    """

    clients: Clients
    name: str
    settings: Settings

    @cached_property
    def ec2(self) -> Any:
        """EC2's client here."""
        return self.clients.client("ec2", region=self.name)

    @cached_property
    def instances(self) -> list[dict[str, Any]]:
        """Instances that aren't terminated."""
        return list(living_instances(self.clients, self.name))

    @cached_property
    def volumes(self) -> list[dict[str, Any]]:
        """EBS volumes."""
        return listed(self.ec2, "describe_volumes", "Volumes")

    @cached_property
    def snapshots(self) -> list[dict[str, Any]]:
        """The account's own EBS snapshots."""
        return listed(self.ec2, "describe_snapshots", "Snapshots", OwnerIds=["self"])

    @cached_property
    def log_groups(self) -> list[dict[str, Any]]:
        """CloudWatch's log groups."""
        return listed(self.clients.client("logs", region=self.name), "describe_log_groups", "logGroups")


@dataclass
class Bucket:
    """One S3 bucket, in whatever region it is.

    Attributes:
        account: whose.
        name: the bucket's.
    """

    account: Account
    name: str

    @cached_property
    def region(self) -> str:
        """Where it is."""
        return region_told(read(self.account.s3, "get_bucket_location", Bucket=self.name) or {})

    def ask(self, call: str, *absent: str) -> dict[str, Any] | None:
        """A setting of the bucket, or None if nothing is set.

        Raises:
            AwsError: if it can't be read.
        """
        s3 = self.account.clients.client("s3", region=self.region)
        return read(s3, call, absent=absent, Bucket=self.name)

    @cached_property
    def policy(self) -> dict[str, Any] | None:
        """The bucket's policy as a document; None without one."""
        told = self.ask("get_bucket_policy", "NoSuchBucketPolicy")
        return None if told is None else json.loads(told["Policy"])

    @cached_property
    def log_target(self) -> str:
        """The bucket that its access logs go to; "" if there are none."""
        told = self.ask("get_bucket_logging") or {}
        return str(told.get("LoggingEnabled", {}).get("TargetBucket", ""))

    @cached_property
    def lifecycle(self) -> list[dict[str, Any]]:
        """The lifecycle's rules that are switched on."""
        told = self.ask("get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration") or {}
        return [rule for rule in told.get("Rules", ()) if rule.get("Status") == "Enabled"]

    @cached_property
    def versioned(self) -> bool:
        """Whether it keeps what is overwritten and deleted."""
        return self._versioning == "Enabled"

    @cached_property
    def has_versions(self) -> bool:
        """Whether old versions may lie in it: those from before versioning was suspended stay."""
        return self._versioning in ("Enabled", "Suspended")

    @cached_property
    def _versioning(self) -> str:
        return str((self.ask("get_bucket_versioning") or {}).get("Status", ""))


@dataclass
class Account:
    """An account, for what belongs to no region.

    Attributes:
        clients: what makes boto3 clients.
        number: 12 digits.
        now: AWS's time.
        settings: the limits.
    """

    clients: Clients
    number: str
    now: datetime
    settings: Settings

    @cached_property
    def s3(self) -> Any:
        """S3's client in the account's default region."""
        return self.clients.client("s3")

    @cached_property
    def iam(self) -> Any:
        """IAM's client."""
        return self.clients.client("iam")

    @cached_property
    def buckets(self) -> list[Bucket]:
        """Every bucket of the account."""
        return [Bucket(self, one["Name"]) for one in listed(self.s3, "list_buckets", "Buckets")]

    @cached_property
    def users(self) -> list[dict[str, Any]]:
        """IAM's users."""
        return listed(self.iam, "list_users", "Users")

    def days_since(self, when: datetime) -> int:
        """Whole days from a moment until now."""
        return (self.now - when).days
