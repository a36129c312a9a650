"""Calls about budgets that moto lacks, and the checks that it leaves out: amounts, subscribers, tags, past periods."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from course_lib.finops.aws import tag_list, tags_of
from course_lib.finops.cloud.budgets import period, spent
from course_lib.finops.cloud.pages import page_of
from course_lib.finops.cloud.wire import ApiCall, ApiError

# The service model's pattern of an amount, which botocore does not check and AWS does.
AMOUNT = r"([0-9]*\.)?[0-9]+"
MOST_NOTIFICATIONS = 10
MOST_PERIODS = {"DAILY": 60, "MONTHLY": 12, "QUARTERLY": 4, "ANNUALLY": 1}  # that the history tells of
ALIKE = ("NotificationType", "ComparisonOperator", "Threshold")


def check_budget(account: Any, call: ApiCall) -> None:
    """Refuse a budget whose limit is no amount, as AWS does; moto takes any text."""
    asked = call.parameters
    _check_amount((asked["Budget"].get("BudgetLimit") or {}).get("Amount"))
    if len(asked.get("NotificationsWithSubscribers") or ()) > MOST_NOTIFICATIONS:
        raise ApiError("CreationLimitExceededException", f"A budget has at most {MOST_NOTIFICATIONS} notifications.")


def after_create(account: Any, call: ApiCall, status: int, headers: dict[str, str], body: bytes) -> None:
    """Keep a budget's tags, and let it begin with its period by the account's clock; moto asks this machine's."""
    owner, asked = call.parameters["AccountId"], call.parameters["Budget"]
    if "TimePeriod" not in asked:
        start, _ = period(str(asked["TimeUnit"]), account.clock.now())
        find_budget(owner, asked["BudgetName"]).budget["TimePeriod"]["Start"] = start.timestamp()
    account.budgets.actions.kept.pop((owner, asked["BudgetName"]), None)
    account.budgets.tags[arn_of(owner, asked["BudgetName"])] = tags_of(call.parameters.get("ResourceTags"))


def after_delete(account: Any, call: ApiCall, status: int, headers: dict[str, str], body: bytes) -> None:
    """With a budget its actions go; what they attached stays."""
    account.budgets.actions.kept.pop((call.parameters["AccountId"], call.parameters["BudgetName"]), None)


def update_budget(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer UpdateBudget: the new budget takes the old one's place, with its notifications."""
    new = dict(call.parameters["NewBudget"])
    _check_amount((new.get("BudgetLimit") or {}).get("Amount"))
    budget = find_budget(call.parameters["AccountId"], new["BudgetName"])
    kept = {name: budget.budget[name] for name in ("TimePeriod", "CalculatedSpend") if name in budget.budget}
    # moto keeps and answers a period in seconds since 1970
    asked = {name: when.timestamp() for name, when in (new.pop("TimePeriod", None) or {}).items()}
    budget.budget = {**kept, **new, "TimePeriod": {**kept.get("TimePeriod", {}), **asked}}
    return {}


def subscribers(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer DescribeSubscribersForNotification."""
    return page_of(list(_notification(call).subscribers), call, "Subscribers")


def add_subscriber(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer CreateSubscriber."""
    notification, new = _notification(call), call.parameters["Subscriber"]
    if new in notification.subscribers:
        raise ApiError("DuplicateRecordException", "The notification has this subscriber already.")
    notification.subscribers = [*notification.subscribers, new]
    return {}


def list_tags(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer ListTagsForResource."""
    tags = account.budgets.tags.get(call.parameters["ResourceARN"], {})
    return {"ResourceTags": tag_list(tags)}


def tag_resource(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer TagResource."""
    tags = account.budgets.tags.setdefault(call.parameters["ResourceARN"], {})
    tags.update(tags_of(call.parameters["ResourceTags"]))
    return {}


def performance_history(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer DescribeBudgetPerformanceHistory: what was budgeted and what was spent in each period, newest first."""
    owner, name = call.parameters["AccountId"], call.parameters["BudgetName"]
    about = find_budget(owner, name).budget
    unit, now = str(about["TimeUnit"]), account.clock.now()
    asked, told = call.parameters.get("TimePeriod") or {}, []
    first = asked.get("Start", datetime.fromtimestamp(float(about["TimePeriod"]["Start"]), now.tzinfo))
    moment = min(asked.get("End", now), now)
    for _ in range(MOST_PERIODS.get(unit, 12)):
        start, end = period(unit, moment)
        if end <= first:
            break
        usd = spent(account.budgets.meter, about, start, end, now - account.budgets.delay, owner)
        told.append(
            {
                "BudgetedAmount": about.get("BudgetLimit", {"Amount": "0", "Unit": "USD"}),
                "ActualAmount": {"Amount": f"{usd:.2f}", "Unit": "USD"},
                "TimePeriod": {"Start": start, "End": end},
            }
        )
        moment = start - timedelta(seconds=1)
    page = page_of(told, call, "BudgetedAndActualAmountsList")
    same = {key: about[key] for key in ("BudgetName", "BudgetType", "CostFilters", "TimeUnit") if key in about}
    answer = {
        "BudgetPerformanceHistory": {**same, "BudgetedAndActualAmountsList": page.pop("BudgetedAndActualAmountsList")}
    }
    return {**answer, **page}


def arn_of(account: str, name: str) -> str:
    """The ARN of a budget."""
    return f"arn:aws:budgets::{account}:budget/{name}"


def find_budget(account: str, name: str) -> Any:
    """moto's own object for a budget.

    Raises:
        ApiError: NotFoundException.
    """
    from moto.budgets.models import budgets_backends

    for _, partitions in list(budgets_backends.items()):
        for backend in list(partitions.values()):
            if name in backend.budgets.get(account, {}):
                return backend.budgets[account][name]
    raise ApiError("NotFoundException", f"Unable to get budget: {name} - the budget doesn't exist.")


def _notification(call: ApiCall) -> Any:
    budget = find_budget(call.parameters["AccountId"], call.parameters["BudgetName"])
    asked = call.parameters["Notification"]
    for notification in budget.notifications:
        if all(notification.details.get(name) == asked.get(name) for name in ALIKE):
            return notification
    raise ApiError("NotFoundException", "Unable to find the notification.")


def _check_amount(amount: Any) -> None:
    if amount is not None and not re.fullmatch(AMOUNT, str(amount)):
        raise ApiError(
            "InvalidParameterException",
            f"1 validation error detected: Value '{amount}' at 'budget.budgetLimit.amount' failed to satisfy "
            f"constraint: Member must satisfy regular expression pattern: {AMOUNT}",
        )
