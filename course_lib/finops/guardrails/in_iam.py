"""The guardrails in IAM: managed policies with versions, roles, and who gets which policy."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from course_lib.finops.aws import one_line, pages, tag_list
from course_lib.finops.ephemeral import MANAGED
from course_lib.finops.guardrails.documents import Role
from course_lib.finops.guardrails.lines import Line, Place, foreign, ours, same

MOST_VERSIONS = 5  # of a managed policy: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
TAGS = tag_list(MANAGED)


def policy_lines(place: Place, documents: dict[str, dict[str, Any]]) -> Iterator[Line]:
    """A line for each managed policy.

    Raises:
        AwsError: if IAM can't be asked.
    """
    iam = place.clients.client("iam")
    for name, document in documents.items():
        arn = place.arn("policy", name)
        with one_line(f"looking at policy {name}"):
            try:
                told = iam.get_policy(PolicyArn=arn)["Policy"]
            except iam.exceptions.NoSuchEntityException:
                sids = ", ".join(each.get("Sid", "?") for each in document["Statement"])
                yield Line("create", "policy", name, f"statements {sids}", partial(_create_policy, iam, name, document))
                continue
            version = iam.get_policy_version(PolicyArn=arn, VersionId=told["DefaultVersionId"])["PolicyVersion"]
        if same(version["Document"], document):
            yield Line("nothing", "policy", name, f"version {told['DefaultVersionId']} says what is wanted")
        elif not ours(told.get("Tags")):
            yield foreign("policy", name)
        else:
            why = f"{_difference(version['Document'], document)} since {told['DefaultVersionId']}: a new version"
            yield Line("update", "policy", name, why, partial(_new_version, iam, arn, document))


def role_lines(place: Place, roles: tuple[Role, ...]) -> Iterator[Line]:
    """Lines for each role and for the policy that it gets.

    A role is made first and gets its policy then: in between it may do nothing.

    Raises:
        AwsError: if IAM can't be asked.
    """
    iam = place.clients.client("iam")
    for role in roles:
        trust = role.trust(place.account)
        with one_line(f"looking at role {role.name}"):
            try:
                told = iam.get_role(RoleName=role.name)["Role"]
            except iam.exceptions.NoSuchEntityException:
                told = None
        if told is None:
            yield Line("create", "role", role.name, role.why, partial(_create_role, iam, role, trust))
        elif not ours(told.get("Tags")):
            yield foreign("role", role.name)
            continue  # nobody gives permissions to a stranger's role
        elif same(told["AssumeRolePolicyDocument"], trust):
            yield Line("nothing", "role", role.name, role.why)
        else:
            why = f"must be trusted to {role.service} alone"
            change = partial(iam.update_assume_role_policy, RoleName=role.name, PolicyDocument=json.dumps(trust))
            yield Line("update", "role", role.name, why, partial(_without_answer, change))
        yield attachment(place, "role", role.name, role.policy, new=told is None)


def attachment(place: Place, kind: str, name: str, policy: str, *, new: bool = False) -> Line:
    """The line that gives a policy to a role or a group.

    Args:
        place: the account.
        kind: "role" or "group".
        name: of the role or group.
        policy: name of the policy.
        new: whether the role is yet to be made.

    Raises:
        AwsError: if IAM can't be asked.
    """
    iam, arn, who = place.clients.client("iam"), place.arn("policy", policy), {f"{kind.capitalize()}Name": name}
    give = partial(_without_answer, partial(getattr(iam, f"attach_{kind}_policy"), **who, PolicyArn=arn))
    line = Line("create", "attachment", f"{policy} to {kind} {name}", "so that its permissions count", give)
    if new:
        return line
    told = pages(iam, f"list_attached_{kind}_policies", f"looking at {kind} {name}", **who)
    if any(one["PolicyArn"] == arn for page in told for one in page["AttachedPolicies"]):
        return Line("nothing", "attachment", line.name, "attached")
    return line


def group_lines(place: Place, groups: tuple[str, ...], policies: tuple[str, ...]) -> Iterator[Line]:
    """Lines that give the researchers' groups their permissions; a group that is missing is for a person to make.

    Raises:
        AwsError: if IAM can't be asked.
    """
    iam = place.clients.client("iam")
    for group in groups:
        with one_line(f"looking at group {group}"):
            try:
                iam.get_group(GroupName=group, MaxItems=1)
            except iam.exceptions.NoSuchEntityException:
                yield Line("drift", "group", group, "is not there: make it, and put the researchers into it")
                continue
        for policy in policies:
            yield attachment(place, "group", group, policy)


def _create_policy(iam: Any, name: str, document: dict[str, Any]) -> None:
    iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(document), Tags=TAGS)


def _create_role(iam: Any, role: Role, trust: dict[str, Any]) -> None:
    iam.create_role(RoleName=role.name, AssumeRolePolicyDocument=json.dumps(trust), Description=role.why, Tags=TAGS)


def _new_version(iam: Any, arn: str, document: dict[str, Any]) -> None:
    """Make a version the default one; the oldest goes where there is no room. All are this program's own."""
    told = pages(iam, "list_policy_versions", f"listing versions of {arn}", PolicyArn=arn)
    versions = [version for page in told for version in page["Versions"]]
    if len(versions) >= MOST_VERSIONS:
        oldest = min((one for one in versions if not one["IsDefaultVersion"]), key=lambda one: one["CreateDate"])
        iam.delete_policy_version(PolicyArn=arn, VersionId=oldest["VersionId"])
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(document), SetAsDefault=True)


def _without_answer(call: Callable[[], Any]) -> None:
    call()


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    """The statements that differ, by name."""
    before, after = (
        {one.get("Sid", "?"): one for one in (found if isinstance(found, list) else [found])}
        for found in (old.get("Statement", []), new["Statement"])
    )
    names = [name for name in {**before, **after} if not same(before.get(name), after.get(name))]
    return f"{', '.join(names) or 'its frame'} changed"
