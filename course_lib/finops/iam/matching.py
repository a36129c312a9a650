"""Whether a statement applies to a request, and if not, which of its elements says no.

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html and its pages on Action,
NotAction, Resource, NotResource, Principal and NotPrincipal.
"""

from __future__ import annotations

from dataclasses import dataclass

from course_lib.finops.iam.callers import Named
from course_lib.finops.iam.conditions import Check, check
from course_lib.finops.iam.document import Effect, Policy, Statement
from course_lib.finops.iam.request import Request
from course_lib.finops.iam.wildcards import matches_text


@dataclass(frozen=True)
class Match:
    """A statement, looked at for one request.

    Attributes:
        policy: the policy that holds it.
        statement: the statement.
        action: whether its actions cover the request's.
        resource: whether its resources do; not looked at where the actions do not.
        named: how closely it names the caller; `DIRECTLY` in a policy that names no principals.
        checks: its conditions, each decided; none where the actions do not cover the request's.
    """

    policy: Policy
    statement: Statement
    action: bool
    resource: bool
    named: Named
    checks: tuple[Check, ...]

    @property
    def applies(self) -> bool:
        """Whether the statement has its effect on the request."""
        return self.action and self.resource and self.named is not Named.NO and all(one.holds for one in self.checks)

    @property
    def allows(self) -> bool:
        """Whether it applies and is an Allow."""
        return self.applies and self.statement.effect is Effect.ALLOW

    @property
    def denies(self) -> bool:
        """Whether it applies and is a Deny."""
        return self.applies and self.statement.effect is Effect.DENY

    @property
    def label(self) -> str:
        """How messages name it: "statement 'OnlyTrn' of identity policy 'launch'"."""
        return f"{self.statement.label} of {self.policy.label}"


def match_statement(policy: Policy, statement: Statement, request: Request) -> Match:
    """Look at one statement.

    Args:
        policy: the policy that holds it.
        statement: the statement.
        request: the request.

    Returns:
        What covers the request and what does not.
    """
    action = request.action.lower()
    covered = any(matches_text(pattern.lower(), action) for pattern in statement.actions)
    if covered is statement.not_action:
        return Match(policy, statement, False, False, Named.NO, ())  # about other actions: nothing else matters
    meant = any(pattern.covers(request.resource, request.keys) for pattern in statement.resources)
    named = Named.DIRECTLY
    if statement.principals is not None and statement.not_principal:
        named = Named.NO if request.caller.exempt_from(statement.principals) else Named.DIRECTLY
    elif statement.principals is not None:
        named = request.caller.named_by(statement.principals)
    return Match(
        policy,
        statement,
        True,
        meant is not statement.not_resource,
        named,
        tuple(check(condition, request.keys) for condition in statement.conditions),
    )


def match_policy(policy: Policy, request: Request) -> tuple[Match, ...]:
    """Look at every statement of a policy."""
    return tuple(match_statement(policy, statement, request) for statement in policy.statements)
