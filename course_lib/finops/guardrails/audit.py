"""The audit: every instance and every volume of every region that breaks the rule of tags, with whom to ask.

A policy refuses what comes through it; the audit sees what came another way: made before the policy was there, by an
administrator, by a service.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from course_lib.finops.aws import AwsError, Clients, aws_now, living_instances, pages, tags_of, usable_regions
from course_lib.finops.ephemeral import EXPIRES, OWNER, PROJECT, LeaseError, is_protected, read_lease
from course_lib.finops.errors import FinopsError

REQUIRED = (OWNER, PROJECT, EXPIRES)
NOBODY = "(nobody known)"
WORKERS = 8  # regions at a time


@dataclass(frozen=True)
class Violation:
    """One broken rule.

    Attributes:
        resource: an id.
        kind: "instance" or "volume".
        region: where.
        owner: whom to ask: the owner tag, the owner of the instance that a volume belongs to, a key pair's name.
        rule: "missing tag", "empty tag", "misspelled tag", "unreadable end" or "expired".
        detail: in words.
    """

    resource: str
    kind: str
    region: str
    owner: str
    rule: str
    detail: str


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        now: AWS's time.
        instances, volumes: how many were looked at.
        violations: by region and resource.
        unseen: regions that could not be looked at, with the reason.
    """

    now: datetime
    instances: int
    volumes: int
    violations: tuple[Violation, ...]
    unseen: dict[str, str]

    @property
    def clean(self) -> bool:
        """Whether everything could be seen and nothing breaks a rule."""
        return not self.violations and not self.unseen


def audit(
    account: Clients,
    *,
    required: Iterable[str] = REQUIRED,
    regions: Iterable[str] | None = None,
    now: datetime | None = None,
) -> Audit:
    """Look at every instance and volume, and name what breaks the rule; changes nothing.

    What carries `protected` = `true` may live without an end, not without an owner.

    Args:
        account: whose.
        required: tag keys that must be there with a value.
        regions: where to look; every enabled region when left out.
        now: the time that counts; AWS's own when left out.

    Raises:
        AwsError: if AWS tells neither its time nor its regions.
        FinopsError: for a `now` without time zone, or an empty list of regions.
    """
    now = now or aws_now(account)
    if now.tzinfo is None:
        raise FinopsError.of("now", now.isoformat(), "names no time zone", "add +00:00 for UTC")
    needed = tuple(required)
    where = sorted(regions) if regions is not None else usable_regions(account)
    if not where:  # nothing broken where nothing was looked at
        raise FinopsError.of("regions", where, "names no region", "leave it out to look everywhere")
    found: list[Violation] = []
    unseen: dict[str, str] = {}
    instances = volumes = 0
    with ThreadPoolExecutor(WORKERS) as pool:
        looks = {region: pool.submit(_look, account, region, needed, now) for region in where}
        for region, look in looks.items():
            try:
                machines, disks, violations = look.result()
            except AwsError as error:
                unseen[region] = str(error)
                continue
            instances, volumes = instances + machines, volumes + disks
            found += violations
    return Audit(now, instances, volumes, tuple(sorted(found, key=lambda one: (one.region, one.resource))), unseen)


def _look(account: Clients, region: str, needed: tuple[str, ...], now: datetime) -> tuple[int, int, list[Violation]]:
    owners: dict[str, str] = {}
    found: list[Violation] = []
    instances = volumes = 0
    for machine in living_instances(account, region):
        instances += 1
        tags, name = tags_of(machine.get("Tags")), machine["InstanceId"]
        owners[name] = _owner(tags, machine)
        found += (
            Violation(name, "instance", region, owners[name], *broken) for broken in broken_rules(tags, needed, now)
        )
    ec2 = account.client("ec2", region=region)
    for page in pages(ec2, "describe_volumes", f"listing volumes in {region}"):
        for disk in page["Volumes"]:
            volumes += 1
            tags = tags_of(disk.get("Tags"))
            holders = [owners[one["InstanceId"]] for one in disk.get("Attachments", ()) if one["InstanceId"] in owners]
            owner = tags.get(OWNER, "").strip() or next(iter(holders), NOBODY)
            found += (
                Violation(disk["VolumeId"], "volume", region, owner, *broken)
                for broken in broken_rules(tags, needed, now)
            )
    return instances, volumes, found


def broken_rules(tags: dict[str, str], required: Iterable[str], now: datetime) -> Iterator[tuple[str, str]]:
    """The rules that some tags break, each with its detail.

    Args:
        tags: of an instance or a volume.
        required: keys that must be there with a value.
        now: with a time zone.
    """
    folded = {key.lower(): key for key in tags}
    wanted = [key for key in required if not (key == EXPIRES and is_protected(tags))]
    for key in wanted:
        if key in tags:
            if not tags[key].strip():
                yield "empty tag", f"{key} has no value"
        elif key.lower() in folded:
            yield "misspelled tag", f"{folded[key.lower()]} is not {key}: capitals count"
        else:
            yield "missing tag", key
    if EXPIRES not in wanted or not tags.get(EXPIRES, "").strip():
        return
    try:  # the owner and project are looked at above; only the end is of interest here
        lease = read_lease({OWNER: "x", PROJECT: "x", EXPIRES: tags[EXPIRES]})
    except LeaseError as error:
        yield "unreadable end", str(error)
        return
    if lease.expired(now):
        yield "expired", f"its lease ended at {lease.expires_at.isoformat()}"


def _owner(tags: dict[str, str], machine: dict[str, Any]) -> str:
    if owner := tags.get(OWNER, "").strip():
        return owner
    alike = next((value for key, value in tags.items() if key.lower() == OWNER and value.strip()), "")
    key = machine.get("KeyName", "")
    return alike or (f"holder of the key pair {key}" if key else NOBODY)
