"""The plan of an emergency shutdown: looked at first, saved, confirmed, and only then carried out.

Between a decision at three in the morning and what it does lies a file: it names what will end, in which account, and
until when it is valid. Nothing that is not in the file is ended, and nothing in it that has changed meanwhile.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from course_lib.finops.aws import AwsError, Clients, usable_regions, who_calls
from course_lib.finops.emergency.findings import (
    Machine,
    Orphan,
    Starter,
    fleets,
    groups,
    machines,
    orphans,
    queues,
    requests,
)
from course_lib.finops.errors import FinopsError
from course_lib.runtime import whole_file

VALID = timedelta(minutes=15)
WORKERS = 8
T = TypeVar("T")


class EmergencyError(FinopsError):
    """A plan that can't be made, read or carried out; nothing was ended unless the message says so."""


@dataclass(frozen=True)
class EmergencyPlan:
    """What an emergency shutdown will end.

    Attributes:
        account: the account's number.
        made, valid_until: AWS's time.
        starters: what is blocked first, or everything else comes back.
        machines: what is terminated; protected ones are listed and left.
        orphans: what goes on costing money afterwards; only reported.
        unseen: what could not be looked at, with the reason.
    """

    account: str
    made: datetime
    valid_until: datetime
    starters: tuple[Starter, ...]
    machines: tuple[Machine, ...]
    orphans: tuple[Orphan, ...]
    unseen: dict[str, str]

    @property
    def doomed(self) -> list[Machine]:
        """The instances that will end."""
        return [machine for machine in self.machines if not machine.protected]

    @property
    def usd_per_hour(self) -> float:
        """What is saved in an hour, of what has a known price."""
        return sum(machine.usd_per_hour or 0.0 for machine in self.doomed)

    @property
    def phrase(self) -> str:
        """What has to be typed to carry the plan out."""
        return f"end {len(self.doomed)} instances in {self.account}"


def make_plan(account: Clients, regions: Iterable[str] | None = None) -> EmergencyPlan:
    """Look everywhere, change nothing.

    Args:
        account: whose.
        regions: where; every enabled region when left out.

    Raises:
        AwsError: if AWS tells neither its time, nor the account's number, nor its regions.
    """
    caller = who_calls(account)
    where = sorted(regions) if regions is not None else usable_regions(account)
    unseen: dict[str, str] = {}
    with ThreadPoolExecutor(WORKERS) as pool:
        # each kind by itself: who may not look at queues must still find the groups
        found = {kind: _everywhere(pool, looks, account, where, unseen) for kind, looks in LOOKS.items()}
    seen = (tuple(found["starters"]), tuple(found["machines"]), tuple(found["orphans"]))
    return EmergencyPlan(caller.account, caller.now, caller.now + VALID, *seen, dict(sorted(unseen.items())))


LOOKS: dict[str, tuple[Callable[[Clients, str], list[Any]], ...]] = {
    "starters": (groups, queues, fleets, requests),
    "machines": (machines,),
    "orphans": (orphans,),
}


def save_plan(plan: EmergencyPlan, path: Path) -> None:
    """Write a plan to a file, whole or not at all, with a digest that shows whether somebody has edited it."""
    content = _content(plan)
    with whole_file(path) as draft:
        draft.write_text(json.dumps({"plan": content, "digest": _digest(content)}, indent=2) + "\n")


def load_plan(path: Path) -> EmergencyPlan:
    """Read a plan.

    Raises:
        EmergencyError: for a file that is no plan, or that was edited.
    """
    try:
        saved = json.loads(path.read_text())
        content, digest = saved["plan"], saved["digest"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EmergencyError.of("plan", str(path), f"is no plan ({error})", "make one first") from None
    if digest != _digest(content):
        raise EmergencyError.of("plan", str(path), "was edited after it was made", "make a new one")
    return EmergencyPlan(
        content["account"],
        datetime.fromisoformat(content["made"]),
        datetime.fromisoformat(content["valid_until"]),
        tuple(Starter(**row) for row in content["starters"]),
        tuple(Machine(**row) for row in content["machines"]),
        tuple(Orphan(**row) for row in content["orphans"]),
        content["unseen"],
    )


def _content(plan: EmergencyPlan) -> dict[str, Any]:
    return {**asdict(plan), "made": plan.made.isoformat(), "valid_until": plan.valid_until.isoformat()}


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _everywhere(
    pool: ThreadPoolExecutor,
    looks: tuple[Callable[[Clients, str], list[T]], ...],
    account: Clients,
    regions: list[str],
    unseen: dict[str, str],
) -> list[T]:
    asked = [(look.__name__, region, pool.submit(look, account, region)) for region in regions for look in looks]
    found: list[T] = []
    for name, region, look_there in asked:
        try:
            found += look_there.result()
        except AwsError as error:
            unseen[f"{name} in {region}"] = str(error)
    return found
