"""Budgets that are computed: moto stores them and spends nothing; this looks at the bill three times a day and alerts.

The delay is AWS's: an alert comes when the billing data come, hours after the money is spent. That is what makes a
budget a report and not a brake. Covered: cost budgets by day, month, quarter or year, filters by tag, region, service,
instance type and account, actual and forecast thresholds, SNS and (into the ledger) mail, and budget actions. Forecasts
here go on at the period's mean rate, which is simpler than AWS's. Source:
https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-best-practices.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from course_lib.finops.cloud.alarms import Tell
from course_lib.finops.cloud.budget_actions import BudgetActions, notify
from course_lib.finops.cloud.costs import Line, lines, total
from course_lib.finops.cloud.meter import Meter
from course_lib.finops.cloud.schedules import Clients

EVERY = timedelta(hours=8)
MONTHS = {"MONTHLY": 1, "QUARTERLY": 3, "ANNUALLY": 12}
# A budget's names for what Cost Explorer calls in its own way.
FILTERS = {
    "Service": "SERVICE",
    "Region": "REGION",
    "AZ": "AZ",
    "InstanceType": "INSTANCE_TYPE",
    "LinkedAccount": "LINKED_ACCOUNT",
    "PurchaseType": "PURCHASE_TYPE",
    "UsageType": "USAGE_TYPE",
    "Operation": "OPERATION",
}


@dataclass
class Budgets:
    """When the account's budgets are computed, and who is told."""

    clients: Clients
    meter: Meter
    begin: datetime
    tell: Tell
    delay: timedelta
    _last: datetime | None = None
    _told: set[tuple[str, str, str, datetime]] = field(default_factory=set)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)  # by ARN of a budget or an action

    def __post_init__(self) -> None:
        self.actions = BudgetActions(self.clients, self.tell)

    def next_due(self) -> datetime | None:
        """The next refresh, if there is a budget."""
        return None if next(_budgets(), None) is None else (self._last or self.begin) + EVERY

    def happen(self, now: datetime) -> None:
        """Compute every budget, if the time of a refresh has come."""
        if (self._last or self.begin) + EVERY > now:
            return
        missed = (now - (self._last or self.begin)) // EVERY
        self._last = (self._last or self.begin) + missed * EVERY
        for account, budget in list(_budgets()):
            self._compute(account, budget, now)

    def _compute(self, account: str, budget: Any, now: datetime) -> None:
        about = budget.budget
        start, end = period(str(about.get("TimeUnit", "MONTHLY")), now)
        known = now - self.delay
        actual = spent(self.meter, about, start, end, known, account)
        elapsed = max((known - start) / (end - start), 0.0)
        forecast = actual / elapsed if elapsed else 0.0
        spend = {"ACTUAL": actual, "FORECASTED": forecast}
        about["CalculatedSpend"] = {
            "ActualSpend": {"Amount": f"{actual:.2f}", "Unit": "USD"},
            "ForecastedSpend": {"Amount": f"{forecast:.2f}", "Unit": "USD"},
        }
        limit = float((about.get("BudgetLimit") or {}).get("Amount", "inf"))
        for notification in budget.notifications:
            details = notification.details
            threshold = float(details["Threshold"])
            if details.get("ThresholdType", "PERCENTAGE") == "PERCENTAGE":
                threshold *= limit / 100
            kind = str(details["NotificationType"])
            key = (account, str(about["BudgetName"]), f"{kind} {details['Threshold']}", start)
            if spend[kind] > threshold and key not in self._told:
                self._told.add(key)
                words = f"Budget {about['BudgetName']}: {kind.lower()} spend {spend[kind]:.2f} USD is above "
                words += f"{threshold:.2f} USD."
                notify(self.clients, self.tell, about["BudgetName"], words, notification.subscribers)
        self.actions.look((account, str(about["BudgetName"])), spend, limit, start, now)


def spent(meter: Meter, budget: dict[str, Any], start: datetime, end: datetime, known: datetime, account: str) -> float:
    """What a budget counts in an interval, USD, from the bill as known at `known`."""
    filters = budget.get("CostFilters") or {}
    found = lines(meter, start, end, end - start, known, account)
    return total(line for line in found if _belongs(line, filters))[0]


def period(unit: str, now: datetime) -> tuple[datetime, datetime]:
    """The period of a budget in which `now` lies: its first moment, and the first of the next."""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "DAILY":
        return day, day + timedelta(days=1)
    months = MONTHS.get(unit, 1)
    start = day.replace(day=1, month=(now.month - 1) // months * months + 1)
    after = start.month - 1 + months
    return start, start.replace(year=start.year + after // 12, month=after % 12 + 1)


def _belongs(line: Line, filters: dict[str, list[str]]) -> bool:
    for name, values in filters.items():
        if name == "TagKeyValue":
            # "user:team$speech"; user-defined tags have the prefix
            pairs = [value.removeprefix("user:").partition("$") for value in values]
            if not any(line.tags.get(key, "") == value for key, _, value in pairs):
                return False
        elif name in FILTERS and line.dimensions[FILTERS[name]] not in values:
            return False
    return True


def _budgets() -> Iterator[tuple[str, Any]]:
    from moto.budgets.models import budgets_backends

    for _, partitions in list(budgets_backends.items()):
        for backend in list(partitions.values()):
            for account, named in list(backend.budgets.items()):
                for budget in list(named.values()):
                    yield account, budget
