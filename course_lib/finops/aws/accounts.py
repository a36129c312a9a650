"""An account, seen as what makes boto3 clients: the real one, or the practice account, which has the same method."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, Protocol

from course_lib.finops.aws.failures import one_line
from course_lib.finops.aws.kept import KeptClients

ATTEMPTS = 8  # of a call that is throttled; boto3's standard mode waits longer each time, with jitter, up to 20 seconds


class Clients(Protocol):
    """Whatever makes boto3 clients."""

    def client(self, service: str, *, region: str | None = None) -> Any:
        """A boto3 client of a service in a region; None takes the account's default."""


class RealAccount:
    """The AWS account that a boto3 session belongs to.

    Args:
        session: a `boto3.Session`; a new one, from the usual profile or environment, when left out.
    """

    def __init__(self, session: Any = None) -> None:
        self._given = session
        self._kept = KeptClients()

    @cached_property
    def session(self) -> Any:
        """The boto3 session."""
        if self._given is not None:
            return self._given
        import boto3

        return boto3.Session()

    def client(self, service: str, *, region: str | None = None) -> Any:
        """A client that tries a throttled call again, with growing, jittered pauses; the same one each time.

        Raises:
            AwsError: when no region is set anywhere; says how to set one.
        """
        from botocore.config import Config

        # https://boto3.amazonaws.com/v1/documentation/api/latest/guide/retries.html
        config: Any = Config(retries={"mode": "standard", "total_max_attempts": ATTEMPTS})
        with one_line(f"making a client for {service}"):
            return self._kept.get(
                service, region, lambda: self.session.client(service, region_name=region, config=config)
            )


@dataclass(frozen=True)
class Caller:
    """Who AWS takes us for.

    Attributes:
        account: the account's number.
        arn: of the user or the role's session.
        now: AWS's time, in UTC, from the Date header of its answer: a laptop's clock may be wrong.
    """

    account: str
    arn: str
    now: datetime

    @property
    def partition(self) -> str:
        """The part of AWS in which the account is: "aws", "aws-cn" or "aws-us-gov"."""
        return self.arn.split(":")[1]


def who_calls(account: Clients) -> Caller:
    """Ask AWS whose account this is, and for its time.

    Raises:
        AwsError: when the call fails, in one line.
    """
    with one_line("asking AWS whose account this is"):
        told = account.client("sts").get_caller_identity()
    now = parsedate_to_datetime(told["ResponseMetadata"]["HTTPHeaders"]["date"]).astimezone(UTC)
    return Caller(told["Account"], told["Arn"], now)


def aws_now(account: Clients) -> datetime:
    """AWS's time, in UTC; see `Caller`.

    Raises:
        AwsError: when the call fails, in one line.
    """
    return who_calls(account).now
