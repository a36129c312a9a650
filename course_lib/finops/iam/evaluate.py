"""From policies and a request to a decision, as AWS documents it.

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html
(one account) and https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html
(two accounts). Resource control policies, VPC endpoint policies and access control lists are not modelled.
"""

from __future__ import annotations

from collections.abc import Iterable

from course_lib.finops.iam.callers import CallerKind, Named
from course_lib.finops.iam.decision import Decision, Layer, Outcome
from course_lib.finops.iam.errors import RequestError
from course_lib.finops.iam.matching import Match, match_policy
from course_lib.finops.iam.policies import Given, Policies, policies_of
from course_lib.finops.iam.request import Request
from course_lib.finops.iam.wording import applies_because, near_misses, nearly_allows

# Actions on a resource whose own policy must allow: role trust policies and KMS key policies (denyallow page, step 3).
_OWN_POLICY_NEEDED = ("sts:assumerole", "kms:")


def evaluate(policies: Policies | Given, request: Request) -> Decision:
    """Decide one request.

    An explicit deny in any policy decides. Otherwise every level of service control policies must allow; a resource
    policy that names the caller directly then decides within one account; otherwise the identity policies (or, within
    the account, a resource policy that names the role), the permissions boundary and the session policy must each
    allow. Across accounts, the caller's side and the resource's policy must both allow.

    Args:
        policies: `Policies`, or identity policies alone: one document or a list of them.
        request: what is asked.

    Returns:
        The decision, with the statements that decided and an explanation to read.

    Raises:
        MalformedPolicyError: a document breaks the policy language.
    """
    given = policies_of(policies)
    layers = {layer: match_layers(given, layer, request) for layer in Layer}
    everything = [match for groups in layers.values() for group in groups for match in group]
    denying = [match for match in everything if match.denies]
    if denying:
        reasons = "; ".join(applies_because(match, request) for match in denying)
        return Decision(Outcome.EXPLICIT_DENY, request, tuple(denying), f"explicitly denied: {reasons}.")
    return _without_deny(given, request, layers)


def match_layers(given: Policies, layer: Layer, request: Request) -> list[list[Match]]:
    """Look at every statement of a layer; one inner list for each level that must allow."""
    if layer is Layer.SCP and (request.caller.is_service_linked or not request.caller.account):
        return []  # service control policies restrict the principals of member accounts only
    return [[match for policy in level for match in match_policy(policy, request)] for level in given.levels(layer)]


def _without_deny(given: Policies, request: Request, layers: dict[Layer, list[list[Match]]]) -> Decision:
    """Steps 2 to 6 of the documented flow, after no Deny was found."""
    caller = request.caller
    used: list[Match] = []
    for level in layers[Layer.SCP]:
        if not (allowing := [match for match in level if match.allows]):
            return _implicit(request, Layer.SCP, [level])
        used += allowing
    by_resource = [match for level in layers[Layer.RESOURCE] for match in level if match.allows]
    closest = max((match.named for match in by_resource), default=Named.NO)
    in_one_account = not request.crosses_accounts
    if caller.kind in (CallerKind.SERVICE, CallerKind.ANONYMOUS):
        if closest is Named.DIRECTLY:
            return _allowed(request, used + by_resource)
        return _implicit(request, Layer.RESOURCE, layers[Layer.RESOURCE])
    if in_one_account and closest is Named.DIRECTLY:
        return _allowed(request, used + by_resource)
    needs_own = request.action.lower().startswith(_OWN_POLICY_NEEDED) and request.resource != "*"
    if closest is Named.NO and (request.crosses_accounts or (needs_own and caller.kind is not CallerKind.ROOT)):
        return _implicit(request, Layer.RESOURCE, layers[Layer.RESOURCE])
    if not in_one_account or closest is not Named.NO:
        used += by_resource
    needed = [Layer.IDENTITY, Layer.BOUNDARY, Layer.SESSION]
    if caller.kind is CallerKind.ROOT or (in_one_account and closest is Named.ROLE):
        needed.remove(Layer.IDENTITY)  # root needs no identity policy; a role named by the resource needs none either
    for layer in needed:
        matches = [match for level in layers[layer] for match in level]
        allowing = [match for match in matches if match.allows]
        asked = layer is Layer.IDENTITY or given.has(layer) or _session_missing(layer, caller.kind)
        if asked and not allowing:
            return _implicit(request, layer, layers[layer])
        used += allowing
    return _allowed(request, used)


def _session_missing(layer: Layer, kind: CallerKind) -> bool:
    """A federated user session without a session policy may do nothing (denyallow page, step 6)."""
    return layer is Layer.SESSION and kind is CallerKind.FEDERATED


def _allowed(request: Request, used: list[Match]) -> Decision:
    if not used:
        return Decision(Outcome.ALLOW, request, (), f"allowed: {request.caller.arn} is the account's root user.")
    reasons = "; ".join(applies_because(match, request) for match in used)
    return Decision(Outcome.ALLOW, request, tuple(used), f"allowed: {reasons}.")


def _implicit(request: Request, layer: Layer, levels: list[list[Match]]) -> Decision:
    """An implicit deny in one layer, with the statements that came nearest to allowing."""
    matches = [match for level in levels for match in level]
    near = near_misses(matches)
    reasons = "; ".join(nearly_allows(match, request) for match in near)
    if not reasons:
        reasons = f"no statement of the {layer.value} allows {request.action}"
        reasons = reasons if matches else f"nothing is given as {layer.value}, and it must allow {request.action}"
    where = "" if layer is Layer.IDENTITY else f" by the {layer.value}"
    text = f"denied{where}: {reasons}"
    if near:
        text += f" (resource {request.resource})" if request.resource not in text and request.resource != "*" else ""
    return Decision(Outcome.IMPLICIT_DENY, request, tuple(near), f"{text}.", layer)


def evaluate_all(policies: Policies | Given, requests: Iterable[Request]) -> Decision:
    """Decide one API call that is several requests: it goes through only if each of them does.

    Args:
        policies: as for `evaluate`.
        requests: at least one, such as from `requests_for_run_instances`.

    Returns:
        The first explicit deny, else the first implicit deny, else the allow of the last request.

    Raises:
        RequestError: there are no requests.
    """
    given = policies_of(policies)
    decisions = [evaluate(given, request) for request in requests]
    if not decisions:
        raise RequestError.of("requests", [], "is empty: a call is at least one request", "give the call's requests")
    order = (Outcome.EXPLICIT_DENY, Outcome.IMPLICIT_DENY, Outcome.ALLOW)
    worst = min(decisions, key=lambda decision: order.index(decision.outcome))
    return worst if not worst.allowed else decisions[-1]
