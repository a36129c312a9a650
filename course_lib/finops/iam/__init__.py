"""IAM policies: read them strictly, decide requests as AWS documents it, say why, and generate the course's own.

Why it is here: the local AWS endpoint ignores Condition, so a lab graded by it alone would pass an unsafe policy.
"""

from course_lib.finops.iam.callers import Caller, CallerKind, Named
from course_lib.finops.iam.context import Context
from course_lib.finops.iam.decision import Decision, Layer, Outcome
from course_lib.finops.iam.document import Effect, Kind, Policy, Statement
from course_lib.finops.iam.ec2_requests import Launch, request_on_instance, requests_for_run_instances
from course_lib.finops.iam.errors import MalformedPolicyError, PolicyError, PolicyTooLargeError, RequestError
from course_lib.finops.iam.evaluate import evaluate, evaluate_all
from course_lib.finops.iam.explain import explain
from course_lib.finops.iam.guardrails import (
    FULL_ACCESS,
    LIMITS,
    budget_action_deny_policy,
    check_size,
    launch_policy,
    no_detours_scp,
    permission_boundary,
    protect_guardrails_scp,
    read_only_cost_policy,
    reaper_policy,
    stay_in_regions_scp,
    tagged_launches_scp,
)
from course_lib.finops.iam.matching import Match
from course_lib.finops.iam.missing import Lack, missing
from course_lib.finops.iam.parse import parse_policy
from course_lib.finops.iam.policies import Policies
from course_lib.finops.iam.request import Request

__all__ = [
    "FULL_ACCESS",
    "LIMITS",
    "Caller",
    "CallerKind",
    "Context",
    "Decision",
    "Effect",
    "Kind",
    "Lack",
    "Launch",
    "Layer",
    "MalformedPolicyError",
    "Match",
    "Named",
    "Outcome",
    "Policies",
    "Policy",
    "PolicyError",
    "PolicyTooLargeError",
    "Request",
    "RequestError",
    "Statement",
    "budget_action_deny_policy",
    "check_size",
    "evaluate",
    "evaluate_all",
    "explain",
    "launch_policy",
    "missing",
    "no_detours_scp",
    "parse_policy",
    "permission_boundary",
    "protect_guardrails_scp",
    "read_only_cost_policy",
    "reaper_policy",
    "request_on_instance",
    "requests_for_run_instances",
    "stay_in_regions_scp",
    "tagged_launches_scp",
]
