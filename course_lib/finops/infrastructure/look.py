"""What is really there, read back with boto3, as flat facts: two accounts agree if the facts are equal, and what was
changed by hand shows as a difference to the facts of before.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from course_lib.finops.aws import AwsError, Clients, one_line, pages, tags_of
from course_lib.finops.ephemeral import GROUP
from course_lib.finops.ephemeral.schedule import schedule_name

Facts = dict[str, Any]
ABSENT = (
    "NoSuchBucket",
    "NoSuchBucketPolicy",
    "NoSuchLifecycleConfiguration",
    "NoSuchPublicAccessBlockConfiguration",
    "NoSuchTagSet",
    "OwnershipControlsNotFoundError",
    "ServerSideEncryptionConfigurationNotFoundError",
    "NotFoundException",
    "NoSuchEntity",
    "ResourceNotFoundException",
)


def look_bucket(account: Clients, bucket: str) -> Facts:
    """A bucket's settings: encryption, versions, public access, ownership, lifecycle, policy, tags.

    Raises:
        AwsError: AWS can't be asked; what is absent is the fact None.
    """
    s3 = account.client("s3")
    asked = {
        "encryption": ("get_bucket_encryption", "ServerSideEncryptionConfiguration"),
        "versions": ("get_bucket_versioning", "Status"),
        "public access": ("get_public_access_block", "PublicAccessBlockConfiguration"),
        "ownership": ("get_bucket_ownership_controls", "OwnershipControls"),
        "lifecycle": ("get_bucket_lifecycle_configuration", "Rules"),
        "policy": ("get_bucket_policy", "Policy"),
        "tags": ("get_bucket_tagging", "TagSet"),
    }
    found = {name: _ask(s3, call, key, Bucket=bucket) for name, (call, key) in asked.items()}
    found["policy"] = json.loads(found["policy"]) if found["policy"] else None
    found["tags"] = tags_of(found["tags"])
    found["lifecycle"] = {rule["ID"]: _rule(rule) for rule in found["lifecycle"] or []}
    return {f"bucket {name}": value for name, value in found.items()}


def look_budget(account: Clients, name: str) -> Facts:
    """A budget: limit, filters, and who is told of what.

    Raises:
        AwsError: AWS can't be asked.
    """
    with one_line("asking AWS whose account this is"):
        number = account.client("sts").get_caller_identity()["Account"]
    client = account.client("budgets")
    which = {"AccountId": number, "BudgetName": name}
    budget = _ask(client, "describe_budget", "Budget", **which)
    if budget is None:
        return {"budget": None}
    told = []
    doing = f"reading the notifications of {name}"
    for page in pages(client, "describe_notifications_for_budget", doing, **which):
        for notice in page["Notifications"]:
            to = _ask(client, "describe_subscribers_for_notification", "Subscribers", Notification=notice, **which)
            sides = sorted((one["SubscriptionType"], one["Address"]) for one in to or [])
            told.append((notice["NotificationType"], notice["ComparisonOperator"], float(notice["Threshold"]), sides))
    return {
        "budget limit": f"{float(budget['BudgetLimit']['Amount']):.2f} {budget['BudgetLimit']['Unit']}",
        "budget period": budget["TimeUnit"],
        "budget counts": budget.get("CostFilters"),
        "budget tells": sorted(told),
    }


def look_role(account: Clients, role: str) -> Facts:
    """A role: who may take it on, its boundary, and every policy on it, with the documents.

    Raises:
        AwsError: AWS can't be asked.
    """
    iam = account.client("iam")
    found = _ask(iam, "get_role", "Role", RoleName=role)
    if found is None:
        return {f"role {role}": None}
    boundary = found.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    documents = {}
    for page in pages(iam, "list_attached_role_policies", f"listing the policies of {role}", RoleName=role):
        for one in page["AttachedPolicies"]:
            documents[one["PolicyName"]] = _document(iam, one["PolicyArn"])
    for page in pages(iam, "list_role_policies", f"listing the policies of {role}", RoleName=role):
        for name in page["PolicyNames"]:
            documents[name] = _ask(iam, "get_role_policy", "PolicyDocument", RoleName=role, PolicyName=name)
    return {
        f"role {role} trusts": found["AssumeRolePolicyDocument"],
        f"role {role} session": found.get("MaxSessionDuration"),
        f"role {role} tags": tags_of(found.get("Tags")),
        f"role {role} boundary": _document(iam, boundary) if boundary else None,
        **{f"role {role} policy {name}": document for name, document in sorted(documents.items())},
    }


def look_instance(account: Clients, instance: str, region: str) -> Facts:
    """An instance as far as its end and its safety go.

    Raises:
        AwsError: AWS can't be asked, or the instance is unknown.
    """
    ec2, scheduler = account.client("ec2", region=region), account.client("scheduler", region=region)
    with one_line(f"reading {instance}"):
        found = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        behavior, data = (
            ec2.describe_instance_attribute(InstanceId=instance, Attribute=name)
            for name in ("instanceInitiatedShutdownBehavior", "userData")
        )
    schedule = _ask(scheduler, "get_schedule", None, Name=schedule_name(instance), GroupName=GROUP)
    return {
        "instance type": found["InstanceType"],
        "instance state": found["State"]["Name"],
        "instance tags": tags_of(found.get("Tags")),
        "instance powers off to": behavior["InstanceInitiatedShutdownBehavior"]["Value"],
        "instance metadata": found.get("MetadataOptions", {}).get("HttpTokens"),
        "instance begins with": base64.b64decode(data["UserData"].get("Value", "")).decode().splitlines()[:2],
        "instance is ended": schedule and (schedule["ScheduleExpression"], schedule["Target"]["Arn"]),
    }


def differences(before: Facts, now: Facts) -> list[str]:
    """What changed between two looks, one line for each fact, in the order of before.

    Args:
        before: what was declared, or seen when it was right.
        now: what is there.
    """
    changed = [name for name in dict.fromkeys([*before, *now]) if before.get(name) != now.get(name)]
    return [f"{name}: {_short(before.get(name))} -> {_short(now.get(name))}" for name in changed]


def _short(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return text if len(text) <= 200 else f"{text[:197]}..."


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    """A lifecycle rule; its prefix may stand in either of two places."""
    rest = {key: value for key, value in rule.items() if key not in ("ID", "Filter", "Prefix")}
    return {**rest, "prefix": rule.get("Filter", {}).get("Prefix", rule.get("Prefix", ""))}


def _document(iam: Any, arn: str) -> Any:
    policy = _ask(iam, "get_policy", "Policy", PolicyArn=arn)
    if policy is None:
        return None
    version = _ask(iam, "get_policy_version", "PolicyVersion", PolicyArn=arn, VersionId=policy["DefaultVersionId"])
    return version and version["Document"]


def _ask(client: Any, operation: str, key: str | None, **asked: Any) -> Any:
    """One answer, or None where AWS says that there is no such thing."""
    try:
        with one_line(f"asking {operation}"):
            answer = getattr(client, operation)(**asked)
    except AwsError as error:
        if error.code in ABSENT:
            return None
        raise
    return answer if key is None else answer.get(key)
