"""Reading Cost Explorer: all pages, filters and groups by their plain names, amounts exactly as they were written.

Every page costs USD_PER_CALL, so a `Usage` says how many were read. Sources:
https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_GetCostAndUsage.html and
https://aws.amazon.com/aws-cost-management/aws-cost-explorer/faqs/ (each page is charged as a request).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from course_lib.finops.aws import Clients, aws_now, one_line
from course_lib.finops.errors import FinopsError
from course_lib.finops.usage.bill import LATE, Keys, Usage, merged
from course_lib.finops.usage.series import DAY, HOUR

DIMENSIONS = {
    "account": "LINKED_ACCOUNT",
    "instance_type": "INSTANCE_TYPE",
    "operation": "OPERATION",
    "purchase": "PURCHASE_TYPE",
    "region": "REGION",
    "service": "SERVICE",
    "usage_type": "USAGE_TYPE",
    "zone": "AZ",
}
TAG = "tag:"
REACH = {"DAILY": timedelta(days=14 * 31), "HOURLY": timedelta(days=14)}  # how far back Cost Explorer looks
MOST_GROUPS = 2
METRIC = "UnblendedCost"
Place = tuple[datetime, Keys]


class UsageError(FinopsError):
    """A question that Cost Explorer can't answer, or an answer that can't be read."""


def read_usage(
    account: Clients,
    start: date,
    end: date,
    *,
    by: Sequence[str] = (),
    granularity: Literal["DAILY", "HOURLY"] = "DAILY",
    where: Mapping[str, Sequence[str]] | None = None,
    metric: str = METRIC,
    now: datetime | None = None,
    late: timedelta = LATE,
) -> Usage:
    """Spend of an interval by step of time, and by one or two groups.

    Args:
        account: whose.
        start, end: UTC dates; the end is not part of the interval.
        by: at most two of "service", "region", "instance_type", "zone", "account", "operation", "purchase",
            "usage_type", and tags as "tag:project".
        granularity: "DAILY", or "HOURLY", which an account has to switch on and which reaches 14 days back.
        where: keep only these, such as {"region": ["us-east-1"], "tag:project": ["bert", ""]}; "" is an absent tag.
        metric: of Cost Explorer's: "UnblendedCost", "AmortizedCost", "NetUnblendedCost", ...
        now: AWS's time; asked for when left out.
        late: how old the end of a step must be to count as complete.

    Returns:
        A `Usage`; an empty one where nothing was spent.

    Raises:
        UsageError: for an empty or too early interval, an unknown group, more than two groups, a currency that isn't
            USD or an amount that is no number.
        AwsError: when Cost Explorer can't be asked, in one line.
    """
    if granularity not in REACH:
        raise UsageError.of("granularity", granularity, "is none of DAILY, HOURLY", "choose one of them")
    groups = [_group(name) for name in by]
    if len(groups) > MOST_GROUPS:
        raise UsageError.of(
            "by", tuple(by), f"is more than {MOST_GROUPS} groups", "read twice, or filter by the others"
        )
    now = (now or aws_now(account)).astimezone(UTC)
    first, last = _midnight("start", start), _midnight("end", end)
    _check_interval(first, last, now, granularity)
    asked: dict[str, Any] = {
        "TimePeriod": {"Start": _text(first, granularity), "End": _text(last, granularity)},
        "Granularity": granularity,
        "Metrics": [metric],
        **({"GroupBy": groups} if groups else {}),
        **({"Filter": _filter(where)} if where else {}),
    }
    pages: list[Mapping[Place, Decimal]] = []
    estimated: set[datetime] = set()
    ce = account.client("ce")
    while True:
        with one_line("reading the bill from Cost Explorer"):
            told = ce.get_cost_and_usage(**asked)
        pages.append(_rows(told["ResultsByTime"], metric))
        estimated |= {_moment(step["TimePeriod"]["Start"]) for step in told["ResultsByTime"] if step.get("Estimated")}
        if not told.get("NextPageToken"):
            break
        asked["NextPageToken"] = told["NextPageToken"]
    step = DAY if granularity == "DAILY" else HOUR
    rows = merged(pages)
    return Usage(first, last, step, tuple(by), rows, now, len(pages), frozenset(estimated), late)


def _rows(steps: list[dict[str, Any]], metric: str) -> dict[Place, Decimal]:
    found: dict[Place, Decimal] = {}
    for step in steps:
        start = _moment(step["TimePeriod"]["Start"])
        told = [(tuple(_key(key) for key in group["Keys"]), group["Metrics"]) for group in step.get("Groups") or ()]
        if not told and step.get("Total"):
            told = [((), step["Total"])]
        for keys, metrics in told:
            found[start, keys] = found.get((start, keys), Decimal()) + _usd(metrics[metric], start)
    return found


def _usd(told: dict[str, str], start: datetime) -> Decimal:
    if told.get("Unit") != "USD":
        raise UsageError.of(
            f"the unit of {start:%Y-%m-%d}", told.get("Unit"), "is not USD", "ask for a metric of cost, in USD"
        )
    try:
        usd = Decimal(told["Amount"])
    except (InvalidOperation, TypeError):
        usd = Decimal("NaN")
    if not usd.is_finite():
        raise UsageError.of(f"the amount of {start:%Y-%m-%d}", told.get("Amount"), "is no number", "read it again")
    return usd


def _key(key: str) -> str:
    """A group's key; tags come as "project$bert", and as "project$" where the tag is absent."""
    return key.partition("$")[2] if "$" in key else key


