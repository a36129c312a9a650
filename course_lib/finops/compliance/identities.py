"""Checks of who may log in: the root user, second factors, old keys, and who has not been here for long.

The calls are the live ones. IAM's credential report would be a single call, but AWS makes a new one at most every four
hours, and what was mended a minute ago would still be red. The rules follow AWS Config's mfa-enabled-for-iam-console-
access, access-keys-rotated, iam-user-unused-credentials-check, iam-root-access-key-check, root-account-mfa-enabled.
Source: https://docs.aws.amazon.com/config/latest/developerguide/managed-rules-by-aws-config.html
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from course_lib.finops.compliance.facts import Account, listed, read
from course_lib.finops.compliance.results import Finding, verdict

NOT_THERE = "NoSuchEntity"
OURS_NOT = "/aws-service-role/"  # roles that a service made for itself; nobody here can remove them


def root_user(account: Account) -> Iterator[Finding]:
    """The root user has a second factor, and no access keys at all."""
    told = (read(account.iam, "get_account_summary") or {}).get("SummaryMap", {})
    keys, factors = told.get("AccountAccessKeysPresent", 0), told.get("AccountMFAEnabled", 0)
    yield verdict(keys == 0, "root user's keys", f"AccountAccessKeysPresent is {keys}", "delete the root user's keys")
    yield verdict(
        factors > 0, "root user's login", f"AccountMFAEnabled is {factors}", "give the root user a second factor"
    )


def console_mfa(account: Account) -> Iterator[Finding]:
    """Whoever may log in to the console with a password needs a second factor."""
    for user in account.users:
        name = user["UserName"]
        if read(account.iam, "get_login_profile", absent=(NOT_THERE,), UserName=name) is None:
            continue
        factors = len(listed(account.iam, "list_mfa_devices", "MFADevices", UserName=name))
        yield verdict(
            factors > 0,
            f"user {name}",
            f"has a password and {factors} second factors",
            f"let {name} add one, or: aws iam delete-login-profile --user-name {name}",
        )


def key_age(account: Account) -> Iterator[Finding]:
    """No active access key is older than the limit. Keys are named by their last four characters only."""
    limit = account.settings.key_days
    for user in account.users:
        for key in _active_keys(account, user["UserName"]):
            age = account.days_since(key["CreateDate"])
            yield verdict(
                age <= limit,
                f"user {user['UserName']}, key ...{key['AccessKeyId'][-4:]}",
                f"{age} days old, the limit is {limit}",
                "make a new key, move its users over, and delete this one; better: a role or a login that expires",
            )


def unused(account: Account) -> Iterator[Finding]:
    """Every user and every role was used, or made, within the limit.

    AWS tells of a role's last use for the last 400 days, and of a key's or a password's hours later. A role's trust and
    what waits to take it on are for people to know.
    """
    limit = account.settings.unused_days
    for user in account.users:
        last = _last(_uses_of_user(account, user))
        yield _unused(account, f"user {user['UserName']}", user["CreateDate"], last, limit)
    for role in listed(account.iam, "list_roles", "Roles"):
        if role["Path"].startswith(OURS_NOT):
            continue
        told = (read(account.iam, "get_role", RoleName=role["RoleName"]) or {}).get("Role", {})
        last = told.get("RoleLastUsed", {}).get("LastUsedDate")
        yield _unused(account, f"role {role['RoleName']}", role["CreateDate"], last, limit)


def _active_keys(account: Account, name: str) -> list[dict[str, Any]]:
    found = listed(account.iam, "list_access_keys", "AccessKeyMetadata", UserName=name)
    return [key for key in found if key["Status"] == "Active"]


def _uses_of_user(account: Account, user: dict[str, Any]) -> Iterator[datetime | None]:
    yield user.get("PasswordLastUsed")
    for key in _active_keys(account, user["UserName"]):
        told = read(account.iam, "get_access_key_last_used", AccessKeyId=key["AccessKeyId"]) or {}
        yield told.get("AccessKeyLastUsed", {}).get("LastUsedDate")


def _last(times: Iterator[datetime | None]) -> datetime | None:
    return max((time for time in times if time is not None), default=None)


def _unused(account: Account, name: str, made: datetime, last: datetime | None, limit: int) -> Finding:
    days = account.days_since(last or made)
    told = f"used {days} days ago" if last else f"made {days} days ago, never used since"
    return verdict(days <= limit, name, f"{told}; the limit is {limit}", "ask its owner, then delete it")
