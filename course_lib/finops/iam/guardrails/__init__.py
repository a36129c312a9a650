"""Generators of the course's guardrails: policies for launches, the reaper, costs, a boundary, and an organisation."""

from course_lib.finops.iam.guardrails.boundary import permission_boundary
from course_lib.finops.iam.guardrails.costs import budget_action_deny_policy, read_only_cost_policy
from course_lib.finops.iam.guardrails.launch import launch_policy
from course_lib.finops.iam.guardrails.reaper import reaper_policy
from course_lib.finops.iam.guardrails.scps import (
    FULL_ACCESS,
    no_detours_scp,
    protect_guardrails_scp,
    stay_in_regions_scp,
    tagged_launches_scp,
)
from course_lib.finops.iam.guardrails.size import LIMITS, check_size

__all__ = [
    "FULL_ACCESS",
    "LIMITS",
    "budget_action_deny_policy",
    "check_size",
    "launch_policy",
    "no_detours_scp",
    "permission_boundary",
    "protect_guardrails_scp",
    "read_only_cost_policy",
    "reaper_policy",
    "stay_in_regions_scp",
    "tagged_launches_scp",
]
