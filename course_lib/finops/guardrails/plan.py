"""From what is wanted and what is there to a plan, and from the plan to the account.

The order is what makes a failure in the middle harmless. First what only forbids or does nothing by itself (schedule
groups, policies, roles), then the budgets and what they stop, and last of all the permission to launch: nobody may
spend before everything that guards the spending stands. Every call that makes something tags it in the same call.
Nothing is deleted that somebody else made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from course_lib.finops.aws import AwsError, Clients, check_own, one_line
from course_lib.finops.ephemeral import GROUP, make_group
from course_lib.finops.guardrails.documents import BUDGETS_ROLE, PREFIX, STOP, needed_roles, policy_documents
from course_lib.finops.guardrails.errors import GuardrailError
from course_lib.finops.guardrails.in_budgets import budget_lines
from course_lib.finops.guardrails.in_iam import group_lines, policy_lines, role_lines
from course_lib.finops.guardrails.lines import Line, Place, find_place
from course_lib.finops.guardrails.quotas import quota_lines
from course_lib.finops.guardrails.wanted import Guardrails

FOR_RESEARCHERS = (f"{PREFIX}costs", f"{PREFIX}researcher")


@dataclass(frozen=True)
class GuardrailPlan:
    """What stands in an account beside what is wanted.

    Attributes:
        account: its number.
        lines: in the order in which they are done.
    """

    account: str
    lines: tuple[Line, ...]

    @property
    def changes(self) -> list[Line]:
        """The lines that `apply_guardrails` carries out."""
        return [line for line in self.lines if line.change in ("create", "update")]

    @property
    def drifts(self) -> list[Line]:
        """The lines that need a person."""
        return [line for line in self.lines if line.change == "drift"]

    def __str__(self) -> str:
        done = len(self.lines) - len(self.changes) - len(self.drifts)
        head = f"account {self.account}: {len(self.changes)} to do, {len(self.drifts)} for a person, {done} in place"
        return "\n".join((head, *(str(line) for line in self.lines)))


@dataclass(frozen=True)
class Applied:
    """What came of a plan.

    Attributes:
        done: the lines that were carried out.
        failed: the line that was not; None when all were.
        error: why, in one line.
        left: the lines after it, which were not tried.
    """

    done: tuple[Line, ...]
    failed: Line | None = None
    error: str = ""
    left: tuple[Line, ...] = ()

    def __str__(self) -> str:
        told = [f"done     {line.change} {line.kind} {line.name}" for line in self.done]
        if self.failed is not None:
            told.append(f"failed   {self.error}")
            told += [f"not done {line.change} {line.kind} {line.name}" for line in self.left]
            told.append("What is done is complete and tagged. Mend the cause and apply again: it goes on from here.")
        return "\n".join(told) or "nothing to do"


def plan_guardrails(account: Clients, wanted: Guardrails, pause: Callable[[float], None] = time.sleep) -> GuardrailPlan:
    """Compare an account with what is wanted; changes nothing.

    Args:
        account: whose.
        wanted: the guardrails.
        pause: sleeps some seconds, when the plan is applied and AWS needs them.

    Raises:
        AwsError: if AWS can't be asked.
        PolicyError: for a region, type or tag that can't be read.
        GuardrailError: for an SNS topic of another account.
    """
    place = find_place(account)
    _check_topics(place, wanted)
    return GuardrailPlan(place.account, tuple(_lines(place, wanted, pause)))


def apply_guardrails(plan: GuardrailPlan) -> Applied:
    """Do what a plan says, in its order, and nothing else; stops at the first failure and says what is done.

    The lines hold the calls that were planned: an account that changed in between makes a call fail, not go elsewhere.
    """
    done: list[Line] = []
    changes = plan.changes
    for number, line in enumerate(changes):
        try:
            with one_line(f"{line.change} {line.kind} {line.name}"):
                if line.do is not None:
                    line.do()
        except AwsError as error:
            return Applied(tuple(done), line, str(error), tuple(changes[number + 1 :]))
        done.append(line)
    return Applied(tuple(done))


def _lines(place: Place, wanted: Guardrails, pause: Callable[[float], None]) -> Iterator[Line]:
    documents = policy_documents(wanted, place.account, place.partition)
    for region in wanted.regions:
        yield _schedule_group(place, region)
    strange: set[str] = set()
    yield from _noting(policy_lines(place, documents), strange)
    for line in _noting(role_lines(place, needed_roles(wanted)), strange):
        yield _held(line, strange)
    for budget in wanted.budgets:
        for line in budget_lines(place, budget, pause):
            yield _held(line, strange)
    yield from quota_lines(place.clients, wanted.launches)
    for line in group_lines(place, wanted.researchers, FOR_RESEARCHERS):
        yield _held(line, strange)


def _check_topics(place: Place, wanted: Guardrails) -> None:
    """Refuse another account's topic: AWS Budgets publishes to topics of its own account only.

    Source: https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-sns-policy.html
    """
    for budget in wanted.budgets:
        told = [to for alert in budget.alerts for to in alert.to] + [to for stop in budget.stops for to in stop.to]
        for topic in (to for to in told if to.startswith("arn:")):
            example = f"arn:{place.partition}:sns:us-east-1:{place.account}:budget-alerts"
            check_own(f"to of budget {budget.name}", topic, place.account, example, GuardrailError)


def _noting(lines: Iterator[Line], strange: set[str]) -> Iterator[Line]:
    """The same lines; the names of what somebody else made are added to `strange`."""
    for line in lines:
        if line.change == "drift":
            strange.add(line.name)
        yield line


def _held(line: Line, strange: set[str]) -> Line:
    """A line that would use a stranger's policy or role waits for a person: it may hold any permission."""
    uses = {"attachment": {line.name.split(" to ")[0]}, "action": {STOP, BUDGETS_ROLE}}.get(line.kind, set())
    if line.change not in ("create", "update") or not uses & strange:
        return line
    return Line("drift", line.kind, line.name, f"waits: {', '.join(sorted(uses & strange))} is not ours")


def _schedule_group(place: Place, region: str) -> Line:
    scheduler = place.clients.client("scheduler", region=region)
    name = f"{GROUP} in {region}"
    create = partial(make_group, scheduler)
    with one_line(f"looking for the schedule group {name}"):
        try:
            scheduler.get_schedule_group(Name=GROUP)
        except scheduler.exceptions.ResourceNotFoundException:
            return Line("create", "schedule group", name, "holds the schedules that end leases", create)
    return Line("nothing", "schedule group", name, "holds the schedules that end leases")
