"""Who did what: the launches of a made-up research group over 90 days, and which days of its bill are out of line.

Nobody of these people exists and no figure is measured: what is real are the prices that the account then charges. The
group trains on weekdays, serves around the clock, and made six mistakes. Each mistake is a `Label`, so that whatever
looks for anomalies can be measured against what happened.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from course_lib.finops.cloud.catalog_prices import known_price
from course_lib.finops.errors import FinopsError

DAYS = 90
STORIES = ("research-group",)
NOBODYS = 84.6  # the day on which an instance without tags was launched
EAST, WEST, EUROPE = "us-east-1", "us-west-2", "eu-west-1"
# Bucket names; the second has neither encryption set by its owner nor a lifecycle.
BUCKETS = ("research-group-checkpoints", "research-group-scratch")
ADA, BEN, CHEN, DORA = (f"{name}@example.org" for name in ("ada", "ben", "chen", "dora"))


@dataclass(frozen=True)
class Launch:
    """One launch of one or several instances that end together.

    Attributes:
        at: when.
        hours: how long they run; None if nothing in them ends them.
        kind: the instance type.
        region: where.
        tags: as written; a lease's end among them where there is one.
        count: how many.
        spot: bought as spot.
        disk: gibibytes of the gp3 volume that each has.
        mark: names it for what happens to it later; "" for nothing.
    """

    at: datetime
    hours: float | None
    kind: str
    region: str
    tags: dict[str, str]
    count: int = 1
    spot: bool = False
    disk: int = 50
    mark: str = ""


@dataclass(frozen=True)
class Label:
    """Days of the bill that are out of line, and why.

    Attributes:
        first, last: days in UTC, both included, on which the extra spend lies.
        cause: in words.
        region, kind, project: of what was launched.
        usd: the extra spend at list prices for instances alone, both days and all between together.
    """

    first: date
    last: date
    cause: str
    region: str
    kind: str
    project: str
    usd: float


@dataclass(frozen=True)
class _Mistake:
    """A launch that should not have been, from a day on (counted from the beginning) and an hour of that day."""

    day: int
    hour: float
    hours: float
    kind: str
    region: str
    owner: str
    project: str
    count: int
    usd_per_hour: float  # the catalog's on-demand price
    cause: str
    tags: dict[str, str] = field(default_factory=dict)


def mistakes() -> tuple[_Mistake, ...]:
    """The group's mistakes that ended, five of six."""
    usd, large, small = one_usd, "trn1.32xlarge", "g5.xlarge"
    return (
        _Mistake(33, 18, 39, large, EAST, DORA, "llm", 1, usd(large), "a test of a large instance left on overnight"),
        _Mistake(41, 9, 14, small, EUROPE, CHEN, "vision", 24, usd(small), "a retry loop launched a worker per try"),
        _Mistake(55, 17, 60, large, WEST, BEN, "speech", 1, usd(large), "an experiment forgotten over two days"),
        _Mistake(69, 8, 30, "p5.4xlarge", EUROPE, CHEN, "vision", 2, usd("p5.4xlarge"), "a new type, in a new region"),
        _Mistake(80, 10, 12, "inf2.8xlarge", EAST, ADA, "search", 16, usd("inf2.8xlarge"), "a load test at full size"),
    )


def one_usd(kind: str) -> float:
    """The catalog's on-demand price of an instance type, USD per hour."""
    found = known_price(kind, ("on_demand", EAST))
    assert found is not None
    return found[1]


def labels(begin: datetime) -> tuple[Label, ...]:
    """The days that are out of line in an account whose past begins at `begin`; the same for every seed."""
    found = []
    for one in mistakes():
        start = _midnight(begin) + timedelta(days=one.day, hours=one.hour)
        end = start + timedelta(hours=one.hours)
        extra = one.count * one.hours * one.usd_per_hour
        found.append(Label(start.date(), end.date(), one.cause, one.region, one.kind, one.project, round(extra, 2)))
    usd = one_usd("trn1.2xlarge") * (DAYS - NOBODYS) * 24
    first, last = (begin + timedelta(days=days) for days in (NOBODYS, DAYS))
    why = "an instance that nobody tagged runs on; its day costs less than many a day's work"
    found.append(Label(first.date(), last.date(), why, WEST, "trn1.2xlarge", "", round(usd, 2)))
    return tuple(found)


def check_story(story: str) -> None:
    """Refuse a story that is none.

    Raises:
        FinopsError: naming those that there are.
    """
    if story not in STORIES:
        raise FinopsError.of("story", story, "is no story", f"use one of {', '.join(STORIES)}")


