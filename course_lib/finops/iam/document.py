"""A policy as data, after it has been read and checked: statements, resources, principals, conditions.

Source of the grammar: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from course_lib.finops.iam.context import Context
from course_lib.finops.iam.variables import Template
from course_lib.finops.iam.wildcards import matches, matches_text


class Kind(Enum):
    """What a policy is attached to; the value is the word that messages use."""

    IDENTITY = "identity policy"
    BOUNDARY = "permissions boundary"
    SESSION = "session policy"
    SCP = "service control policy"
    RESOURCE = "resource policy"
    TRUST = "trust policy"

    @property
    def names_principals(self) -> bool:
        """Whether its statements say to whom they apply: policies that hang on a resource do."""
        return self in (Kind.RESOURCE, Kind.TRUST)


class Effect(Enum):
    """What a statement does to the requests that it applies to."""

    ALLOW = "Allow"
    DENY = "Deny"


@dataclass(frozen=True)
class ResourcePattern:
    """A value of Resource or NotResource.

    Attributes:
        text: as written.
        head: the five segments before the fifth colon, as patterns; None for the lone `*` that covers everything.
        tail: the rest, in which policy variables may stand.
    """

    text: str
    head: tuple[str, ...] | None
    tail: Template | None

    def covers(self, resource: str, context: Context) -> bool:
        """Whether a resource falls under it; segments are compared one by one, case-sensitively.

        Args:
            resource: an ARN, or `*` for an action without resources; only the pattern `*` covers that.
            context: the request's keys, for the variables.
        """
        if self.head is None or self.tail is None:
            return True
        segments = resource.split(":", 5)
        if len(segments) < 6 or not all(map(matches_text, self.head, segments[:5])):
            return False
        tokens = self.tail.tokens(context)
        return tokens is not None and matches(tokens, segments[5])


@dataclass(frozen=True)
class Operator:
    """A condition operator, taken apart.

    Attributes:
        text: as written, such as "ForAllValues:StringLikeIfExists".
        set_operator: "ForAllValues", "ForAnyValue" or "".
        base: the comparison, such as "StringLike".
        if_exists: whether a request without the key passes.
    """

    text: str
    set_operator: str
    base: str
    if_exists: bool

    @property
    def negated(self) -> bool:
        """Whether it holds when nothing matches: StringNotEquals, NotIpAddress and their like."""
        return "Not" in self.base


@dataclass(frozen=True)
class Condition:
    """One operator with one key: the key's values in the request are compared with these values."""

    operator: Operator
    key: str
    values: tuple[Template, ...]


@dataclass(frozen=True)
class PrincipalList:
    """The value of Principal or NotPrincipal: type ("AWS", "Service", ...) and name, in order; ("*", "*") is anyone."""

    entries: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Statement:
    """One statement. `number` counts from 1, as messages do; `sid` is "" where there is none."""

    number: int
    sid: str
    effect: Effect
    actions: tuple[str, ...]
    not_action: bool
    resources: tuple[ResourcePattern, ...]
    not_resource: bool
    principals: PrincipalList | None
    not_principal: bool
    conditions: tuple[Condition, ...]

    @property
    def label(self) -> str:
        """How messages name it: "statement 'OnlyTrn'", or its number."""
        return f"statement {self.sid!r}" if self.sid else f"statement {self.number}"


@dataclass(frozen=True)
class Policy:
    """A policy that has passed every check of `parse_policy`.

    Attributes:
        name: for messages; "" is fine.
        kind: what it is attached to.
        version: "2012-10-17" or "2008-10-17".
        statements: in the document's order, which has no influence on any decision.
        characters: its length without white space between the elements, which is what AWS limits.
    """

    name: str
    kind: Kind
    version: str
    statements: tuple[Statement, ...]
    characters: int

    @property
    def label(self) -> str:
        """How messages name it: "identity policy 'launch'"."""
        return f"{self.kind.value} {self.name!r}" if self.name else self.kind.value


def count_characters(document: Mapping[str, Any]) -> int:
    """The length of a document without white space between its elements, in characters.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html ("IAM doesn't count white
    space when calculating the size of a policy"); white space inside strings is counted here, to be safe.
    """

    def plain(value: Any) -> Any:
        return dict(value) if isinstance(value, Mapping) else list(value)

    return len(json.dumps(document, separators=(",", ":"), ensure_ascii=False, default=plain))
