"""Gathering a dashboard's data: each part by itself, so that a denied call takes away one part and not the page.

Cost Explorer is asked once for each group (more often where the answer has several pages), and everything that is
derived from the bill uses those answers. https://aws.amazon.com/aws-cost-management/aws-cost-explorer/pricing/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from course_lib.catalog import InputError
from course_lib.finops.anomalies import Anomaly, Rule, find_anomalies
from course_lib.finops.aws import Clients, aws_now, living_instances, one_line, pages, tags_of
from course_lib.finops.chargeback import Allocation, allocate
from course_lib.finops.dashboard.data import (
    GROUPS,
    WHOLE,
    BudgetState,
    DashboardData,
    Leased,
    MonthToDate,
    RunsNow,
    Unread,
)
from course_lib.finops.ephemeral import LeaseError, is_protected, read_lease
from course_lib.finops.errors import FinopsError
from course_lib.finops.focus import read_focus_s3
from course_lib.finops.forecast import Forecast, forecast
from course_lib.finops.optimize import recommend
from course_lib.finops.usage import LATE, RunningInstance, Usage, read_usage, running_now

T = TypeVar("T")
MONTH = 31  # days: a shorter past may not hold the month so far
NO_BILLS = "no bucket with FOCUS files was named. Remedy: have them delivered (`plan_export`), and give bills=BUCKET."


def collect(
    account: Clients,
    *,
    days: int = 90,
    regions: Iterable[str] | None = None,
    bills: str | None = None,
    by: str = "project",
    level: float = 0.8,
    rule: Rule | None = None,
    late: timedelta = LATE,
) -> DashboardData:
    """Read all that a dashboard shows; changes nothing.

    Args:
        account: whose.
        days: how far back the bill is read, today included; 31 to 430.
        regions: where to look for what runs; every enabled region when left out.
        bills: the bucket to which FOCUS 1.2 files are delivered, "bucket" or "bucket/prefix"; without it there is no
            chargeback.
        by: the tag by which it is divided.
        level: of the forecast's interval.
        rule: of the anomalies; DAILY when left out.
        late: how old the end of a day must be to count as complete on the bill.

    Returns:
        Data; in place of what could not be read stands an `Unread`.

    Raises:
        FinopsError: for too few or too many days.
        AwsError: if not even AWS's time and the account's number can be had.
    """
    FinopsError.check_count("days", days, minimum=MONTH)
    if days > 430:
        raise FinopsError.of("days", days, "is more than Cost Explorer keeps", "give 430 or less")
    now = aws_now(account)
    with one_line("asking whose account this is"):
        number = str(account.client("sts").get_caller_identity()["Account"])
    where = list(regions) if regions is not None else None
    first, last = now.date() - timedelta(days=days - 1), now.date() + timedelta(days=1)

    def read(group: str) -> Usage:
        return read_usage(account, first, last, by=[group], now=now, late=late)

    spend = {group: _part(lambda group=group: read(group)) for group in GROUPS}  # type: ignore[misc]
    found = [one for one in spend.values() if isinstance(one, Usage)]
    usage: Usage | Unread = found[0] if found else next(iter(spend.values()))
    return DashboardData(
        number,
        now,
        days,
        late,
        spend,
        _of(usage, lambda bill: _month(bill, now)),
        _of(usage, lambda bill: _forecast(bill, now, level)),
        _part(lambda: _budgets(account, number)),
        _of(usage, lambda _: _anomalies(found, rule)),
        _part(lambda: _runs(account, where)),
        _part(lambda: _chargeback(account, bills, by)) if bills else Unread(NO_BILLS),
        _part(lambda: recommend(account, regions=where)),
        sum(one.calls for one in found),
    )


def _part(read: Callable[[], T]) -> T | Unread:
    try:
        return read()
    except InputError as error:  # what this room's parts raise for what they can't do; a bug is not caught
        return Unread(str(error))


def _of(usage: Usage | Unread, make: Callable[[Usage], T]) -> T | Unread:
    return usage if isinstance(usage, Unread) else _part(lambda: make(usage))


def _month(usage: Usage, now: datetime) -> MonthToDate:
    begin = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    usd = sum((row.usd for row in usage.rows if row.start >= begin), Decimal())
    return MonthToDate(f"{now:%Y-%m}", usd, now.day, min(now.day, usage.incomplete))


def _forecast(usage: Usage, now: datetime, level: float) -> Forecast:
    """To the end of this month; on its first days also of what the last month's bill still lacks."""
    return forecast(usage.series(), _months_end(now.date()), level=level)


def _months_end(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1)


def _anomalies(usages: list[Usage], rule: Rule | None) -> tuple[Anomaly, ...]:
    scopes = {"total": usages[0].series()}
    for usage in usages:
        scopes |= usage.scopes()
    return find_anomalies(scopes, rule)


def _budgets(account: Clients, number: str) -> tuple[BudgetState, ...]:
    client = account.client("budgets", region="us-east-1")
    told = [
        budget
        for page in pages(client, "describe_budgets", "reading AWS Budgets", AccountId=number)
        for budget in page.get("Budgets", ())
        if budget.get("TimeUnit") == "MONTHLY" and budget.get("BudgetType") == "COST" and budget.get("BudgetLimit")
    ]
    return tuple(sorted((_budget(one) for one in told), key=lambda one: (one.scope != WHOLE, one.name)))


def _budget(told: dict[str, Any]) -> BudgetState:
    filters = told.get("CostFilters") or {}
    scope = ", ".join(f"{name}: {', '.join(values)}" for name, values in sorted(filters.items()))
    if not scope and told.get("FilterExpression"):
        scope = "filtered by an expression"
    spent = told.get("CalculatedSpend", {}).get("ActualSpend", {}).get("Amount")
    limit, unit = float(told["BudgetLimit"]["Amount"]), told["BudgetLimit"].get("Unit", "USD")
    if unit != "USD":
        remedy = "make one in US dollars"
        raise FinopsError.of(f"the unit of the budget {told['BudgetName']}", unit, "is not USD, as the page is", remedy)
    return BudgetState(told["BudgetName"], limit, scope or WHOLE, None if spent is None else float(spent))


def _runs(account: Clients, regions: list[str] | None) -> RunsNow:
    running = running_now(account, regions)
    tags: dict[str, dict[str, str]] = {}
    for region in sorted({one.region for one in running.instances}):
        tags |= {one["InstanceId"]: tags_of(one.get("Tags")) for one in living_instances(account, region)}
    # Ended between the two looks: its tags are gone, and so it is shown without a lease.
    return RunsNow(running, tuple(_leased(one, tags.get(one.id, {})) for one in running.instances))


def _leased(one: RunningInstance, tags: dict[str, str]) -> Leased:
    try:
        return Leased(one, read_lease(tags).expires_at, protected=is_protected(tags))
    except LeaseError as error:
        return Leased(one, None, str(error).split(". Remedy:")[0], is_protected(tags))


def _chargeback(account: Clients, bills: str, by: str) -> Allocation:
    bucket, _, prefix = bills.removeprefix("s3://").partition("/")
    data = read_focus_s3(account, bucket, prefix)
    return allocate(data.month(data.months()[-1]) if data.months() else data, by)
