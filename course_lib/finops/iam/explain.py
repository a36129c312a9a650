"""A policy in plain English, statement by statement, with what a reader should look at twice."""

from __future__ import annotations

from collections.abc import Sequence

from course_lib.finops.iam.document import Effect, Kind, Policy, Statement
from course_lib.finops.iam.parse import Document, parse_policy
from course_lib.finops.iam.wording import listed, plain_condition


def explain(policy: Document | Policy, kind: Kind = Kind.IDENTITY) -> str:
    """Say what a policy does.

    Args:
        policy: a document, or a policy that has been read.
        kind: what a document is attached to.

    Returns:
        One paragraph for the policy and one line for each statement, then lines that start with "Note:" for
        statements that allow more than they seem to.

    Raises:
        MalformedPolicyError: the document breaks the policy language.
    """
    read = policy if isinstance(policy, Policy) else parse_policy(policy, kind)
    count = len(read.statements)
    lines = [f"This {read.label} has {count} statement{'s' if count > 1 else ''}. {_GENERAL[read.kind]}"]
    for statement in read.statements:
        lines.append(f"{statement.number}. {_sentence(statement)}")
    lines += [f"Note: {note}" for statement in read.statements for note in _notes(statement)]
    return "\n".join(lines)


_GENERAL = {
    Kind.IDENTITY: "What no statement allows is denied.",
    Kind.BOUNDARY: "It grants nothing: it limits what the identity policies grant.",
    Kind.SESSION: "It grants nothing: it limits the session to what it allows.",
    Kind.SCP: "It grants nothing: it limits every user and role of the accounts that it is attached to.",
    Kind.RESOURCE: "It says who may use the resource that it is attached to.",
    Kind.TRUST: "It says who may take on the role.",
}


def _sentence(statement: Statement) -> str:
    verb = "Allows" if statement.effect is Effect.ALLOW else "Denies"
    who = ""
    if statement.principals is not None:
        names = ["everyone" if name == "*" else name for _, name in statement.principals.entries]
        who = f" everyone except {listed(names, 'and')}" if statement.not_principal else f" {listed(names, 'and')}"
    actions = _every("action", statement.actions, statement.not_action)
    resources = _every("resource", [pattern.text for pattern in statement.resources], statement.not_resource)
    text = f"{verb}{who} {actions} on {resources}"
    if statement.conditions:
        text += f", if {listed([plain_condition(one) for one in statement.conditions], 'and')}"
    return f"{text} ({statement.sid})." if statement.sid else f"{text}."


def _every(noun: str, patterns: Sequence[str], negated: bool) -> str:
    if "*" in patterns:
        return f"no {noun}" if negated else f"every {noun}"
    shown = listed(list(patterns), "and")
    return f"every {noun} except {shown}" if negated else shown


def _notes(statement: Statement) -> list[str]:
    allow = statement.effect is Effect.ALLOW
    where = statement.label
    notes: list[str] = []
    lowered = [action.lower() for action in statement.actions]
    if allow and statement.not_action:
        notes.append(f"{where} allows every action but the named ones, those of future services included.")
    if allow and "*" in lowered and not statement.conditions:
        notes.append(f"{where} allows everything: whoever has it is an administrator.")
    everywhere = any(pattern.head is None for pattern in statement.resources)
    if allow and everywhere and any(action in ("iam:passrole", "iam:*", "iam:pass*") for action in lowered):
        notes.append(f"{where} lets the caller pass every role, and so act with the permissions of each.")
    for condition in statement.conditions:
        operator = condition.operator
        guarded = any(
            one.operator.base == "Null" and one.key.lower() == condition.key.lower() for one in statement.conditions
        )
        if allow and operator.set_operator == "ForAllValues" and not guarded:
            notes.append(f"{where}: {operator.text} also holds for a request without {condition.key}; add Null: false.")
        if allow and operator.negated and not operator.set_operator:
            notes.append(f"{where}: {operator.text} also holds for a request without {condition.key}.")
        if not allow and not operator.negated and not operator.set_operator and operator.base != "Null":
            missing = "holds" if operator.if_exists else "does not hold"
            notes.append(f"{where}: {operator.text} {missing} for a request without {condition.key}.")
    return notes
