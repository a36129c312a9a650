"""Walks through the list with an account: each item done, missing, or not to be seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from course_lib.finops.aws import AwsError, Clients, who_calls
from course_lib.finops.checklist.items import FIRST, ITEMS, Item, State, Step
from course_lib.finops.checklist.looks import LOOKS, Place
from course_lib.finops.errors import FinopsError
from course_lib.finops.guardrails import PlannedLaunch

NOT_SEEN = "ask for the permission that the evidence names, and look again"
MARKS = {"done": "[x]", "missing": "[ ]", "unseen": "[?]"}


@dataclass(frozen=True)
class Checklist:
    """The list as it stands in one account.

    Attributes:
        account: its number.
        now: AWS's time.
        launch: what is meant to run.
        steps: one for each item, in the list's order.
    """

    account: str
    now: datetime
    launch: PlannedLaunch
    steps: tuple[Step, ...]

    def of(self, state: State) -> list[Step]:
        """The steps in one state."""
        return [step for step in self.steps if step.state == state]

    @property
    def complete(self) -> bool:
        """Whether each item is done; what could not be seen is not."""
        return all(step.state == "done" for step in self.steps)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "account": self.account,
            "time": self.now.isoformat(),
            "launch": asdict(self.launch),
            "complete": self.complete,
            "items": [
                {
                    "item": step.item.name,
                    "title": step.item.title,
                    "state": step.state,
                    "evidence": step.evidence,
                    "remedy": step.remedy,
                }
                for step in self.steps
            ],
        }

    def __str__(self) -> str:
        lines = [f"account {self.account}: {len(self.of('done'))} of {len(self.steps)} done"]
        for step in self.steps:
            lines.append(f"{MARKS[step.state]} {step.item.title}: {step.evidence}")
            if step.remedy:
                lines.append(f"    {step.remedy}")
        return "\n".join(lines)


def walk(
    account: Clients,
    launch: PlannedLaunch = FIRST,
    *,
    regions: Iterable[str] | None = None,
    items: Iterable[str] | None = None,
) -> Checklist:
    """Look up every item; changes nothing.

    Args:
        account: whose.
        launch: what you mean to begin with; quota, bucket and schedules are looked for where it will run.
        regions: where instances and leftovers are looked for; every enabled region when left out.
        items: names of items; all when left out.

    Raises:
        FinopsError: for an item that there is not, or an empty list of items or regions.
        AwsError: if AWS tells neither who asks nor its time.
    """
    chosen = _chosen(items)
    caller = who_calls(account)
    where = None if regions is None else tuple(sorted(set(regions)))
    if where == () or not chosen:  # complete, with nothing looked at
        what = "regions" if where == () else "items"
        raise FinopsError.of(what, [], "is empty", "leave it out for all")
    place = Place(account, caller.arn, caller.account, caller.now, launch, where)
    return Checklist(place.number, place.now, launch, tuple(_step(item, place) for item in chosen))


def _chosen(names: Iterable[str] | None) -> tuple[Item, ...]:
    if names is None:
        return ITEMS
    wanted = [names] if isinstance(names, str) else list(names)
    known = [item.name for item in ITEMS]
    for name in wanted:
        if name not in known:
            raise FinopsError.of("items", name, "is not on the list", f"choose from {', '.join(known)}")
    return tuple(item for item in ITEMS if item.name in wanted)


def _step(item: Item, place: Place) -> Step:
    try:
        state, evidence = LOOKS[item.name](place)
    except AwsError as error:
        return Step(item, "unseen", str(error), NOT_SEEN)
    return Step(item, state, evidence, "" if state == "done" else _remedy(item, place.launch))


def _remedy(item: Item, launch: PlannedLaunch) -> str:
    if item.name == "identity":
        return "sign in as a user of IAM Identity Center or a role, and lock the root user away"
    if item.name == "root-keys":
        return "sign in as the root user once and delete its keys under Security credentials"
    if item.name == "login-keys":
        return "aws iam delete-access-key --user-name NAME --access-key-id ID, once nothing uses it; then aws sso login"
    if item.name == "quota":
        spot = " --spot" if launch.purchase == "spot" else ""
        options = f"--region {launch.region}{spot} --apply"
        return f"course finops guard quota {launch.instance_type} {launch.count} {options}"
    return item.command
