"""What a check says about one resource, and what the checks are measured by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from course_lib.finops.compliance.errors import ComplianceError

Status = Literal["passed", "failed", "unseen", "not applicable"]
GLOBAL = "global"  # where a result belongs to no region: IAM, CloudTrail's list of trails


@dataclass(frozen=True)
class Finding:
    """One resource, judged.

    Attributes:
        status: "passed" and "failed" are verdicts; "unseen" means that AWS did not let us look, so nobody knows.
        resource: an id, a bucket's name, "user ada".
        evidence: what was read.
        remedy: what to do; "" where nothing is to be done.
    """

    status: Status
    resource: str
    evidence: str
    remedy: str = ""


@dataclass(frozen=True)
class Result:
    """A finding with the check that made it and the region that it belongs to."""

    check: str
    region: str
    status: Status
    resource: str
    evidence: str
    remedy: str = ""


def verdict(good: bool, resource: str, evidence: str, remedy: str) -> Finding:
    """A finding that is passed or failed; the remedy stays only with the failed one."""
    return Finding("passed", resource, evidence) if good else Finding("failed", resource, evidence, remedy)


@dataclass(frozen=True)
class Settings:
    """The limits, which people decide: neither FedRAMP, HIPAA nor the GDPR names most of these numbers.

    Attributes:
        allowed_regions: where data may be; empty if nobody has decided, and then residency is not judged.
        key_days: the age from which an access key is too old. AWS Config's rule access-keys-rotated: 90.
        unused_days: after how many days without use a user's password or key, or a role, counts as unused. AWS
            Config's rule iam-user-unused-credentials-check: 90.
        log_days: the fewest and the most days for which a log group keeps its events.
        open_ports: TCP ports that a security group may open to the whole world.
        administrators: names of users, roles and groups of whom people decided that they may do everything.

    Raises:
        ComplianceError: for a number below 1, bounds the wrong way round, or a port that is none.
    """

    allowed_regions: tuple[str, ...] = ()
    key_days: int = 90
    unused_days: int = 90
    log_days: tuple[int, int] = (365, 1096)
    open_ports: tuple[int, ...] = ()
    administrators: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("allowed_regions", "open_ports", "administrators", "log_days"):
            if isinstance(getattr(self, name), str) or not isinstance(getattr(self, name), Iterable):
                raise ComplianceError.of(name, getattr(self, name), "must be a tuple", "write it as in ('eu-west-1',)")
        ComplianceError.check_count("key_days", self.key_days)
        ComplianceError.check_count("unused_days", self.unused_days)
        if len(self.log_days) != 2:
            raise ComplianceError.of("log_days", self.log_days, "must be two numbers", "give the fewest and the most")
        for days in self.log_days:
            ComplianceError.check_count("log_days", days)
        if self.log_days[0] > self.log_days[1]:
            raise ComplianceError.of(
                "log_days", self.log_days, "has its bounds the wrong way round", "give the smaller number first"
            )
        for port in self.open_ports:
            ComplianceError.check_count("open_ports", port)
            if port > 65535:
                raise ComplianceError.of("open_ports", port, "is no TCP port", "give a number of at most 65535")
