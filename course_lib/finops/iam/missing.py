"""What a role still lacks for the requests that it should be able to make."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from course_lib.finops.iam.decision import Decision, Layer, Outcome
from course_lib.finops.iam.evaluate import evaluate
from course_lib.finops.iam.policies import Given, Policies, policies_of
from course_lib.finops.iam.request import Request


@dataclass(frozen=True)
class Lack:
    """A wanted request that is denied.

    Attributes:
        request: the request.
        decision: why it is denied.
        advice: what has to change.
    """

    request: Request
    decision: Decision
    advice: str


def missing(policies: Policies | Given, wanted: Iterable[Request]) -> list[Lack]:
    """List the wanted requests that these policies deny, each with what would have to change.

    Args:
        policies: `Policies`, or identity policies alone: one document or a list of them.
        wanted: the requests that should be allowed, such as all of `requests_for_run_instances`.

    Returns:
        The denied ones in the order given; empty if nothing is lacking.

    Raises:
        MalformedPolicyError: a document breaks the policy language.
    """
    given = policies_of(policies)
    decisions = ((request, evaluate(given, request)) for request in wanted)
    return [
        Lack(request, decision, _advice(request, decision)) for request, decision in decisions if not decision.allowed
    ]


def _advice(request: Request, decision: Decision) -> str:
    if decision.outcome is Outcome.EXPLICIT_DENY:
        denying = ", ".join(match.label for match in decision.statements)
        return f"{denying} denies it, and no Allow can help: narrow that Deny, or do without {request.label}"
    where = decision.missing or Layer.IDENTITY
    if not decision.statements:
        return f"allow {request.action} on {request.resource} in the {where.value}"
    nearest = decision.statements[0]
    failed = [f"{one.condition.key} ({one.condition.operator.text})" for one in nearest.checks if not one.holds]
    if not nearest.resource:
        return f"add {request.resource} to the resources of {nearest.label}, or allow it in a statement of its own"
    if failed:
        return f"make the request meet {' and '.join(failed)} of {nearest.label}, or widen that condition"
    return f"name {request.caller.arn} among the principals of {nearest.label}"
