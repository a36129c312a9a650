"""Reading a policy document: JSON or a mapping in, a checked `Policy` out, or an error that says where and why.

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html and, for the characters
that IAM takes, https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreatePolicy.html ("PolicyDocument").
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Never

from course_lib.finops.iam.document import Effect, Kind, Policy, Statement, count_characters
from course_lib.finops.iam.errors import MalformedPolicyError
from course_lib.finops.iam.parse_conditions import read_conditions
from course_lib.finops.iam.parse_elements import (
    Place,
    nearest,
    read_actions,
    read_principals,
    read_resources,
)
from course_lib.finops.iam.parse_values import NumberText

VERSIONS = ("2012-10-17", "2008-10-17")
_TOP = ("Version", "Id", "Statement")
_ELEMENTS = (
    "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition",
)  # fmt: skip
_SID = re.compile(r"[A-Za-z0-9]*", re.ASCII)
_IAM_TEXT = re.compile("[\t\n\r\x20-\xff]*")

Document = str | Mapping[str, Any]


def parse_policy(document: Document | Policy, kind: Kind = Kind.IDENTITY, name: str = "") -> Policy:
    """Read and check a policy.

    Args:
        document: JSON text, or the mapping that it stands for. A `Policy` of this kind is returned as it is.
        kind: what the policy is attached to; it decides whether Principal must or must not be there.
        name: how messages name it.

    Returns:
        The checked policy.

    Raises:
        MalformedPolicyError: the document breaks a rule of the policy language; the message names the statement, the
            value, the rule and the remedy, and for JSON that can't be read the line and column.
    """
    if isinstance(document, Policy):
        return document if document.kind is kind else _refuse_kind(document, kind)
    label = f"{kind.value} {name!r}" if name else kind.value
    if isinstance(document, str):
        content = _read_json(document, kind, label)
    elif isinstance(document, Mapping):
        content = dict(document)
    else:
        raise MalformedPolicyError.at(
            label, "document", document, "must be JSON text or a mapping", "give the policy as a dict or a str"
        )
    _check_keys(content, _TOP, label)
    version = content.get("Version", "2008-10-17")
    if version not in VERSIONS:
        raise MalformedPolicyError.at(
            label, "Version", version, f"must be one of {VERSIONS}", 'write "Version": "2012-10-17"'
        )
    if "Id" in content and (kind not in (Kind.RESOURCE, Kind.TRUST) or not isinstance(content["Id"], str)):
        raise MalformedPolicyError.at(
            label, "Id", content["Id"], "must be a string and stands in resource policies only", "leave it out"
        )
    blocks = content.get("Statement")
    if isinstance(blocks, Mapping):
        blocks = [blocks]
    if not isinstance(blocks, Sequence) or isinstance(blocks, str) or not blocks:
        raise MalformedPolicyError.at(
            label,
            "Statement",
            blocks,
            "must be a statement or a list of at least one",
            'write "Statement": [{"Effect": ..., "Action": ..., "Resource": ...}]',
        )
    statements = tuple(
        _read_statement(block, Place(label, number, kind, version)) for number, block in enumerate(blocks, 1)
    )
    _check_sids(statements, label)
    return Policy(name, kind, version, statements, count_characters(content))


def _refuse_kind(policy: Policy, kind: Kind) -> Never:
    raise MalformedPolicyError.at(
        policy.label,
        "kind",
        policy.kind.value,
        f"stands where a {kind.value} is wanted",
        f"read the document with parse_policy(document, Kind.{kind.name})",
    )


def _read_json(text: str, kind: Kind, label: str) -> dict[str, Any]:
    if kind not in (Kind.SCP, Kind.RESOURCE) and not _IAM_TEXT.fullmatch(text):
        bad = next(character for character in text if not _IAM_TEXT.fullmatch(character))
        raise MalformedPolicyError.at(
            label,
            "document",
            bad,
            f"(U+{ord(bad):04X}) is a character that IAM does not take: it takes tab, newline and U+0020 to U+00FF",
            "write it as a \\uXXXX escape, or leave it out; typographic quotes come from word processors",
        )

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise MalformedPolicyError.at(
                    label, key, value, "is there twice in one element", "keep one of the two; JSON would drop the first"
                )
            found[key] = value
        return found

    def constant(word: str) -> Never:
        raise MalformedPolicyError.at(label, "value", word, "is no JSON value", "write a string or a number")

    try:
        content = json.loads(
            text, object_pairs_hook=unique, parse_int=NumberText, parse_float=NumberText, parse_constant=constant
        )
    except json.JSONDecodeError as error:
        line = (text.splitlines() or [""])[error.lineno - 1 : error.lineno]
        raise MalformedPolicyError(
            f"{label}: not valid JSON at line {error.lineno}, column {error.colno}: {error.msg}: "
            f"{(line or [''])[0].strip()[:80]!r}. Remedy: check for a missing quote, comma or bracket, or a comma "
            "after the last item."
        ) from None
    except RecursionError:
        raise MalformedPolicyError(
            f"{label}: brackets are nested too deeply to read. Remedy: a policy needs five levels at most."
        ) from None
    if not isinstance(content, dict):
        raise MalformedPolicyError.at(
            label, "document", content, "must be a JSON object", 'write {"Version": "2012-10-17", "Statement": [...]}'
        )
    return content


def _check_keys(block: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in block:
        if key not in known:
            hint = f"write {guess!r}" if (guess := nearest(key, known)) else f"use only {', '.join(known)}"
            raise MalformedPolicyError.at(where, "key", key, "is not an element of the policy language", hint)


def _read_statement(block: object, place: Place) -> Statement:
    if not isinstance(block, Mapping):
        raise MalformedPolicyError.at(
            place.label, "statement", block, "must be an object", 'write {"Effect": ..., "Action": ...}'
        )
    place = place.named(block.get("Sid"))
    _check_keys(block, _ELEMENTS, place.label)
    sid = block.get("Sid", "")
    if not isinstance(sid, str) or isinstance(sid, NumberText):
        raise MalformedPolicyError.at(place.label, "Sid", sid, "must be a string", "put it in quotation marks")
    if not place.kind.names_principals and not _SID.fullmatch(sid):
        raise MalformedPolicyError.at(
            place.label, "Sid", sid, "may hold the letters A-Z, a-z and digits only", "write it as in 'OnlyTrn1'"
        )
    effect = block.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise MalformedPolicyError.at(
            place.label, "Effect", effect, "must be 'Allow' or 'Deny', written exactly so", "write one of the two"
        )
    actions, not_action = read_actions(block, place)
    resources, not_resource = read_resources(block, place)
    principals, not_principal = read_principals(block, place, effect)
    conditions = read_conditions(block["Condition"], place) if "Condition" in block else ()
    return Statement(
        place.number, sid, Effect(effect), actions, not_action, resources, not_resource, principals, not_principal,
        conditions,
    )  # fmt: skip


def _check_sids(statements: tuple[Statement, ...], label: str) -> None:
    seen: dict[str, int] = {}
    for statement in statements:
        if statement.sid and statement.sid in seen:
            raise MalformedPolicyError.at(
                label,
                "Sid",
                statement.sid,
                f"names statements {seen[statement.sid]} and {statement.number}: it must be unique in a policy",
                "give each statement its own Sid",
            )
        seen[statement.sid] = statement.number
