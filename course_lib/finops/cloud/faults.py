"""Faults on demand: the errors that a cloud gives on bad days, so that code can be shown to survive them.

moto never throttles, never runs out of capacity and never disagrees about the time. A rule here answers chosen calls
with AWS's own error instead of passing them on.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from course_lib.finops.cloud.wire import ApiCall, ApiError
from course_lib.finops.errors import FinopsError

# Code, status and message as each kind looks on AWS. EC2 has codes of its own.
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
# https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
KINDS = {
    "throttling": ("ThrottlingException", 400, "Rate exceeded"),
    "capacity": (
        "InsufficientInstanceCapacity",
        500,
        "We currently do not have sufficient capacity in the Availability Zone you requested.",
    ),
    "denied": ("AccessDeniedException", 403, "User is not authorized to perform this action"),
    "internal": ("InternalError", 500, "An internal error has occurred"),
    "unavailable": ("ServiceUnavailable", 503, "The service is temporarily unavailable"),
    "skew": ("RequestExpired", 400, "Request has expired: its time differs too much from this server's."),
}
OF_EC2 = {"throttling": ("RequestLimitExceeded", 503), "denied": ("UnauthorizedOperation", 403)}
OF_S3 = {"throttling": ("SlowDown", 503), "denied": ("AccessDenied", 403), "skew": ("RequestTimeTooSkewed", 403)}


@dataclass(frozen=True)
class Fault:
    """Which calls fail, how, and how often.

    Attributes:
        kind: one of `KINDS`.
        calls: service and operation with wildcards: "ec2.RunInstances", "ec2.*", "*".
        region: with wildcards.
        times: how many matching calls fail; None for all.
        skip: how many matching calls pass first.
        chance: the probability that a matching call fails, from 0 to 1.
        actor: whose calls fail: "caller", "scheduler", ... with wildcards.

    Raises:
        FinopsError: for an unknown kind, a chance outside of [0, 1] or negative counts.
    """

    kind: str
    calls: str = "*"
    region: str = "*"
    times: int | None = None
    skip: int = 0
    chance: float = 1.0
    actor: str = "caller"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise FinopsError.of("kind", self.kind, "is no kind of fault", f"use one of {', '.join(KINDS)}")
        if not 0 <= self.chance <= 1:
            raise FinopsError.of("chance", self.chance, "must be a probability", "give a number from 0 to 1")
        if self.times is not None:
            FinopsError.check_count("times", self.times)
        FinopsError.check_count("skip", self.skip, 0)

    def answers(self, call: ApiCall, actor: str) -> bool:
        """Whether the rule speaks of this call."""
        return (
            fnmatchcase(call.name, self.calls)
            and fnmatchcase(call.region, self.region)
            and fnmatchcase(actor, self.actor)
        )

    def error(self, service: str) -> ApiError:
        """The error as this service words it."""
        code, status, message = KINDS[self.kind]
        code, status = {"ec2": OF_EC2, "s3": OF_S3}.get(service, {}).get(self.kind, (code, status))
        return ApiError(code, message, status)


class Faults:
    """The rules in force. The first that speaks of a call decides.

    Args:
        seed: of the draws for rules with a chance below 1.
    """

    def __init__(self, seed: int = 0) -> None:
        self._rules: list[Fault] = []
        self._draw = random.Random(seed)
        self._lock = threading.Lock()

    def inject(self, faults: Iterable[Fault]) -> None:
        """Add rules behind those that are there."""
        with self._lock:
            self._rules.extend(faults)

    def clear(self) -> None:
        """Remove all rules."""
        with self._lock:
            self._rules.clear()

    def rules(self) -> list[Fault]:
        """The rules in force, with what is left of their counts."""
        with self._lock:
            return list(self._rules)

    def strike(self, call: ApiCall, actor: str) -> ApiError | None:
        """The error that this call gets, or None; counts it."""
        with self._lock:
            for place, rule in enumerate(self._rules):
                if not rule.answers(call, actor):
                    continue
                if rule.skip:
                    self._rules[place] = replace(rule, skip=rule.skip - 1)
                    return None
                if self._draw.random() >= rule.chance:
                    return None
                if rule.times == 1:
                    del self._rules[place]
                elif rule.times is not None:
                    self._rules[place] = replace(rule, times=rule.times - 1)
                return rule.error(call.service)
        return None
