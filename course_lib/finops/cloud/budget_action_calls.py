"""The calls about budget actions, which moto lacks: create, describe, execute, change, delete, and their history.

Source: https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_CreateBudgetAction.html and the
pages beside it.
"""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid5

from course_lib.finops.cloud.budget_actions import Action, may_be_assumed
from course_lib.finops.cloud.budget_calls import find_budget
from course_lib.finops.cloud.pages import page_of
from course_lib.finops.cloud.wire import ApiCall, ApiError

DEFINITIONS = {
    "APPLY_IAM_POLICY": "IamActionDefinition",
    "APPLY_SCP_POLICY": "ScpActionDefinition",
    "RUN_SSM_DOCUMENTS": "SsmActionDefinition",
}
# What ExecuteBudgetAction does, and in which statuses it may be asked for.
FROM = {
    "APPROVE_BUDGET_ACTION": ("PENDING",),
    "RETRY_BUDGET_ACTION": ("EXECUTION_FAILURE",),
    "REVERSE_BUDGET_ACTION": ("EXECUTION_SUCCESS", "REVERSE_FAILURE"),
    "RESET_BUDGET_ACTION": ("REVERSE_SUCCESS",),
}
MOST_SUBSCRIBERS = 11  # one SNS topic and ten addresses
CHANGEABLE = ("NotificationType", "ActionThreshold", "Definition", "ExecutionRoleArn", "ApprovalModel", "Subscribers")
_NAMES = UUID("c0a2f0f4-08a7-4c0b-9d0c-61a3a3e0a5b1")


def create(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer CreateBudgetAction."""
    asked = dict(call.parameters)
    owner, name = asked["AccountId"], asked["BudgetName"]
    find_budget(owner, name)
    told = {key: asked[key] for key in ("BudgetName", "ActionType", *CHANGEABLE)}
    _check(told)
    actions = account.budgets.actions.kept.setdefault((owner, name), {})
    for other in actions.values():
        if all(
            other.told[key] == told[key] for key in ("ActionType", "NotificationType", "ActionThreshold", "Definition")
        ):
            raise ApiError("DuplicateRecordException", f"The budget {name} has this action already.")
    made = sum(record.operation == "CreateBudgetAction" for record in account.ledger.since())
    told["ActionId"] = str(uuid5(_NAMES, f"{owner} {name} {made}"))
    told["Status"] = "STANDBY"
    action = Action(told)
    action.note(account.clock.now(), "CREATE_ACTION", "The action was created.")
    actions[told["ActionId"]] = action
    return {key: told.get(key, owner) for key in ("AccountId", "BudgetName", "ActionId")}


def describe(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer DescribeBudgetAction."""
    owner, name, action = _find(account, call)
    return {"AccountId": owner, "BudgetName": name, "Action": action.told}


def describe_all(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer DescribeBudgetActionsForBudget and DescribeBudgetActionsForAccount."""
    owner, name = call.parameters["AccountId"], call.parameters.get("BudgetName")
    if name is not None:
        find_budget(owner, name)
    found = [
        action.told
        for (whose, budget), actions in account.budgets.actions.kept.items()
        if whose == owner and name in (None, budget)
        for action in actions.values()
    ]
    return page_of(found, call, "Actions")


def histories(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer DescribeBudgetActionHistories; the newest comes first."""
    _, _, action = _find(account, call)
    asked = call.parameters.get("TimePeriod") or {}
    told = [
        entry
        for entry in reversed(action.history)
        if ("Start" not in asked or entry["Timestamp"] >= asked["Start"])
        and ("End" not in asked or entry["Timestamp"] < asked["End"])
    ]
    return page_of(told, call, "ActionHistories")


def execute(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer ExecuteBudgetAction: approve, try again, undo, or stand by again."""
    owner, name, action = _find(account, call)
    kind, now = call.parameters["ExecutionType"], account.clock.now()
    if action.told["Status"] not in FROM[kind]:
        raise ApiError(
            "InvalidParameterException",
            f"{kind} is not allowed for an action whose status is {action.told['Status']}: "
            f"it must be {' or '.join(FROM[kind])}.",
        )
    actions = account.budgets.actions
    if kind == "REVERSE_BUDGET_ACTION":
        actions.reverse((owner, name), action, now)
    elif kind == "RESET_BUDGET_ACTION":
        action.told["Status"] = "STANDBY"
        action.note(now, "EXECUTE_ACTION", "The action stands by again.")
    else:
        actions.execute((owner, name), action, now, "EXECUTE_ACTION")
    return {"AccountId": owner, "BudgetName": name, "ActionId": action.told["ActionId"], "ExecutionType": kind}


def update(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer UpdateBudgetAction: the given parts change, the others stay."""
    owner, name, action = _find(account, call)
    old = json.loads(json.dumps(action.told))
    new = {**action.told, **{key: call.parameters[key] for key in CHANGEABLE if key in call.parameters}}
    _check(new)
    action.told = new
    action.note(account.clock.now(), "UPDATE_ACTION", "The action was changed.")
    return {"AccountId": owner, "BudgetName": name, "OldAction": old, "NewAction": new}


def delete(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer DeleteBudgetAction; what it attached stays attached."""
    owner, name, action = _find(account, call)
    del account.budgets.actions.kept[owner, name][action.told["ActionId"]]
    return {"AccountId": owner, "BudgetName": name, "Action": action.told}


def _find(account: Any, call: ApiCall) -> tuple[str, str, Action]:
    owner, name, number = (call.parameters[key] for key in ("AccountId", "BudgetName", "ActionId"))
    find_budget(owner, name)
    found = account.budgets.actions.kept.get((owner, name), {}).get(number)
    if found is None:
        raise ApiError("NotFoundException", f"Unable to find the action {number} of the budget {name}.")
    return owner, name, found


def _check(told: dict[str, Any]) -> None:
    kind = DEFINITIONS[told["ActionType"]]
    if set(told["Definition"]) != {kind}:
        raise ApiError("InvalidParameterException", f"{told['ActionType']} needs a Definition with {kind} alone.")
    definition = told["Definition"][kind]
    if kind == "IamActionDefinition" and not any(definition.get(who) for who in ("Roles", "Groups", "Users")):
        raise ApiError("InvalidParameterException", "IamActionDefinition must name at least one role, group or user.")
    if not 1 <= len(told["Subscribers"]) <= MOST_SUBSCRIBERS:
        raise ApiError("InvalidParameterException", f"An action has 1 to {MOST_SUBSCRIBERS} subscribers.")
    if float(told["ActionThreshold"]["ActionThresholdValue"]) < 0:
        raise ApiError("InvalidParameterException", "The threshold of an action must not be negative.")
    role = told["ExecutionRoleArn"]
    if not may_be_assumed(role):  # AWS Budgets tries it when the action is created
        raise ApiError("AccessDeniedException", f"Budgets permission required to assume [ExecutionRole: {role}]")
