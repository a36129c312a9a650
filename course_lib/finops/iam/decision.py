"""What an evaluation says: the outcome, the statements that decided, and the reason in words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from course_lib.finops.iam.matching import Match
from course_lib.finops.iam.request import Request


class Outcome(Enum):
    """The three ends of an evaluation."""

    ALLOW = "allow"
    IMPLICIT_DENY = "implicit deny"
    EXPLICIT_DENY = "explicit deny"


class Layer(Enum):
    """A group of policies that must allow together; the value is the phrase that messages use."""

    SCP = "service control policies"
    RESOURCE = "resource policy"
    IDENTITY = "identity policies"
    BOUNDARY = "permissions boundary"
    SESSION = "session policy"


@dataclass(frozen=True)
class Decision:
    """A decision on one request.

    Attributes:
        outcome: allow, implicit deny or explicit deny.
        request: what was asked.
        statements: those that allowed or denied; for an implicit deny those that came nearest to allowing.
        explanation: why, in words for a learner.
        missing: for an implicit deny, the layer in which no statement allows; otherwise None.
    """

    outcome: Outcome
    request: Request
    statements: tuple[Match, ...]
    explanation: str
    missing: Layer | None = None

    @property
    def allowed(self) -> bool:
        """Whether the request goes through."""
        return self.outcome is Outcome.ALLOW

    def __bool__(self) -> bool:
        raise TypeError("a Decision is neither true nor false: ask decision.allowed or decision.outcome")
