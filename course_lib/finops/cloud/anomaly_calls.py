"""Cost Explorer's calls about anomalies: monitors, subscriptions, what was found, and what people think of it.

Not covered, and refused: monitors by tag key or cost category. Source:
https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_GetAnomalies.html
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import date
from typing import Any
from uuid import UUID, uuid5

from course_lib.finops.cloud.cost_explorer import invalid, keeping
from course_lib.finops.cloud.instances import account_of
from course_lib.finops.cloud.pages import page_of
from course_lib.finops.cloud.wire import ApiCall, ApiError

TOKEN = "NextPageToken"
BY = ("SERVICE", "LINKED_ACCOUNT")
IMPACTS = ("ANOMALY_TOTAL_IMPACT_ABSOLUTE", "ANOMALY_TOTAL_IMPACT_PERCENTAGE")
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "EQUAL": operator.eq,
    "GREATER_THAN_OR_EQUAL": operator.ge,
    "LESS_THAN_OR_EQUAL": operator.le,
    "GREATER_THAN": operator.gt,
    "LESS_THAN": operator.lt,
}
_NAMES = UUID("a7a5a2f4-6a0d-4a0e-bb5c-0f4b7e3bb7d5")


def create_monitor(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer CreateAnomalyMonitor."""
    wanted = call.parameters["AnomalyMonitor"]
    kind, by = wanted["MonitorType"], wanted.get("MonitorDimension")
    if kind == "CUSTOM":
        if not wanted.get("MonitorSpecification"):
            raise invalid("A CUSTOM monitor needs a MonitorSpecification.")
        keeping(wanted["MonitorSpecification"])
    elif kind != "DIMENSIONAL" or by not in BY:
        raise invalid(f"MonitorDimension '{by}' is none of {', '.join(BY)}, which the practice account has.")
    watch, today = account.anomalies, account.clock.now().strftime("%Y-%m-%d")
    if kind == "DIMENSIONAL" and any(one.get("MonitorDimension") == by for one in watch.monitors.values()):
        raise ApiError("LimitExceededException", f"Limit exceeded on dimensional monitors for {by}: 1.")
    arn = _arn(call, "anomalymonitor", f"{wanted['MonitorName']} {len(watch.monitors)}")
    named = {name: wanted[name] for name in ("MonitorDimension", "MonitorSpecification") if wanted.get(name)}
    dates = {"CreationDate": today, "LastUpdatedDate": today}
    watch.monitors[arn] = {
        "MonitorArn": arn,
        "MonitorName": wanted["MonitorName"],
        "MonitorType": kind,
        **named,
        **dates,
    }
    watch.accounts[arn] = account_of(call)
    watch.plan(account.clock.now())
    return {"MonitorArn": arn}


