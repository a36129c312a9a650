"""What guards an account, written down: budgets, tags, regions, types, and who is stopped by what.

These are plain values; `read_guardrails` reads them from a file, `plan_guardrails` compares them with an account.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from course_lib.catalog import is_number
from course_lib.finops.ephemeral import EXPIRES, OWNER, PROJECT
from course_lib.finops.guardrails.errors import GuardrailError
from course_lib.finops.guardrails.quota_codes import Purchase, quota_of_type

Spend = Literal["actual", "forecasted"]
Approval = Literal["AUTOMATIC", "MANUAL"]
# https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_CreateBudget.html
MOST_ALERTS = 10
MOST_SUBSCRIBERS = 11  # one SNS topic and ten addresses
_NAME = re.compile(r"[^:\\]{1,100}")
_MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w.-]+", re.ASCII)


@dataclass(frozen=True)
class Alert:
    """Somebody is told when a budget's spend passes a share of its limit.

    Attributes:
        percent: of the limit, above 0.
        to: mail addresses, and at most one SNS topic's ARN.
        kind: "actual" for what was spent, "forecasted" for what the month will come to.

    Raises:
        GuardrailError: for a percentage, an address or a kind that isn't one.
    """

    percent: float
    to: tuple[str, ...]
    kind: Spend = "actual"

    def __post_init__(self) -> None:
        GuardrailError.check_positive("percent", self.percent, "give a percentage such as 80")
        if self.kind not in ("actual", "forecasted"):
            raise GuardrailError.of("kind", self.kind, "must be 'actual' or 'forecasted'", "give one of the two")
        check_subscribers(self.to)


@dataclass(frozen=True)
class Stop:
    """Somebody may launch nothing more when a budget's spend passes a share of its limit: a budget action.

    Attributes:
        percent: of the limit, above 0.
        to: who is told; see `Alert`.
        groups, users, roles: names in IAM, to which the policy that stops launches is attached.
        approval: "AUTOMATIC" acts at once, "MANUAL" waits for somebody's yes.
        kind: see `Alert`.

    Raises:
        GuardrailError: for what isn't one of these, or if nobody would be stopped.
    """

    percent: float
    to: tuple[str, ...]
    groups: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    approval: Approval = "AUTOMATIC"
    kind: Spend = "actual"

    def __post_init__(self) -> None:
        Alert(self.percent, self.to, self.kind)
        for name in ("groups", "users", "roles"):
            check_texts(name, getattr(self, name))
        if self.approval not in ("AUTOMATIC", "MANUAL"):
            raise GuardrailError.of("approval", self.approval, "must be 'AUTOMATIC' or 'MANUAL'", "give one of the two")
        if not (self.groups or self.users or self.roles):
            raise GuardrailError.of("groups", self.groups, "stops nobody", "name groups, users or roles")


@dataclass(frozen=True)
class Budget:
    """A limit on what a month may cost, counted for some tags or for the whole account.

    Attributes:
        name: of the budget.
        usd_per_month: the limit, above 0.
        tags: only what carries one of these tags counts; empty for the whole account.
        alerts: who is told, and when.
        stops: who is stopped, and when.

    Raises:
        GuardrailError: for a limit that isn't above 0, a name AWS doesn't take, or the same threshold twice.
    """

    name: str
    usd_per_month: float
    tags: Mapping[str, str] = field(default_factory=dict)
    alerts: tuple[Alert, ...] = ()
    stops: tuple[Stop, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name) or "/action/" in self.name:
            raise GuardrailError.of(
                "name", self.name, "is no budget's name", "use 1 to 100 characters without : and \\"
            )
        if not is_number(self.usd_per_month) or self.usd_per_month <= 0:
            raise GuardrailError.of(
                "usd_per_month", self.usd_per_month, "must be a finite number above 0", "give the month's limit in USD"
            )
        if round(self.usd_per_month, 2) == 0:
            raise GuardrailError.of("usd_per_month", self.usd_per_month, "is less than a cent", "give at least 0.01")
        if not isinstance(self.tags, Mapping):
            raise GuardrailError.of("tags", self.tags, "must be keys with values", 'write { project = "bert" }')
        for what, found in (("alerts", self.alerts), ("stops", self.stops)):
            at = [(one.kind, one.percent) for one in found]
            if len(set(at)) < len(at):
                raise GuardrailError.of(what, at, "has one threshold twice", "put all addresses into one")
        if len(self.alerts) > MOST_ALERTS:
            raise GuardrailError.of("alerts", len(self.alerts), f"is more than AWS's {MOST_ALERTS}", "leave some out")


@dataclass(frozen=True)
class PlannedLaunch:
    """Instances that somebody means to run at the same time, for which the quota must suffice.

    Raises:
        GuardrailError: for no instance type, a purchase that isn't one, or a count below 1.
    """

    instance_type: str
    count: int
    region: str
    purchase: Purchase = "on_demand"

    def __post_init__(self) -> None:
        GuardrailError.check_count("count", self.count)
        quota_of_type(self.instance_type, self.purchase)


@dataclass(frozen=True)
class Guardrails:
    """Everything that guards one account.

    Attributes:
        regions: where work is allowed.
        instance_types: that may be launched: names, or families such as "trn1.*".
        budgets: what may be spent.
        required_tags: keys that each instance and volume must carry, beside owner and expires-at.
        researchers: groups in IAM that get the permission to launch; they must be there.
        until: no launches from this date on, with a time zone; None for no end.
        launches: for which the quotas must suffice.

    Raises:
        GuardrailError: for no regions or types, or two budgets of one name.
    """

    regions: tuple[str, ...]
    instance_types: tuple[str, ...]
    budgets: tuple[Budget, ...] = ()
    required_tags: tuple[str, ...] = (PROJECT,)
    researchers: tuple[str, ...] = ()
    until: str | None = None
    launches: tuple[PlannedLaunch, ...] = ()

    def __post_init__(self) -> None:
        for name in ("regions", "instance_types", "required_tags", "researchers"):
            check_texts(name, getattr(self, name))
        for name, values in (("regions", self.regions), ("instance_types", self.instance_types)):
            if not values:
                raise GuardrailError.of(name, values, "is empty", "name at least one")
        names = [budget.name for budget in self.budgets]
        if len(set(names)) < len(names):
            raise GuardrailError.of("budgets", names, "has one name twice", "name each budget once")

    @property
    def every_tag(self) -> tuple[str, ...]:
        """The keys that each instance and volume must carry."""
        return tuple(dict.fromkeys((OWNER, *self.required_tags, EXPIRES)))


def check_texts(name: str, values: object) -> None:
    """Refuse a lone text in the place of a list, whose letters would be taken one by one, and what is no text."""
    if not isinstance(values, tuple | list) or not all(isinstance(one, str) for one in values):
        raise GuardrailError.of(name, values, "must be a list of texts", f'write it as in {name} = ["..."]')


def check_subscribers(to: tuple[str, ...]) -> None:
    """Refuse what is neither a mail address nor a topic, and more of them than AWS takes."""
    check_texts("to", to)
    topics = [one for one in to if _TOPIC.fullmatch(one)]
    for one in to:
        if one not in topics and not _MAIL.fullmatch(one):
            raise GuardrailError.of("to", one, "is no mail address and no SNS topic's ARN", "write ada@example.org")
    if not 1 <= len(to) <= MOST_SUBSCRIBERS or len(topics) > 1 or len(set(to)) < len(to):
        raise GuardrailError.of(
            "to", list(to), "must be 1 to 10 mail addresses and at most one topic, each once", "mend the list"
        )
