"""The sentences in which a decision is explained to a person."""

from __future__ import annotations

from collections.abc import Iterable

from course_lib.finops.iam.callers import Named
from course_lib.finops.iam.conditions import Check, shown
from course_lib.finops.iam.document import Condition, Effect, Statement
from course_lib.finops.iam.matching import Match
from course_lib.finops.iam.request import Request

MOST_NAMED = 3  # near misses that one explanation names


def listed(values: Iterable[str], word: str = "or") -> str:
    """Join values as a sentence does: "a", "a or b", "a, b or c"."""
    items = list(values)
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {word} {items[-1]}"


def condition_text(condition: Condition) -> str:
    """A condition as it is read aloud: "ec2:InstanceType StringEquals trn1.2xlarge or trn1.32xlarge"."""
    values = listed(shown(value.text) for value in condition.values)
    if condition.operator.base == "Null":
        missing = {value.text.lower() for value in condition.values} == {"true"}
        return f"the request {'lacks' if missing else 'has'} {condition.key}"
    return f"{condition.key} {condition.operator.text} {values}"


def failed_check(check: Check) -> str:
    """A condition that does not hold, with what the request has instead."""
    return f"{condition_text(check.condition)}; the request has {check.seen}"


def applies_because(match: Match, request: Request) -> str:
    """Why a statement applies: the statement, its effect, and the conditions that hold."""
    verb = "denies" if match.statement.effect is Effect.DENY else "allows"
    held = [f"{condition_text(one.condition)} (the request has {one.seen})" for one in match.checks]
    because = f" because {listed(held, 'and')}" if held else ""
    return f"{match.label} {verb} {request.label}{because}"


def nearly_allows(match: Match, request: Request) -> str:
    """Why an Allow statement that is about this action does not reach the request."""
    failed = [failed_check(one) for one in match.checks if not one.holds]
    start = f"{match.label} allows {request.action}"
    if not match.resource:
        return f"{start} only on {_resources(match.statement)}; the request is on {request.resource}"
    if match.named is Named.NO:
        return f"{start} to other principals; the request is from {request.caller.arn}"
    return f"{start} only if {'; and only if '.join(failed)}"


def near_misses(matches: Iterable[Match]) -> list[Match]:
    """The Allow statements about this action that fail elsewhere, the nearest first.

    One that covers the resource and the caller and fails only in its conditions is nearer than one that does not;
    where there are such, the others are left out.
    """
    about = [one for one in matches if one.action and not one.applies and one.statement.effect is Effect.ALLOW]
    near = [one for one in about if one.resource and one.named is not Named.NO] or about
    return sorted(near, key=lambda one: sum(not check.holds for check in one.checks))[:MOST_NAMED]


def _resources(statement: Statement) -> str:
    texts = [pattern.text for pattern in statement.resources]
    shown = texts[:3] + ([f"{len(texts) - 3} more"] if len(texts) > 3 else [])
    return f"resources other than {listed(shown)}" if statement.not_resource else listed(shown)


_RELATIONS = {
    "StringEquals": "is",
    "StringNotEquals": "is not",
    "StringEqualsIgnoreCase": "is, capitals aside,",
    "StringNotEqualsIgnoreCase": "is not, capitals aside,",
    "StringLike": "is like",
    "StringNotLike": "is not like",
    "NumericEquals": "is",
    "NumericNotEquals": "is not",
    "NumericLessThan": "is below",
    "NumericLessThanEquals": "is at most",
    "NumericGreaterThan": "is above",
    "NumericGreaterThanEquals": "is at least",
    "DateEquals": "is",
    "DateNotEquals": "is not",
    "DateLessThan": "is before",
    "DateLessThanEquals": "is at or before",
    "DateGreaterThan": "is after",
    "DateGreaterThanEquals": "is at or after",
    "Bool": "is",
    "BinaryEquals": "is the bytes",
    "IpAddress": "lies in",
    "NotIpAddress": "lies outside of",
    "ArnEquals": "is like",
    "ArnLike": "is like",
    "ArnNotEquals": "is not like",
    "ArnNotLike": "is not like",
}


def plain_condition(condition: Condition) -> str:
    """A condition without the names of operators: "ec2:VolumeSize is at most 500"."""
    operator = condition.operator
    if operator.base == "Null":
        return condition_text(condition)
    relation = _RELATIONS[operator.base]
    values = listed(shown(value.text) for value in condition.values)
    subject = {
        "": condition.key,
        "ForAllValues": f"every value of {condition.key}, if there is any,",
        "ForAnyValue": f"some value of {condition.key}",
    }[operator.set_operator]
    if operator.if_exists and not operator.set_operator:
        subject += ", if the request has it,"
    return f"{subject} {relation} {values}"
