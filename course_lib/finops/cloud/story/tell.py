"""Telling a story to an account: nothing but boto3 calls at their times, so that its past is like any other's."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from course_lib.finops.cloud.story.cast import DAYS, Label, Launch, check_story, labels, launches
from course_lib.finops.cloud.story.things import close_of_day, leave_things, watch_money
from course_lib.finops.errors import FinopsError

STOPPED_AFTER = timedelta(hours=9)
MONEY = 76  # the day on which the group made its budget


class PracticeClients(Protocol):
    """A practice account: clients, and a clock to turn."""

    def client(self, service: str, *, region: str | None = None) -> Any:
        """A boto3 client."""

    def now(self) -> datetime:
        """The account's time."""

    def advance(self, by: timedelta) -> datetime:
        """Turn the clock forward."""


class PracticeDoor(PracticeClients, Protocol):
    """Also its back door."""

    def bury(self) -> None:
        """Take terminated instances out of sight."""

    def forget_records(self) -> None:
        """Empty the ledger."""

    def run_at(self, speed: float) -> None:
        """Let the clock run at a speed."""


@dataclass
class Told:
    """What a story left in an account.

    Attributes:
        begin, end: the first and the last moment of the past.
        labels: days of the bill that are out of line.
        marked: by a launch's mark, the ids of its instances.
    """

    begin: datetime
    end: datetime
    labels: tuple[Label, ...]
    marked: dict[str, list[str]] = field(default_factory=dict)


def before(story: str, start: datetime | None) -> datetime:
    """When an account must begin for its story to end at `start`, or at the real time.

    Raises:
        FinopsError: for a story that is none.
    """
    check_story(story)
    end = start or datetime.now(UTC).replace(microsecond=0)
    if end.replace(tzinfo=None) - datetime.min < timedelta(days=DAYS):
        raise FinopsError.of("start", end.isoformat(), f"leaves no {DAYS} days for a past", "give a later one")
    return end - timedelta(days=DAYS)


def populate(account: PracticeDoor, story: str, seed_: int, speed: float) -> Told:
    """Give an account whose clock stands still its past, and then let it run: empty ledger, ended instances gone.

    Args:
        account: see `seed`.
        story: one of `STORIES`.
        seed_: see `seed`.
        speed: of the clock afterwards.
    """
    told = seed(account, story, seed_)
    account.bury()
    account.forget_records()
    account.run_at(speed)
    return told


def seed(account: PracticeClients, story: str = "research-group", seed: int = 0) -> Told:
    """Give an empty account a past of 90 days; its clock stands that much later afterwards.

    Args:
        account: an empty practice account, whose clock should stand still while this works.
        story: one of `STORIES`.
        seed: of the hours and days of its launches; one seed gives one bill.

    Raises:
        FinopsError: for a story that is none.
    """
    begin = account.now()
    todo: list[tuple[datetime, int, Any]] = [
        (one.at, number, one) for number, one in enumerate(launches(story, begin, seed))
    ]
    told = Told(begin, begin + timedelta(days=DAYS), labels(begin))
    todo.append((begin + timedelta(days=MONEY), len(todo), watch_money))
    todo.append((begin + timedelta(days=20), len(todo), leave_things))
    later: list[tuple[datetime, Launch, list[str]]] = []
    for at, _, what in sorted(todo, key=lambda entry: entry[:2]):
        _stop(account, later, at)
        _reach(account, at)
        if isinstance(what, Launch):
            ids = _launch(account, what)
            told.marked.setdefault(what.mark, []).extend(ids if what.mark else ())
            if what.mark == "stopped":
                later.append((at + STOPPED_AFTER, what, ids))
        else:
            what(account, told.marked)
    _stop(account, later, told.end)
    _reach(account, told.end)
    close_of_day(account, told.marked)
    told.marked.pop("", None)
    return told


def _launch(account: PracticeClients, what: Launch) -> list[str]:
    options: dict[str, Any] = {}
    if what.spot:
        options |= {
            "InstanceMarketOptions": {"MarketType": "spot"},
            "Placement": {"AvailabilityZone": what.region + "a"},
        }
    if what.hours is not None:
        minutes = round(60 * what.hours) - 1  # booting takes the first
        options["UserData"] = f"#!/bin/bash\nshutdown -h +{minutes}\n"
        options["InstanceInitiatedShutdownBehavior"] = "terminate"
    if what.tags:
        tags = [{"Key": key, "Value": value} for key, value in what.tags.items()]
        options["TagSpecifications"] = [{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")]
    disk = {"VolumeSize": what.disk, "VolumeType": "gp3", "DeleteOnTermination": True}
    answer = account.client("ec2", region=what.region).run_instances(
        ImageId="ami-12c6146b",
        InstanceType=what.kind,
        MinCount=what.count,
        MaxCount=what.count,
        BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": disk}],
        **options,
    )
    return [one["InstanceId"] for one in answer["Instances"]]


def _stop(account: PracticeClients, later: list[tuple[datetime, Launch, list[str]]], until: datetime) -> None:
    while later and later[0][0] <= until:
        at, what, ids = later.pop(0)
        _reach(account, at)
        account.client("ec2", region=what.region).stop_instances(InstanceIds=ids)


def _reach(account: PracticeClients, at: datetime) -> None:
    wait = at - account.now()
    if wait > timedelta():
        account.advance(wait)
