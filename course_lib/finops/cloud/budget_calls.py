"""Calls about budgets that moto lacks: changing one, its subscribers, its tags."""

from __future__ import annotations

from typing import Any

from course_lib.finops.cloud.wire import ApiCall, ApiError


def update_budget(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer UpdateBudget: the new budget takes the old one's place, with its notifications."""
    new = dict(call.parameters["NewBudget"])
    budget = _find(call.parameters["AccountId"], new["BudgetName"])
    kept = {name: budget.budget[name] for name in ("TimePeriod", "CalculatedSpend") if name in budget.budget}
    budget.budget = {**kept, **new}
    return {}


def subscribers(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer DescribeSubscribersForNotification."""
    budget = _find(call.parameters["AccountId"], call.parameters["BudgetName"])
    asked = call.parameters["Notification"]
    alike = ("NotificationType", "ComparisonOperator", "Threshold")
    for notification in budget.notifications:
        if all(notification.details.get(name) == asked.get(name) for name in alike):
            return {"Subscribers": notification.subscribers}
    raise ApiError("NotFoundException", "Unable to find the notification.")


def list_tags(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer ListTagsForResource; Terraform asks for it after each budget that it makes."""
    return {"ResourceTags": []}


def _find(account: str, name: str) -> Any:
    from moto.budgets.models import budgets_backends

    for _, partitions in list(budgets_backends.items()):
        for backend in list(partitions.values()):
            if name in backend.budgets.get(account, {}):
                return backend.budgets[account][name]
    raise ApiError("NotFoundException", f"Unable to get budget: {name} - the budget doesn't exist.")
