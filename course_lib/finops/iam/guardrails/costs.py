"""Policies about money: read what is spent, and stop every launch when a budget is used up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from course_lib.finops.iam.document import Kind
from course_lib.finops.iam.guardrails.blocks import Block, except_for
from course_lib.finops.iam.guardrails.inputs import check_roles
from course_lib.finops.iam.guardrails.launching import DIRECT_LAUNCHES, OTHER_LAUNCHES
from course_lib.finops.iam.guardrails.size import finished


def read_only_cost_policy() -> dict[str, Any]:
    """Allow to read costs, budgets, prices and recommendations, and to change nothing.

    A request to the Cost Explorer API is charged for, so a dashboard should cache its answers.

    Returns:
        An identity policy for a managed policy.
    """
    reads = [
        "budgets:Describe*",
        "budgets:List*",
        "budgets:ViewBudget",
        "ce:Describe*",
        "ce:Get*",
        "ce:List*",
        "compute-optimizer:Get*",
        "cur:DescribeReportDefinitions",
        "ec2:DescribeInstanceTypes",
        "ec2:DescribeInstances",
        "ec2:DescribeRegions",
        "ec2:DescribeSpotPriceHistory",
        "ec2:DescribeVolumes",
        "freetier:Get*",
        "pricing:Describe*",
        "pricing:Get*",
        "pricing:List*",
        "savingsplans:Describe*",
        "tag:GetResources",
        "tag:GetTagKeys",
        "tag:GetTagValues",
    ]
    return finished([{"Sid": "ReadCosts", "Effect": "Allow", "Action": reads, "Resource": "*"}], Kind.IDENTITY)


def budget_action_deny_policy(exempt_roles: Sequence[str] = ()) -> dict[str, Any]:
    """Deny everything that starts to spend on compute; to look, stop and terminate stays possible.

    AWS Budgets attaches such a policy to users, groups and roles when a budget is used up (a budget action of the
    type APPLY_IAM_POLICY). Budget data are hours old by then, so this is a stop after the fact.

    Args:
        exempt_roles: the ARNs of roles that it must not stop, should it be attached to them as well.

    Returns:
        An identity policy for a managed policy.

    Raises:
        PolicyError: a role's ARN can't be read.
    """
    block: Block = {
        "Sid": "BudgetUsedUp",
        "Effect": "Deny",
        "Action": [*DIRECT_LAUNCHES, *OTHER_LAUNCHES],
        "Resource": "*",
    }
    if exempt := check_roles("exempt_roles", exempt_roles):
        block["Condition"] = except_for(exempt)
    return finished([block], Kind.IDENTITY)
