"""What a dashboard shows, gathered at one moment: each part is data, or the plain reason why it could not be read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from course_lib.finops.anomalies import Anomaly
from course_lib.finops.chargeback import Allocation
from course_lib.finops.forecast import Forecast
from course_lib.finops.optimize import Advice
from course_lib.finops.usage import USD_PER_CALL, Running, RunningInstance, Usage

GROUPS = {"service": "service", "tag:project": "project", "tag:owner": "owner", "region": "region"}


@dataclass(frozen=True)
class Unread:
    """A part that could not be read.

    Attributes:
        reason: why, in one line, with the remedy.
    """

    reason: str


@dataclass(frozen=True)
class MonthToDate:
    """This month's bill so far.

    Attributes:
        month: such as "2026-12".
        usd: what Cost Explorer has of it.
        days: its days that have begun, today included.
        incomplete: how many of them are not on the bill in full yet.
    """

    month: str
    usd: Decimal
    days: int
    incomplete: int


@dataclass(frozen=True)
class BudgetState:
    """A monthly budget in AWS Budgets.

    Attributes:
        name: of the budget.
        limit_usd: of a month.
        scope: "whole account", or what its filters say.
        spent_usd: what AWS Budgets has counted so far; it looks up to three times a day.
    """

    name: str
    limit_usd: float
    scope: str
    spent_usd: float | None


@dataclass(frozen=True)
class Leased:
    """An instance that runs, and when its lease ends.

    Attributes:
        instance: what runs.
        ends: the lease's end; None without a lease.
        lack: what is wrong with the lease where there is none, such as "no tag expires-at"; "" otherwise.
        protected: whether the tags say that nothing here may end it.
    """

    instance: RunningInstance
    ends: datetime | None
    lack: str = ""
    protected: bool = False


@dataclass(frozen=True)
class RunsNow:
    """What is charged at this moment.

    Attributes:
        running: the estimate, live.
        leases: one for each instance of it, in its order.
    """

    running: Running
    leases: tuple[Leased, ...]


@dataclass(frozen=True)
class DashboardData:
    """One moment's picture of an account's money.

    Attributes:
        account: its number.
        now: AWS's time.
        days: how far back the bill was read.
        late: how old the end of a day must be to count as complete on the bill.
        spend: the bill by day for each of GROUPS.
        month: this month so far.
        forecast: days to come to the end of this month.
        budgets: the account's monthly cost budgets.
        anomalies: the dearest first.
        runs: what runs now.
        chargeback: the newest month of the FOCUS export, divided by a tag.
        advice: what would save money.
        calls: how often Cost Explorer was asked; each costs USD_PER_CALL.
    """

    account: str
    now: datetime
    days: int
    late: timedelta
    spend: dict[str, Usage | Unread]
    month: MonthToDate | Unread
    forecast: Forecast | Unread
    budgets: tuple[BudgetState, ...] | Unread
    anomalies: tuple[Anomaly, ...] | Unread
    runs: RunsNow | Unread
    chargeback: Allocation | Unread
    advice: Advice | Unread
    calls: int

    @property
    def usd_of_reading(self) -> Decimal:
        """What the questions to Cost Explorer cost."""
        return self.calls * USD_PER_CALL

    @property
    def budget(self) -> BudgetState | None:
        """The whole account's budget, the smallest if there are several; None without one."""
        whole = [one for one in self.budgets if one.scope == WHOLE] if not isinstance(self.budgets, Unread) else []
        return min(whole, key=lambda one: one.limit_usd, default=None)

    @property
    def unread(self) -> dict[str, str]:
        """Parts that could not be read, with the reason."""
        parts: dict[str, object] = {f"spend by {GROUPS[by]}": found for by, found in self.spend.items()}
        names = ("month", "forecast", "budgets", "anomalies", "runs", "chargeback", "advice")
        parts |= {name: getattr(self, name) for name in names}
        return {name: part.reason for name, part in parts.items() if isinstance(part, Unread)}


WHOLE = "whole account"