def launches(story: str, begin: datetime, seed: int) -> list[Launch]:
    """Every launch of a story, in the order of time.

    Args:
        story: one of `STORIES`.
        begin: the first moment of the past.
        seed: of the draws for hours and days; the mistakes and what is left at the end don't depend on it.

    Raises:
        FinopsError: for a story that is none.
    """
    check_story(story)
    draw = random.Random(f"{story} {seed}")
    found = list(_standing(begin)) + list(_leftovers(begin))
    first = _midnight(begin) + timedelta(days=1)
    for day in (first + timedelta(days=number) for number in range(DAYS)):
        found += _of_a_day(day, draw)
    for one in mistakes():
        at = _midnight(begin) + timedelta(days=one.day, hours=one.hour)
        tags = _lease(one.owner, one.project, at + timedelta(hours=one.hours))
        found.append(Launch(at, one.hours, one.kind, one.region, {**tags, "Name": "experiment"}, one.count))
    end = begin + timedelta(days=DAYS)
    return sorted((one for one in found if begin <= one.at < end), key=lambda one: one.at)


def _of_a_day(day: datetime, draw: random.Random) -> Iterator[Launch]:
    """What the group launches on a day: less at weekends, each time a little different."""

    def work(hour: float, hours: float, kind: str, region: str, owner: str, project: str, count: int = 1) -> Launch:
        at = day + timedelta(minutes=round(60 * hour + draw.uniform(0, 40)))
        length = round(hours * draw.uniform(0.9, 1.1), 2)
        tags = _lease(owner, project, at + timedelta(hours=length))
        return Launch(at, length, kind, region, {**tags, "Name": f"{project}-train"}, count, spot=owner == BEN)

    weekday = day.weekday() < 5
    yield work(19, 6, "g5.xlarge", EUROPE, CHEN, "vision", 2)  # nightly
    if weekday:
        yield work(8, 8, "trn1.2xlarge", EAST, ADA, "translation", 3)
        yield work(9, 7, "g6.xlarge", WEST, BEN, "speech", 4)
    if day.weekday() in (1, 3):
        yield work(10, 3, "trn1.32xlarge", EAST, DORA, "llm")


def _standing(begin: datetime) -> Iterator[Launch]:
    """What runs from the first day to the last."""
    tags = {"owner": ADA, "project": "search", "Name": "search-api"}
    yield Launch(begin, None, "inf2.xlarge", EAST, {**tags, "protected": "true"}, disk=100, mark="served")


def _leftovers(begin: datetime) -> Iterator[Launch]:
    """What is there at the end: forgotten, stopped, leased, and one whose lease has run out."""

    def left(days: float, kind: str, region: str, tags: dict[str, str], mark: str = "", disk: int = 50) -> Launch:
        return Launch(begin + timedelta(days=days), None, kind, region, tags, disk=disk, mark=mark)

    end = begin + timedelta(days=DAYS)

    def lease(owner: str, project: str, hours: float) -> dict[str, str]:
        return _lease(owner, project, end + timedelta(hours=hours))

    yield left(30, "trn1.2xlarge", EAST, {"owner": DORA, "project": "llm", "Name": "debug"}, "stopped", 500)
    yield left(52, "g5.xlarge", EUROPE, {"owner": CHEN, "project": "vision", "Name": "labels"}, "stopped", 200)
    yield left(76.4, "g6.xlarge", EUROPE, {"owner": CHEN, "project": "vision", "Name": "notebook"})  # without a lease
    yield left(NOBODYS, "trn1.2xlarge", WEST, {})  # nobody knows whose
    yield left(89.2, "inf2.xlarge", EAST, {**lease(BEN, "speech", -5), "Name": "serve-test"})  # its lease is over
    yield left(89.9, "trn1.2xlarge", EAST, {**lease(ADA, "translation", 6), "Name": "translation-train"})
    yield left(89.8, "g5.xlarge", EUROPE, {**lease(CHEN, "vision", 20), "Name": "vision-train"})
    spot = {**lease(BEN, "speech", 30), "Name": "speech-train"}
    yield Launch(end - timedelta(hours=3), None, "g6.xlarge", WEST, spot, spot=True)


def _lease(owner: str, project: str, end: datetime) -> dict[str, str]:
    return {"owner": owner, "project": project, "expires-at": end.strftime("%Y-%m-%dT%H:%M:%SZ")}


def _midnight(time: datetime) -> datetime:
    return time.replace(hour=0, minute=0, second=0, microsecond=0)