def _group(name: str) -> dict[str, str]:
    kind, key = _kind(name)
    return {"Type": "TAG" if kind == "Tags" else "DIMENSION", "Key": key}


def _filter(where: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    every = [_keep(name, _values(name, values)) for name, values in where.items()]
    return every[0] if len(every) == 1 else {"And": every}


def _values(name: str, values: Sequence[str]) -> list[str]:
    if isinstance(values, str) or not values:  # a string is a sequence of letters, which nobody means
        raise UsageError.of(f"where[{name!r}]", values, "must be a list of at least one value", "give one, or leave it")
    return list(values)


def _keep(name: str, values: list[str]) -> dict[str, Any]:
    kind, key = _kind(name)
    some: list[dict[str, Any]] = []
    if given := [value for value in values if value]:
        some.append({kind: {"Key": key, "Values": given}})
    if "" in values:
        some.append({kind: {"Key": key, "MatchOptions": ["ABSENT"]}})
    return some[0] if len(some) == 1 else {"Or": some}


def _kind(name: str) -> tuple[str, str]:
    if name.startswith(TAG) and len(name) > len(TAG):
        return "Tags", name.removeprefix(TAG)
    if name not in DIMENSIONS:
        raise UsageError.of(
            "group", name, "is not known", f"choose one of {', '.join(DIMENSIONS)}, or a tag as tag:project"
        )
    return "Dimensions", DIMENSIONS[name]


def _check_interval(start: datetime, end: datetime, now: datetime, granularity: str) -> None:
    if not start < end:
        raise UsageError.of("end", f"{end:%Y-%m-%d}", f"is not after the start {start:%Y-%m-%d}", "give a later end")
    if start > now:
        raise UsageError.of("start", f"{start:%Y-%m-%d}", f"lies after AWS's time {now:%Y-%m-%d %H:%M}", "go back")
    if now - start > REACH[granularity] + DAY:
        days = REACH[granularity].days
        raise UsageError.of(
            "start",
            f"{start:%Y-%m-%d}",
            f"is more than {days} days ago, and {granularity} reaches no farther",
            "go later",
        )


def _midnight(name: str, day: date) -> datetime:
    if isinstance(day, datetime):
        raise UsageError.of(name, day.isoformat(), "must be a date in UTC", "give .astimezone(UTC).date()")
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _text(time: datetime, granularity: str) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ" if granularity == "HOURLY" else "%Y-%m-%d")
