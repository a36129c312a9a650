"""How each item is looked up: one function of an account, which reads and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from course_lib.finops.aws import AwsError, Clients, usable_regions
from course_lib.finops.checklist.items import State
from course_lib.finops.compliance.facts import Account, Bucket, listed, read
from course_lib.finops.compliance.results import Settings
from course_lib.finops.compliance.retention import bucket_lifecycle
from course_lib.finops.emergency import make_plan
from course_lib.finops.ephemeral import GROUP, sweep
from course_lib.finops.guardrails import PREFIX, Guardrails, PlannedLaunch, check_quota, needed_roles, quota_line
from course_lib.finops.iam import Caller, Launch, evaluate_all, requests_for_run_instances

LAUNCH_POLICIES = (f"{PREFIX}researcher", f"{PREFIX}launcher")
ENDLESS = {"owner": "somebody", "project": "anything"}  # all that a launch needs, but its end
MOST_NAMED = 3  # things that an evidence names one by one
Told = tuple[State, str]


@dataclass
class Place:
    """Where the items are looked up.

    Attributes:
        clients: the account.
        arn: who asks.
        number: the account's, 12 digits.
        now: AWS's time.
        launch: what is meant to run.
        regions: where instances and leftovers are looked for; every enabled region when None.
    """

    clients: Clients
    arn: str
    number: str
    now: datetime
    launch: PlannedLaunch
    regions: tuple[str, ...] | None = None

    @cached_property
    def where(self) -> tuple[str, ...]:
        """The regions, by name."""
        return self.regions if self.regions is not None else tuple(usable_regions(self.clients))

    @cached_property
    def facts(self) -> Account:
        """The account as the compliance checks read it."""
        return Account(self.clients, self.number, self.now, Settings())


def identity(place: Place) -> Told:
    """Signed in as somebody who isn't the root user."""
    root = place.arn.endswith(":root")
    return ("missing" if root else "done"), f"account {place.number}, as {place.arn.rpartition(':')[2]}"


def root_keys(place: Place) -> Told:
    """The account's summary counts the root user's keys."""
    told = (read(place.facts.iam, "get_account_summary") or {}).get("SummaryMap", {})
    keys = told.get("AccountAccessKeysPresent", 0)
    return ("missing" if keys else "done"), f"the root user has {keys} access keys"


def login_keys(place: Place) -> Told:
    """No IAM user has an active access key. Logins through IAM Identity Center have none."""
    owners = []
    for user in place.facts.users:
        found = listed(place.facts.iam, "list_access_keys", "AccessKeyMetadata", UserName=user["UserName"])
        if any(key["Status"] == "Active" for key in found):
            owners.append(user["UserName"])
    return _none(owners, "an active access key", "no user has an active access key")


def budget(place: Place) -> Told:
    """A budget of costs has an alert, and the alert has somebody to tell."""
    client, me = place.clients.client("budgets"), {"AccountId": place.number}
    silent = []
    for one in listed(client, "describe_budgets", "Budgets", **me):
        if one.get("BudgetType") != "COST":
            continue
        which = {**me, "BudgetName": one["BudgetName"]}
        for alert in listed(client, "describe_notifications_for_budget", "Notifications", **which):
            if alert.get("ComparisonOperator") != "GREATER_THAN":
                continue  # tells when little is spent
            plain = {key: value for key, value in alert.items() if key != "NotificationState"}
            asked = {**which, "Notification": plain}
            people = listed(client, "describe_subscribers_for_notification", "Subscribers", **asked)
            if people:
                return "done", f"{one['BudgetName']} tells {len(people)} at {alert['Threshold']:g} %"
        silent.append(one["BudgetName"])
    return "missing", f"{', '.join(silent)} tells nobody" if silent else "there is no budget"


def quota(place: Place) -> Told:
    """The first launch fits into its quota beside what runs."""
    check = check_quota(place.clients, place.launch)
    return ("done" if check.fits else "missing"), str(check) if check.fits else quota_line(place.clients, check).why


