"""Budget actions that fire: when a budget passes a threshold, a policy is attached or instances are stopped.

They come with the budget's refresh, hours after the money is spent. AUTOMATIC acts at once; MANUAL waits in PENDING for
somebody's ExecuteBudgetAction. Whatever happens is done with the permissions of the execution role, as IAM evaluates
them: a role that may not attach the policy gives EXECUTION_FAILURE. With a new period of the budget an action stands
by again; what it attached stays until somebody reverses it. Not covered: stopping RDS instances. Sources:
https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-controls.html and
https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-action-review.html (the meaning of each status)
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from course_lib.finops.cloud.alarms import Tell
from course_lib.finops.cloud.schedules import Clients
from course_lib.finops.cloud.wire import code_of
from course_lib.finops.iam import Policies, Request, evaluate

SERVICE = "budgets.amazonaws.com"
# What an action needs, and what undoes it: type → (calls, calls in reverse).
ATTACH = {"Users": ("attach_user_policy", "detach_user_policy", "UserName", "user"),
          "Groups": ("attach_group_policy", "detach_group_policy", "GroupName", "group"),
          "Roles": ("attach_role_policy", "detach_role_policy", "RoleName", "role")}  # fmt: skip


class RefusedError(Exception):
    """The execution role may not do what the action wants."""


@dataclass
class Action:
    """One action of a budget.

    Attributes:
        told: as DescribeBudgetAction tells of it.
        history: what happened to it, oldest first.
        period: the first moment of the budget's period in which it was looked at last.
    """

    told: dict[str, Any]
    history: list[dict[str, Any]] = field(default_factory=list)
    period: datetime | None = None

    def note(self, now: datetime, event: str, message: str) -> None:
        """Write what happened into the history, with the action as it is now."""
        details = {"Message": message, "Action": json.loads(json.dumps(self.told))}
        entry = {"Timestamp": now, "Status": self.told["Status"], "EventType": event, "ActionHistoryDetails": details}
        self.history.append(entry)


@dataclass
class BudgetActions:
    """The account's budget actions, by account and budget's name."""

    clients: Clients
    tell: Tell
    kept: dict[tuple[str, str], dict[str, Action]] = field(default_factory=dict)

    def look(
        self, budget: tuple[str, str], spend: dict[str, float], limit: float, start: datetime, now: datetime
    ) -> None:
        """Fire what a budget's spend has passed.

        Args:
            budget: account and name.
            spend: ACTUAL and FORECASTED, USD.
            limit: of the budget, USD.
            start: of the budget's period.
            now: the account's time.
        """
        for action in list(self.kept.get(budget, {}).values()):
            if action.period not in (None, start) and action.told["Status"] != "STANDBY":
                action.told["Status"] = "STANDBY"
                action.note(now, "SYSTEM", "A new period of the budget has begun.")
            action.period = start
            threshold = action.told["ActionThreshold"]
            usd = float(threshold["ActionThresholdValue"])
            usd *= limit / 100 if threshold["ActionThresholdType"] == "PERCENTAGE" else 1
            reached = spend[action.told["NotificationType"]]
            if action.told["Status"] != "STANDBY" or reached <= usd:
                continue
            words = f"Budget {budget[1]}: {action.told['NotificationType'].lower()} spend {reached:.2f} USD is above "
            words += f"{usd:.2f} USD."
            if action.told["ApprovalModel"] == "MANUAL":
                action.told["Status"] = "PENDING"
                action.note(now, "SYSTEM", f"{words} The action waits for approval.")
                notify(
                    self.clients,
                    self.tell,
                    budget[1],
                    f"{words} An action waits for approval.",
                    action.told["Subscribers"],
                )
            else:
                self.execute(budget, action, now, "SYSTEM", words)

    def execute(self, budget: tuple[str, str], action: Action, now: datetime, event: str, why: str = "") -> None:
        """Carry an action out, and tell its subscribers."""
        self._carry(budget, action, now, event, "EXECUTION", why, back=False)

    def reverse(self, budget: tuple[str, str], action: Action, now: datetime) -> None:
        """Undo what an action did."""
        self._carry(budget, action, now, "EXECUTE_ACTION", "REVERSE", "", back=True)

    def _carry(
        self, budget: tuple[str, str], action: Action, now: datetime, event: str, word: str, why: str, *, back: bool
    ) -> None:
        try:
            done = self._do(action.told, back)
            status, error = "SUCCESS", ""
        except Exception as failure:  # noqa: BLE001 - whatever keeps it from acting is the action's failure
            done, status, error = str(failure), "FAILURE", code_of(failure)
        action.told["Status"] = f"{word}_{status}"
        action.note(now, event, " ".join(filter(None, (why, done))))
        told = {
            "BudgetName": budget[1],
            "ActionId": action.told["ActionId"],
            "status": action.told["Status"],
            "what": done,
        }
        self.tell("us-east-1", "action", told, 400 if error else 200, error)
        words = f"Budget {budget[1]}: an action ended as {action.told['Status']}: {done}"
        notify(self.clients, self.tell, budget[1], words, action.told["Subscribers"])

    def _do(self, told: dict[str, Any], back: bool) -> str:
        role, (kind, definition) = told["ExecutionRoleArn"], next(iter(told["Definition"].items()))
        if kind == "IamActionDefinition":
            return self._attach(role, definition, back)
        if kind == "ScpActionDefinition":
            organizations, verb = self.clients("organizations", "us-east-1"), "detach" if back else "attach"
            for target in definition["TargetIds"]:
                require(role, f"organizations:{verb.capitalize()}Policy", "*")
                getattr(organizations, f"{verb}_policy")(PolicyId=definition["PolicyId"], TargetId=target)
            return f"{verb}ed {definition['PolicyId']} {'from' if back else 'to'} {', '.join(definition['TargetIds'])}"
        if definition["ActionSubType"] != "STOP_EC2_INSTANCES":
            raise NotImplementedError("the practice account can't stop RDS instances")
        region, instances = definition["Region"], list(definition["InstanceIds"])
        for instance in instances:
            verb = "ec2:StartInstances" if back else "ec2:StopInstances"
            require(role, verb, f"arn:aws:ec2:{region}:{role.split(':')[4]}:instance/{instance}")
        ec2 = self.clients("ec2", region)
        (ec2.start_instances if back else ec2.stop_instances)(InstanceIds=instances)
        return f"{'started' if back else 'stopped'} {', '.join(instances)}"

    def _attach(self, role: str, definition: dict[str, Any], back: bool) -> str:
        iam, policy, done = self.clients("iam", "us-east-1"), definition["PolicyArn"], []
        for kind, (attach, detach, parameter, word) in ATTACH.items():
            for name in definition.get(kind) or ():
                verb = detach if back else attach
                action = "iam:" + "".join(part.capitalize() for part in verb.split("_"))
                require(role, action, f"arn:aws:iam::{role.split(':')[4]}:{word}/{name}", {"iam:PolicyARN": policy})
                getattr(iam, verb)(**{parameter: name, "PolicyArn": policy})
                done.append(f"{word} {name}")
        what = "detached {} from {}" if back else "attached {} to {}"
        return what.format(policy.rpartition("/")[2], ", ".join(done))


def notify(clients: Clients, tell: Tell, budget: str, words: str, subscribers: Iterable[dict[str, str]]) -> None:
    """Tell subscribers: SNS topics get a message, and all of it, mail too, is written into the ledger."""
    for subscriber in subscribers:
        error, status = "", 200
        if subscriber["SubscriptionType"] == "SNS":
            sns = clients("sns", subscriber["Address"].split(":")[3])
            try:
                sns.publish(TopicArn=subscriber["Address"], Subject="AWS Budgets", Message=words)
            except Exception as failure:  # noqa: BLE001 - a topic that is gone is told, and the budget goes on
                error, status = code_of(failure), 400
        told = {"BudgetName": budget, "to": subscriber["Address"], "message": words}
        tell("us-east-1", "alert", told, status, error)


def may_be_assumed(role_arn: str) -> bool:
    """Whether a role is there and trusts AWS Budgets."""
    role = _role(role_arn)
    if role is None:
        return False
    trust = json.loads(unquote(role.assume_role_policy_document))
    keys = {"aws:SourceAccount": role_arn.split(":")[4]}
    return evaluate(Policies(trust=trust), Request(SERVICE, "sts:AssumeRole", role_arn, keys)).allowed


def require(role_arn: str, action: str, resource: str, keys: dict[str, Any] | None = None) -> None:
    """Raise unless the policies of a role allow a call.

    Raises:
        RefusedError: in the evaluator's words.
    """
    role = _role(role_arn)
    if role is None:
        raise RefusedError(f"the execution role {role_arn} is gone")
    versions = [(policy, version) for policy in role.managed_policies.values() for version in policy.versions]
    texts = [version.document for policy, version in versions if version.version_id == policy.default_version_id]
    documents = [json.loads(unquote(text)) for text in (*texts, *role.policies.values())]
    decision = evaluate(Policies(identity=documents), Request(role_arn, action, resource, keys or {}))
    if not decision.allowed:
        raise RefusedError(f"the execution role may not: {decision.explanation}")


def _role(role_arn: str) -> Any:
    from moto.iam.models import iam_backends

    for role in list(iam_backends[role_arn.split(":")[4]]["aws"].roles.values()):
        if role.arn == role_arn:
            return role
    return None
