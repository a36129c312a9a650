"""Who may do everything: each user, role and group is asked by IAM's own rules, instead of searching for stars.

A search for `"Action": "*"` misses `NotAction`, and accuses a user whose permissions boundary or Deny forbids most of
it. So the documents go to the evaluator with requests that only an administrator may make in all of these services.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from course_lib.finops.aws import pages
from course_lib.finops.compliance.facts import Account, read
from course_lib.finops.compliance.results import Finding, verdict
from course_lib.finops.errors import FinopsError
from course_lib.finops.iam import Policies, Request, evaluate

WANTED = ("User", "Role", "Group", "LocalManagedPolicy")
OURS_NOT = "/aws-service-role/"


# With a second factor, too: to deny everything without one is usual, and makes an administrator no less of one.
CIRCUMSTANCES: tuple[dict[str, str], ...] = ({}, {"aws:MultiFactorAuthPresent": "true", "aws:MultiFactorAuthAge": "0"})


def probes(number: str) -> tuple[tuple[str, str], ...]:
    """Actions and resources of five services; whoever may do all of them in one of the `CIRCUMSTANCES` is meant.

    Args:
        number: the account's, 12 digits.
    """
    return (
        ("iam:CreateAccessKey", f"arn:aws:iam::{number}:user/probe"),
        ("iam:AttachRolePolicy", f"arn:aws:iam::{number}:role/probe"),
        ("s3:DeleteObject", "arn:aws:s3:::probe/probe"),
        ("ec2:TerminateInstances", f"arn:aws:ec2:us-east-1:{number}:instance/i-00000000000000000"),
        ("cloudtrail:StopLogging", f"arn:aws:cloudtrail:us-east-1:{number}:trail/probe"),
        ("organizations:LeaveOrganization", "*"),
    )


def may_do_everything(policies: Policies, principal: str, number: str) -> bool:
    """Whether a principal's identity policies and boundary allow each of `probes`, in one of the `CIRCUMSTANCES`.

    Args:
        policies: the principal's.
        principal: ARN of a user or role.
        number: the account's.

    Raises:
        FinopsError: for a document that breaks the policy language.
    """
    return any(
        all(evaluate(policies, Request(principal, *probe, keys)).allowed for probe in probes(number))
        for keys in CIRCUMSTANCES
    )


def administrators(account: Account) -> Iterator[Finding]:
    """Nobody may do everything but those whom people named in the settings."""
    told = _Details(account)
    for kind, found in (("User", told.users), ("Role", told.roles), ("Group", told.groups)):
        for one in found:
            if not str(one.get("Path", "/")).startswith(OURS_NOT):
                yield _judge(account, told, kind, one)


def _judge(account: Account, told: _Details, kind: str, one: dict[str, Any]) -> Finding:
    name = str(one[f"{kind}Name"])
    resource = f"{kind.lower()} {name}"
    # a group makes no requests; it is asked through a user who would have nothing else
    principal = one["Arn"] if kind != "Group" else f"arn:aws:iam::{account.number}:user/member-of-{name}"
    try:
        policies = Policies(identity=told.documents(kind, one), boundary=told.boundary(one))
        everything = bool(told.documents(kind, one)) and may_do_everything(policies, principal, account.number)
    except FinopsError as error:
        return Finding("unseen", resource, f"its policies can't be judged: {error}", "read them yourself")
    if everything and name in account.settings.administrators:
        return Finding("passed", resource, "may do everything, as people decided")
    return verdict(
        not everything,
        resource,
        "may do everything" if everything else "may not do everything",
        "give it the permissions of its work; name it among the administrators if this is its work",
    )


class _Details:
    """Who has which documents, from GetAccountAuthorizationDetails; documents of AWS's own policies as they come up."""

    def __init__(self, account: Account) -> None:
        self._iam = account.iam
        self.users: list[dict[str, Any]] = []
        self.roles: list[dict[str, Any]] = []
        self.groups: list[dict[str, Any]] = []
        self._documents: dict[str, Any] = {}
        call = "get_account_authorization_details"
        for page in pages(self._iam, call, f"{call} of account {account.number}", Filter=list(WANTED)):
            self.users += page.get("UserDetailList", ())
            self.roles += page.get("RoleDetailList", ())
            self.groups += page.get("GroupDetailList", ())
            for one in page.get("Policies", ()):
                default = (each for each in one.get("PolicyVersionList", ()) if each.get("IsDefaultVersion"))
                self._documents[one["Arn"]] = next(default)["Document"]

    def documents(self, kind: str, one: dict[str, Any]) -> list[Any]:
        """The identity policies of a user (its groups' too), a role or a group."""
        found = [inline["PolicyDocument"] for inline in one.get(f"{kind}PolicyList", ())]
        found += [self._document(each["PolicyArn"]) for each in one.get("AttachedManagedPolicies", ())]
        for group in self.groups if kind == "User" else ():
            if group["GroupName"] in one.get("GroupList", ()):
                found += self.documents("Group", group)
        return found

    def boundary(self, one: dict[str, Any]) -> Any:
        """The permissions boundary's document; None without one."""
        arn = one.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
        return self._document(arn) if arn else None

    def _document(self, arn: str) -> Any:
        if arn not in self._documents:
            version = (read(self._iam, "get_policy", PolicyArn=arn) or {})["Policy"]["DefaultVersionId"]
            told = read(self._iam, "get_policy_version", PolicyArn=arn, VersionId=version) or {}
            self._documents[arn] = told["PolicyVersion"]["Document"]
        return self._documents[arn]