def launch_policy(place: Place) -> Told:
    """One of the launch policies is attached, and IAM's rules say that it refuses a launch that has no end.

    A policy with other names does as well, but no program can tell that its author meant this.
    """
    iam = place.facts.iam
    found = {
        one["PolicyName"]: one
        for one in listed(iam, "list_policies", "Policies", Scope="Local")
        if one["PolicyName"] in LAUNCH_POLICIES
    }
    if not found:
        return "missing", f"there is no policy {' or '.join(LAUNCH_POLICIES)}"
    for name, one in found.items():
        asked = {"PolicyArn": one["Arn"], "VersionId": one["DefaultVersionId"]}
        told = (read(iam, "get_policy_version", **asked) or {})["PolicyVersion"]["Document"]
        for tags in ({}, ENDLESS):
            both = {"instance": tags, "volume": tags}
            launch = Launch(place.launch.instance_type, place.launch.region, both)
            who = Caller(f"arn:aws:iam::{place.number}:user/{ENDLESS['owner']}", ENDLESS)
            if evaluate_all([told], requests_for_run_instances(who, launch)).allowed:
                return "missing", f"{name} allows a launch {'without an end' if tags else 'without tags'}"
    attached = [name for name, one in found.items() if one["AttachmentCount"]]
    if not attached:
        return "missing", f"{', '.join(found)} is attached to nobody"
    return "done", f"{', '.join(attached)} is attached and refuses a launch without tags and one without an end"


def ends(place: Place) -> Told:
    """The group of schedules is there in the region of the launch, and the roles that end instances."""
    region = place.launch.region
    client = place.clients.client("scheduler", region=region)
    group = read(client, "get_schedule_group", absent=("ResourceNotFoundException",), Name=GROUP)
    lacking = [] if group else [f"schedule group {GROUP} in {region}"]
    wanted = Guardrails((region,), (place.launch.instance_type,))
    for role in needed_roles(wanted):
        if read(place.facts.iam, "get_role", absent=("NoSuchEntity",), RoleName=role.name) is None:
            lacking.append(f"role {role.name}")
    names = ", ".join(role.name for role in needed_roles(wanted))
    return _all(lacking, f"schedule group {GROUP} in {region}; roles {names}")


def bucket(place: Place) -> Told:
    """A bucket in the region of the launch has a lifecycle that deletes, old versions too."""
    region = place.launch.region
    near: list[Bucket] = []
    far: list[Bucket] = []
    for one in place.facts.buckets:
        (near if one.region == region else far).append(one)
    good = [one.name for one in near if _forgets(one)]
    if good:
        return "done", f"{', '.join(good[:MOST_NAMED])} in {region}"
    if near:
        return "missing", f"{_names(one.name for one in near)} in {region} keeps everything forever"
    return "missing", f"no bucket in {region}" + (f"; {_names(one.name for one in far)} lies elsewhere" if far else "")


def leases(place: Place) -> Told:
    """A sweep without grace finds nothing to end."""
    found = sweep(place.clients, regions=place.where, now=place.now, grace=timedelta(0), at_most=None)
    if found.unseen:
        raise AwsError(next(iter(found.unseen.values())))
    bad = [f"{one.instance} in {one.region}" for one in found.verdicts if one.action != "keep"]
    kept = sum(one.action == "keep" for one in found.verdicts)
    return _none(bad, "no lease that holds", f"{kept} instances, each with a lease or protected")


def leftovers(place: Place) -> Told:
    """The plan of an emergency shutdown lists what would go on costing money after it."""
    plan = make_plan(place.clients, place.where)
    if refused := {where: why for where, why in plan.unseen.items() if where.startswith("orphans")}:
        raise AwsError(next(iter(refused.values())))
    return _all([f"{one.kind} {one.id} in {one.region}" for one in plan.orphans], "nothing is left over", "there is ")


LOOKS: dict[str, Callable[[Place], Told]] = {
    "identity": identity,
    "root-keys": root_keys,
    "login-keys": login_keys,
    "budget": budget,
    "quota": quota,
    "launch-policy": launch_policy,
    "ends": ends,
    "bucket": bucket,
    "leases": leases,
    "leftovers": leftovers,
}


def _forgets(one: Bucket) -> bool:
    return all(finding.status == "passed" for finding in bucket_lifecycle(one))


def _names(found: Iterable[str]) -> str:
    names = list(found)
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _none(found: list[str], of_what: str, otherwise: str) -> Told:
    return ("missing", f"{_names(found)}: {of_what}") if found else ("done", otherwise)


def _all(lacking: list[str], otherwise: str, begins: str = "there is no ") -> Told:
    return ("missing", f"{begins}{_names(lacking)}") if lacking else ("done", otherwise)
