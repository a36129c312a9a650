"""One line of a plan: what stands in an account beside what is wanted, and the call that makes it so."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from course_lib.finops.aws import Clients, tags_of, who_calls
from course_lib.finops.ephemeral import MANAGED

Change = Literal["create", "update", "nothing", "drift"]


@dataclass(frozen=True)
class Line:
    """What a plan says about one thing.

    Attributes:
        change: "create" or "update" is done by `apply_guardrails`; "nothing" is as it should be; "drift" differs from
            what is wanted in a way that is not this program's to change.
        kind: "policy", "role", "budget", ...
        name: of the thing.
        why: in words.
        do: makes it so; None where nothing is to be done.
    """

    change: Change
    kind: str
    name: str
    why: str
    do: Callable[[], None] | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.change:8} {self.kind:14} {self.name}: {self.why}"


@dataclass(frozen=True)
class Place:
    """An account, by its clients, its number and its partition."""

    clients: Clients
    account: str
    partition: str

    def arn(self, kind: str, name: str) -> str:
        """The ARN of something in IAM."""
        return f"arn:{self.partition}:iam::{self.account}:{kind}/{name}"


def find_place(account: Clients) -> Place:
    """Ask an account who it is.

    Raises:
        AwsError: if it doesn't answer.
    """
    caller = who_calls(account)
    return Place(account, caller.account, caller.partition)


def ours(tags: Any) -> bool:
    """Whether tags, as a list of Key and Value, say that this program made the thing."""
    found = tags_of(tags)
    return all(found.get(key) == value for key, value in MANAGED.items())


def foreign(kind: str, name: str) -> Line:
    """The line for something of that name that somebody else made."""
    (key, value), *_ = MANAGED.items()
    return Line("drift", kind, name, f"is there without the tag {key}={value}: not ours to change; rename or tag it")


def same(one: Any, other: Any) -> bool:
    """Whether two documents say the same, the order of keys aside."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
