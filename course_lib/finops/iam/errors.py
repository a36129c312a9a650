"""How the policy evaluator refuses an input: a policy, a request, or a policy that is too long to attach."""

from __future__ import annotations

from typing import Self

from course_lib.finops.errors import FinopsError


class PolicyError(FinopsError):
    """A policy or a request that can't be evaluated; the message names the value, the rule and the remedy."""


class MalformedPolicyError(PolicyError):
    """A policy document that breaks the grammar of the policy language, or that could never do what it says."""

    @classmethod
    def at(cls, where: str, name: str, value: object, rule: str, remedy: str) -> Self:
        """Build the error for one element of a document.

        Args:
            where: the place, such as "statement 2 ('OnlyTrn')".
            name: the element, such as "Effect".
            value: what stands there; long values are cut.
            rule: the rule that it breaks ("must be ...").
            remedy: what to write instead.

        Returns:
            The error, to be raised.
        """
        shown = repr(value)
        shown = shown if len(shown) <= 120 else shown[:117] + "..."
        return cls(f"{where}: {name}={shown} {rule}. Remedy: {remedy}.")


class PolicyTooLargeError(PolicyError):
    """A policy that is longer than AWS stores for the kind of entity that it is attached to."""


class RequestError(PolicyError):
    """A request that no AWS service could send: a wildcard in its action, an unreadable ARN, a doubled key."""