def monitors(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer GetAnomalyMonitors."""
    found = _named(account.anomalies.monitors, call.parameters.get("MonitorArnList"), "Monitor")
    return page_of(found, call, "AnomalyMonitors", TOKEN)


def delete_monitor(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer DeleteAnomalyMonitor; what it found goes with it."""
    watch, arn = account.anomalies, call.parameters["MonitorArn"]
    _named(watch.monitors, [arn], "Monitor")
    del watch.monitors[arn]
    watch.found = {key: one for key, one in watch.found.items() if one["MonitorArn"] != arn}
    return {}


def create_subscription(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer CreateAnomalySubscription."""
    wanted = dict(call.parameters["AnomalySubscription"])
    _named(account.anomalies.monitors, wanted["MonitorArnList"], "Monitor")
    kinds = {one.get("Type") for one in wanted["Subscribers"]}
    fits = {"SNS"} if wanted["Frequency"] == "IMMEDIATE" else {"EMAIL"}
    if kinds != fits:
        raise invalid(f"Frequency {wanted['Frequency']} takes subscribers of type {fits.pop()}.")
    simple, expression = wanted.pop("Threshold", None), wanted.get("ThresholdExpression") or {}
    if (simple is None) == (not expression):
        raise invalid("One of Threshold and ThresholdExpression is required, and not both.")
    if simple is not None:
        expression = {
            "Dimensions": {"Key": IMPACTS[0], "MatchOptions": ["GREATER_THAN_OR_EQUAL"], "Values": [str(simple)]}
        }
    _check_threshold(expression)
    arn = _arn(call, "anomalysubscription", f"{wanted['SubscriptionName']} {len(account.anomalies.subscriptions)}")
    told = {"SubscriptionArn": arn, "AccountId": account_of(call), "ThresholdExpression": expression}
    people = [{**one, "Status": "CONFIRMED"} for one in wanted["Subscribers"]]
    account.anomalies.subscriptions[arn] = {**wanted, **told, "Subscribers": people}
    return {"SubscriptionArn": arn}


def subscriptions(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer GetAnomalySubscriptions."""
    found = _named(account.anomalies.subscriptions, call.parameters.get("SubscriptionArnList"), "Subscription")
    if monitor := call.parameters.get("MonitorArn"):
        found = [one for one in found if monitor in one["MonitorArnList"]]
    return page_of(found, call, "AnomalySubscriptions", TOKEN)


def delete_subscription(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer DeleteAnomalySubscription."""
    arn = call.parameters["SubscriptionArn"]
    _named(account.anomalies.subscriptions, [arn], "Subscription")
    del account.anomalies.subscriptions[arn]
    return {}


def anomalies(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer GetAnomalies: what the evaluations so far have found, newest first."""
    asked = call.parameters
    given = asked["DateInterval"]
    try:
        first = date.fromisoformat(given["StartDate"])
        last = date.fromisoformat(given.get("EndDate") or account.clock.now().strftime("%Y-%m-%d"))
    except ValueError:
        raise invalid(f"DateInterval {given} must have StartDate and EndDate as yyyy-MM-dd.") from None
    if last < first:
        raise invalid(f"Start date {first} must not be after end date {last}.")
    found = []
    for one in account.anomalies.found.values():
        starts, ends = (date.fromisoformat(one[name]) for name in ("AnomalyStartDate", "AnomalyEndDate"))
        if starts > last or ends < first or not _impact(one["Impact"]["TotalImpact"], asked.get("TotalImpact")):
            continue
        if any(asked.get(name) not in (None, one.get(name)) for name in ("MonitorArn", "Feedback")):
            continue
        found.append({name: value for name, value in one.items() if value not in (None, "")})
    found.sort(key=lambda one: (one["AnomalyStartDate"], one["AnomalyId"]), reverse=True)
    return page_of(found, call, "Anomalies", TOKEN)


def feedback(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer ProvideAnomalyFeedback."""
    key = call.parameters["AnomalyId"]
    if key not in account.anomalies.found:
        raise invalid(f"Anomaly '{key}' does not exist.")
    account.anomalies.found[key]["Feedback"] = call.parameters["Feedback"]
    return {"AnomalyId": key}


def _check_threshold(expression: dict[str, Any]) -> None:
    if len(expression) == 1 and set(expression) <= {"And", "Or"}:
        for one in next(iter(expression.values())):
            _check_threshold(one)
        return
    given = expression.get("Dimensions") or {}
    if len(expression) != 1 or given.get("Key") not in IMPACTS or len(given.get("Values") or ()) != 1:
        raise invalid(f"ThresholdExpression must have one value for one of {', '.join(IMPACTS)}.")
    if given.get("MatchOptions") != ["GREATER_THAN_OR_EQUAL"]:
        raise invalid("ThresholdExpression takes the match option GREATER_THAN_OR_EQUAL.")


def _impact(usd: float, wanted: dict[str, Any] | None) -> bool:
    if not wanted:
        return True
    start = float(wanted["StartValue"])
    if wanted["NumericOperator"] == "BETWEEN":
        return start <= usd <= float(wanted.get("EndValue", start))
    return COMPARE[wanted["NumericOperator"]](usd, start)


def _named(known: dict[str, Any], wanted: list[str] | None, kind: str) -> list[Any]:
    for arn in wanted or ():
        if arn not in known:
            raise ApiError(f"Unknown{kind}Exception", f"{kind} {arn} does not exist.")
    return [one for arn, one in known.items() if not wanted or arn in wanted]


def _arn(call: ApiCall, kind: str, name: str) -> str:
    return f"arn:aws:ce::{account_of(call)}:{kind}/{uuid5(_NAMES, name)}"
