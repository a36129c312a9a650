"""Service control policies: what nobody in a member account may do, its administrators included.

Each is a list of denials, to be attached beside FullAWSAccess. They restrict no service-linked role and not the
management account. Source: https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from course_lib.finops.iam.document import Kind
from course_lib.finops.iam.errors import PolicyError
from course_lib.finops.iam.guardrails.blocks import (
    Block,
    deny_detaching,
    deny_launch_without,
    deny_other_regions,
    deny_protecting,
    deny_tag_changes,
    except_for,
    guard_identities,
)
from course_lib.finops.iam.guardrails.inputs import (
    check_name,
    check_regions,
    check_roles,
    check_tags,
    check_unprotected,
)
from course_lib.finops.iam.guardrails.launching import IAM_CHANGES, INSTANCE_CHANGES, OTHER_LAUNCHES
from course_lib.finops.iam.guardrails.size import finished

FULL_ACCESS: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}

# What changes or silences the machinery; to publish to its topics, which the reaper does, is not among them.
_MACHINERY_CHANGES = (
    "events:Delete*",
    "events:Disable*",
    "events:Put*",
    "events:Remove*",
    "lambda:Add*",
    "lambda:Delete*",
    "lambda:Put*",
    "lambda:Remove*",
    "lambda:Update*",
    "scheduler:*",
    "sns:AddPermission",
    "sns:Delete*",
    "sns:Remove*",
    "sns:Set*",
    "sns:Unsubscribe",
)


def stay_in_regions_scp(regions: Sequence[str], exempt_roles: Sequence[str] = ()) -> dict[str, Any]:
    """Deny everything outside of these regions, services without regions left out.

    Args:
        regions: where work is allowed.
        exempt_roles: the ARNs of roles that it does not stop.

    Returns:
        A service control policy.

    Raises:
        PolicyError: an argument can't be read.
    """
    exempt = check_roles("exempt_roles", exempt_roles)
    return finished([deny_other_regions(check_regions(regions), exempt)], Kind.SCP, "service control policy")


def tagged_launches_scp(
    required_tags: Sequence[str] = ("owner", "expires-at"),
    exempt_roles: Sequence[str] = (),
    partition: str = "aws",
    protected_tag: str = "protected",
) -> dict[str, Any]:
    """Deny launches without these tags, changes of the tags afterwards, and changes of a running instance's end.

    The tag that puts an instance out of the reaper's reach is denied as well: people who may set it need a role of
    their own among the exempt ones.

    Args:
        required_tags: keys that every instance and volume must have from the start, and keeps.
        exempt_roles: the ARNs of roles that it does not stop: the reaper's, which lifts termination protection.
        partition: "aws", "aws-cn" or "aws-us-gov".
        protected_tag: key of the tag that protects.

    Returns:
        A service control policy.

    Raises:
        PolicyError: an argument can't be read.
        PolicyTooLargeError: too many tags or roles for 5,120 characters.
    """
    exempt = check_roles("exempt_roles", exempt_roles)
    tags = check_tags("required_tags", required_tags, least=1)
    check_unprotected(protected_tag, tags)
    change: Block = {
        "Sid": "DenyInstanceChanges",
        "Effect": "Deny",
        "Action": list(INSTANCE_CHANGES),
        "Resource": "*",
    }
    if exempt:
        change["Condition"] = except_for(exempt)
    blocks = [block for tag in tags for block in deny_launch_without(tag, partition, exempt)]
    blocks += [*deny_tag_changes(tags, partition, exempt), deny_protecting(protected_tag, partition, exempt), change]
    return finished(blocks, Kind.SCP, "service control policy")


def protect_guardrails_scp(
    deployer_roles: Sequence[str], guard_prefix: str = "guardrail-", partition: str = "aws"
) -> dict[str, Any]:
    """Deny to change, delete or use the guardrails: roles, policies, functions, schedules, rules, topics, budgets.

    Args:
        deployer_roles: the ARNs of the roles that install the guardrails; they alone are left out.
        guard_prefix: prefix of the names of everything that belongs to the guardrails.
        partition: "aws", "aws-cn" or "aws-us-gov".

    Returns:
        A service control policy.

    Raises:
        PolicyError: an argument can't be read, or no deployer is named: nobody could then change the guardrails.
    """
    check_name("guard_prefix", guard_prefix)
    deployers = check_roles("deployer_roles", deployer_roles)
    if not deployers:
        raise PolicyError.of(
            "deployer_roles",
            deployer_roles,
            "must name at least one role",
            "name the role that installs the guardrails",
        )
    machinery = (
        "events:*:*:rule/",
        "events:*:*:rule/*/",
        "lambda:*:*:function:",
        "scheduler:*:*:schedule/*/",
        "sns:*:*:",
    )
    named = {
        "DenyGuardIdentities": (IAM_CHANGES, guard_identities("*", guard_prefix, partition)),
        "DenyGuardMachinery": (
            _MACHINERY_CHANGES,
            [f"arn:{partition}:{place}{guard_prefix}*" for place in machinery],
        ),
    }
    statements: list[Block] = [
        {
            "Sid": sid,
            "Effect": "Deny",
            "Action": list(actions),
            "Resource": resources,
            "Condition": except_for(deployers),
        }
        for sid, (actions, resources) in named.items()
    ]
    statements.append(deny_detaching("*", guard_prefix, partition, deployers))
    statements.append(
        {
            "Sid": "DenyBlinding",
            "Effect": "Deny",
            "Action": [
                "budgets:Delete*",
                "budgets:Execute*",
                "budgets:Modify*",
                "budgets:Update*",
                "cloudtrail:Delete*",
                "cloudtrail:PutEventSelectors",
                "cloudtrail:Stop*",
                "cloudtrail:Update*",
                "config:Delete*",
                "config:Stop*",
                "iam:DeleteRolePermissionsBoundary",
                "iam:DeleteUserPermissionsBoundary",
                "organizations:LeaveOrganization",
                "scheduler:DeleteScheduleGroup",  # takes every schedule in it along, whatever their names
            ],
            "Resource": "*",
            "Condition": except_for(deployers),
        }
    )
    # Another boundary in the place of a guardrail's lifts it as well.
    fences = f"arn:{partition}:iam::*:policy/{guard_prefix}*"
    statements.append(
        {
            "Sid": "DenyOtherBoundaries",
            "Effect": "Deny",
            "Action": ["iam:PutRolePermissionsBoundary", "iam:PutUserPermissionsBoundary"],
            "Resource": "*",
            "Condition": {"ArnNotLike": {"iam:PermissionsBoundary": fences, **except_for(deployers)["ArnNotLike"]}},
        }
    )
    return finished(statements, Kind.SCP, "service control policy")


def no_detours_scp(exempt_roles: Sequence[str] = ()) -> dict[str, Any]:
    """Deny every way to start compute but ec2:RunInstances and ec2:StartInstances.

    Auto Scaling and Spot Fleet launch through service-linked roles, which no service control policy restricts: the
    calls that set them to work are what can be denied.

    Args:
        exempt_roles: the ARNs of roles that it does not stop.

    Returns:
        A service control policy.

    Raises:
        PolicyError: an argument can't be read.
    """
    block: Block = {"Sid": "DenyDetours", "Effect": "Deny", "Action": list(OTHER_LAUNCHES), "Resource": "*"}
    if exempt := check_roles("exempt_roles", exempt_roles):
        block["Condition"] = except_for(exempt)
    return finished([block], Kind.SCP, "service control policy")
