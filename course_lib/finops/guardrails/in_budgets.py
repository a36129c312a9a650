"""The guardrails in AWS Budgets: limits, alerts with their subscribers, and actions that stop launches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from course_lib.finops.aws import one_line, pages, tag_list
from course_lib.finops.ephemeral import MANAGED
from course_lib.finops.guardrails.documents import BUDGETS_ROLE, STOP
from course_lib.finops.guardrails.lines import Line, Place, foreign, ours, same
from course_lib.finops.guardrails.wanted import Alert, Budget, Stop

TRIES, PAUSE = 6, 2.0  # a new role is known to AWS Budgets some seconds after it was made
TAGS = tag_list(MANAGED)


def budget_lines(place: Place, budget: Budget, pause: Callable[[float], None] = time.sleep) -> Iterator[Line]:
    """Lines for a budget, its alerts and its stops. A new budget comes with all alerts and its tag in one call.

    Raises:
        AwsError: if AWS Budgets can't be asked.
    """
    client, body = place.clients.client("budgets"), _body(budget)
    with one_line(f"looking at budget {budget.name}"):
        try:
            told = client.describe_budget(AccountId=place.account, BudgetName=budget.name)["Budget"]
            arn = f"arn:{place.partition}:budgets::{place.account}:budget/{budget.name}"
            mine = ours(client.list_tags_for_resource(ResourceARN=arn)["ResourceTags"])
        except client.exceptions.NotFoundException:
            told, mine = None, True
    scope = ", ".join(f"{key}={value}" for key, value in budget.tags.items()) or "the whole account"
    words = f"{budget.usd_per_month:,.2f} USD a month for {scope}, {len(budget.alerts)} alerts"
    if told is None:
        yield Line("create", "budget", budget.name, words, partial(_create_budget, client, place.account, budget))
    elif not mine:
        yield foreign("budget", budget.name)
        return
    elif _limits(told) == _limits(body):
        yield Line("nothing", "budget", budget.name, words)
    else:
        limit, _, filters = _limits(told)
        was = f"{limit:,.2f} USD" + (f" for {filters}" if filters else "")
        change = partial(client.update_budget, AccountId=place.account, NewBudget=body)
        yield Line("update", "budget", budget.name, f"{words}; it was {was}", partial(_without_answer, change))
    if told is not None:
        yield from _alert_lines(client, place, budget)
    yield from _stop_lines(client, place, budget, told is not None, pause)


def _alert_lines(client: Any, place: Place, budget: Budget) -> Iterator[Line]:
    which = {"AccountId": place.account, "BudgetName": budget.name}
    doing = f"looking at the alerts of {budget.name}"
    told = pages(client, "describe_notifications_for_budget", doing, **which)
    every = [one for page in told for one in page.get("Notifications", ())]
    found = {_at(one["NotificationType"], one["Threshold"]): one for one in every if _as_ours(one)}
    for alert in budget.alerts:
        at = _at(alert.kind, alert.percent)
        name, known = f"{budget.name} {_words(*at)}", found.pop(at, None)
        if known is None:
            make = partial(client.create_notification, **which, **_notification(alert))
            yield Line("create", "alert", name, f"to {', '.join(alert.to)}", partial(_without_answer, make))
            continue
        told = pages(client, "describe_subscribers_for_notification", doing, **which, Notification=known)
        there = {one["Address"] for page in told for one in page.get("Subscribers", ())}
        lacking = [address for address in alert.to if address not in there]
        if lacking:
            add = partial(_subscribe, client, {**which, "Notification": known}, lacking)
            yield Line("update", "alert", name, f"add {', '.join(lacking)}", add)
        else:
            yield Line("nothing", "alert", name, f"to {', '.join(alert.to)}")
        if more := sorted(there - set(alert.to)):
            yield Line("drift", "alert", name, f"also goes to {', '.join(more)}, and stays so")
    for at in found:
        yield Line("drift", "alert", f"{budget.name} {_words(*at)}", "is not in the plan, and stays")
    for one in (alert for alert in every if not _as_ours(alert)):
        words = f"{one['ComparisonOperator']} {one['Threshold']:g} {one.get('ThresholdType', '')}".rstrip()
        yield Line("drift", "alert", f"{budget.name} {words}", "is none of a share that is passed, and stays")


def _as_ours(notification: dict[str, Any]) -> bool:
    """Whether it tells of spend above a percentage, as all alerts of a plan do: not below it, and not of dollars."""
    kind = (notification["ComparisonOperator"], notification.get("ThresholdType", "PERCENTAGE"))
    return kind == ("GREATER_THAN", "PERCENTAGE")


def _stop_lines(
    client: Any, place: Place, budget: Budget, exists: bool, pause: Callable[[float], None]
) -> Iterator[Line]:
    which = {"AccountId": place.account, "BudgetName": budget.name}
    found: dict[tuple[str, float], dict[str, Any]] = {}
    if exists:
        told = pages(client, "describe_budget_actions_for_budget", f"looking at the actions of {budget.name}", **which)
        for one in (action for page in told for action in page["Actions"]):
            found[_at(one["NotificationType"], one["ActionThreshold"]["ActionThresholdValue"])] = one
    for stop in budget.stops:
        at, body = _at(stop.kind, stop.percent), _action(place, stop)
        name, known = f"{budget.name} {_words(*at)}", found.pop(at, None)
        who = ", ".join((*stop.groups, *stop.users, *stop.roles))
        words = f"{stop.approval.lower()}: {who} may launch nothing more"
        if known is None:
            make = partial(_patiently, partial(client.create_budget_action, **which, **body, ResourceTags=TAGS), pause)
            yield Line("create", "action", name, words, make)
            continue
        differs = [key for key, value in body.items() if not same(_plain(known.get(key)), _plain(value))]
        if not differs:
            yield Line("nothing", "action", name, f"{words} ({known['Status']})")
        elif "ActionType" in differs:
            yield Line("drift", "action", name, f"is of the type {known['ActionType']}: delete it if it isn't needed")
        else:
            changed = {key: value for key, value in body.items() if key != "ActionType"}
            change = partial(client.update_budget_action, **which, ActionId=known["ActionId"], **changed)
            yield Line(
                "update", "action", name, f"{words}; changes {', '.join(differs)}", partial(_without_answer, change)
            )
    for at in found:
        yield Line("drift", "action", f"{budget.name} {_words(*at)}", "is not in the plan, and stays")


def _body(budget: Budget) -> dict[str, Any]:
    filters = [f"user:{key}${value}" for key, value in budget.tags.items()]
    return {
        "BudgetName": budget.name,
        "BudgetType": "COST",
        "TimeUnit": "MONTHLY",
        "BudgetLimit": {"Amount": f"{budget.usd_per_month:.2f}", "Unit": "USD"},
        **({"CostFilters": {"TagKeyValue": filters}} if filters else {}),
    }


def _limits(body: dict[str, Any]) -> tuple[float, str, dict[str, list[str]]]:
    filters = {key: sorted(values) for key, values in (body.get("CostFilters") or {}).items()}
    return float((body.get("BudgetLimit") or {}).get("Amount", "nan")), body["TimeUnit"], filters


def _notification(alert: Alert) -> dict[str, Any]:
    return {
        "Notification": {
            "NotificationType": alert.kind.upper(),
            "ComparisonOperator": "GREATER_THAN",
            "Threshold": float(alert.percent),
            "ThresholdType": "PERCENTAGE",
        },
        "Subscribers": _subscribers(alert.to),
    }


def _subscribers(to: tuple[str, ...]) -> list[dict[str, str]]:
    return [{"SubscriptionType": "SNS" if one.startswith("arn:") else "EMAIL", "Address": one} for one in to]


def _action(place: Place, stop: Stop) -> dict[str, Any]:
    named = {"Groups": stop.groups, "Users": stop.users, "Roles": stop.roles}
    who = {kind: list(names) for kind, names in named.items() if names}
    return {
        "NotificationType": stop.kind.upper(),
        "ActionType": "APPLY_IAM_POLICY",
        "ActionThreshold": {"ActionThresholdValue": float(stop.percent), "ActionThresholdType": "PERCENTAGE"},
        "Definition": {"IamActionDefinition": {"PolicyArn": place.arn("policy", STOP), **who}},
        "ExecutionRoleArn": place.arn("role", BUDGETS_ROLE),
        "ApprovalModel": stop.approval,
        "Subscribers": _subscribers(stop.to),
    }


def _plain(value: Any) -> Any:
    """Lists in one order, so that only what they hold is compared."""
    if isinstance(value, list):
        return sorted((_plain(one) for one in value), key=str)
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return value


def _create_budget(client: Any, account: str, budget: Budget) -> None:
    client.create_budget(
        AccountId=account,
        Budget=_body(budget),
        NotificationsWithSubscribers=[_notification(alert) for alert in budget.alerts],
        ResourceTags=TAGS,
    )


def _subscribe(client: Any, which: dict[str, Any], addresses: list[str]) -> None:
    for subscriber in _subscribers(tuple(addresses)):
        client.create_subscriber(**which, Subscriber=subscriber)


def _patiently(call: Callable[[], Any], pause: Callable[[float], None]) -> None:
    """Try again while AWS Budgets does not know a role yet that was made a moment ago."""
    from botocore.exceptions import ClientError

    for left in range(TRIES - 1, -1, -1):
        try:
            call()
            return
        except ClientError as error:
            if not left or "required to assume" not in str(error):
                raise
            pause(PAUSE * (TRIES - left))


def _without_answer(call: Callable[[], Any]) -> None:
    call()


def _at(kind: str, percent: float) -> tuple[str, float]:
    return kind.upper(), float(percent)


def _words(kind: str, percent: float) -> str:
    return f"at {percent:g}% {kind.lower()}"
