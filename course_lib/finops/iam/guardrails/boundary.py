"""The permissions boundary of everybody who works in the account: what no policy of theirs can exceed."""

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
    guard_identities,
)
from course_lib.finops.iam.guardrails.inputs import (
    check_account,
    check_name,
    check_regions,
    check_roles,
    check_services,
    check_tags,
    check_types,
    check_unprotected,
)
from course_lib.finops.iam.guardrails.launching import GUARD_CHANGES, IAM_CHANGES, INSTANCE_CHANGES, OTHER_LAUNCHES
from course_lib.finops.iam.guardrails.size import finished

SERVICES = (
    "budgets", "ce", "cloudwatch", "ec2", "ecr", "fsx", "iam", "kms", "logs", "pricing", "s3", "scheduler",
    "servicequotas", "sns", "ssm", "sts", "tag",
)  # fmt: skip
# Calls that give an IAM entity permissions; allowed only on entities that carry this same boundary.
# Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html ("Delegating responsibility")
_GRANTS = (
    "iam:AttachRolePolicy",
    "iam:AttachUserPolicy",
    "iam:CreateRole",
    "iam:CreateUser",
    "iam:PutRolePolicy",
    "iam:PutUserPolicy",
)
# Ways to become somebody else, to lift a boundary, or to leave a group whose policies deny something. A new name is
# one: owners are told apart by it, and a budget action stops groups by it; so is a tag of one's own, such as owner. To
# set this boundary on what has none (the role that ends leases) would open it to _GRANTS, and to a policy that denies.
_TAKEOVERS = (
    "iam:*PermissionsBoundary",
    "iam:*ServiceSpecificCredential",
    "iam:*TagRole",  # to untag as well: names of actions have no capitals
    "iam:*TagUser",
    "iam:AddUserToGroup",
    "iam:CreateAccessKey",
    "iam:CreateLoginProfile",
    "iam:RemoveUserFromGroup",
    "iam:Update*",
)


def permission_boundary(
    account: str,
    regions: Sequence[str],
    instance_types: Sequence[str],
    *,
    name: str = "course-boundary",
    guard_prefix: str = "guardrail-",
    required_tags: Sequence[str] = ("owner", "expires-at"),
    services: Sequence[str] = SERVICES,
    pass_roles: Sequence[str] = (),
    protected_tag: str = "protected",
    partition: str = "aws",
) -> dict[str, Any]:
    """The most that a researcher may ever do, whatever else is attached.

    It grants nothing by itself. It leaves the named services, and denies in them: other regions, other instance
    types, launches without the tags, other ways to launch, changes of running instances and of their tags, the tag that
    protects from the reaper, IAM entities without this boundary, setting or lifting a boundary, the guardrails' own
    roles and policies, changes of budgets and of schedules, and passing or taking on any role but the named ones: a
    role that somebody else made may have no boundary.

    Args:
        account: 12 digits.
        regions: where work is allowed.
        instance_types: names, or families such as "trn1.*".
        name: of the managed policy that this becomes; it protects itself under that name.
        guard_prefix: prefix of the names of the guardrails' roles and policies.
        required_tags: keys that every instance and volume must have from the start, and keeps.
        services: service prefixes that are left.
        pass_roles: the ARNs of roles that may be passed to instances or schedules, and taken on.
        protected_tag: key of the tag that puts an instance out of the reaper's reach.
        partition: "aws", "aws-cn" or "aws-us-gov".

    Returns:
        A permissions boundary for a managed policy.

    Raises:
        PolicyError: an argument can't be read.
        PolicyTooLargeError: the policy is over 6,144 characters.
    """
    check_account(account)
    regions, types = check_regions(regions), check_types(instance_types)
    tags = check_tags("required_tags", required_tags, least=1)
    check_unprotected(protected_tag, tags)
    roles = check_roles("pass_roles", pass_roles)
    check_name("name", name)
    check_name("guard_prefix", guard_prefix)
    if any(role.rpartition("/")[2].startswith(guard_prefix) for role in roles):
        raise PolicyError.of("pass_roles", roles, f"names a guardrail's role ({guard_prefix}...)", "leave it out")
    itself = f"arn:{partition}:iam::{account}:policy/{name}"
    statements: list[Block] = [
        {
            "Sid": "Services",
            "Effect": "Allow",
            "Action": [f"{service}:*" for service in check_services(services)],
            "Resource": "*",
        },
        deny_other_regions(regions),
        {
            "Sid": "DenyOtherTypes",
            "Effect": "Deny",
            "Action": ["ec2:RunInstances", "ec2:StartInstances"],
            "Resource": f"arn:{partition}:ec2:*:*:instance/*",
            "Condition": {"StringNotLike": {"ec2:InstanceType": types}},
        },
        *(block for tag in tags for block in deny_launch_without(tag, partition)),
        *deny_tag_changes(tags, partition),
        deny_protecting(protected_tag, partition),
        {
            "Sid": "DenyDetours",
            "Effect": "Deny",
            "Action": [*_of(OTHER_LAUNCHES, services), *INSTANCE_CHANGES],
            "Resource": "*",
        },
        {
            "Sid": "DenyGuardrails",
            "Effect": "Deny",
            "Action": list(IAM_CHANGES),
            "Resource": [itself, *guard_identities(account, guard_prefix, partition)],
        },
        deny_detaching(account, guard_prefix, partition),
        {
            "Sid": "DenyGrantsWithoutBoundary",
            "Effect": "Deny",
            "Action": list(_GRANTS),
            "Resource": "*",
            "Condition": {"ArnNotEquals": {"iam:PermissionsBoundary": itself}},
        },
        {"Sid": "DenyTakeovers", "Effect": "Deny", "Action": list(_TAKEOVERS), "Resource": "*"},
        {"Sid": "DenyOtherRoles", "Effect": "Deny", "Action": ["iam:PassRole", "sts:AssumeRole"], **_all_but(roles)},
    ]
    if changes := _of(GUARD_CHANGES, services):
        statements.append({"Sid": "DenyUnguarding", "Effect": "Deny", "Action": changes, "Resource": "*"})
    return finished(statements, Kind.BOUNDARY)


def _all_but(roles: Sequence[str]) -> Block:
    return {"NotResource": list(roles)} if roles else {"Resource": "*"}


def _of(actions: Sequence[str], services: Sequence[str]) -> list[str]:
    """The actions of services that the boundary leaves; it does not allow the others in the first place."""
    return [action for action in actions if action.partition(":")[0] in services]
