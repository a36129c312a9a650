"""Reading a statement's Action, Resource and Principal, and their Not- forms.

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html and
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from course_lib.finops.iam.document import Kind, PrincipalList, ResourcePattern
from course_lib.finops.iam.errors import MalformedPolicyError
from course_lib.finops.iam.parse_values import strings_of
from course_lib.finops.iam.variables import Literal, Template, plain, read_template

_ACTION = re.compile(r"\*|(?:\*|[A-Za-z0-9-]+):[A-Za-z0-9*?-]+", re.ASCII)
_PRINCIPAL = re.compile(
    r"\*|\d{12}|A[A-Z]{3}[A-Z0-9]{12,}"
    r"|arn:aws[a-z-]*:iam::\d{12}:(?:root|(?:user|role)/[\w+=,.@/-]+)"
    r"|arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity [A-Z0-9]+"
    r"|arn:aws[a-z-]*:sts::\d{12}:(?:assumed-role/[\w+=,.@-]+/[\w+=,.@-]+|federated-user/[\w+=,.@-]+)",
    re.ASCII,
)
_TYPES = ("AWS", "Service", "Federated", "CanonicalUser")


@dataclass(frozen=True)
class Place:
    """Where the reader is: the policy, the statement's number and Sid, and what that means for the rules."""

    policy: str
    number: int
    kind: Kind
    version: str
    sid: str = ""

    @property
    def label(self) -> str:
        """How messages name the place."""
        return f"{self.policy}, statement {self.number}" + (f" (Sid {self.sid!r})" if self.sid else "")

    def named(self, sid: object) -> Place:
        """The same place with the statement's Sid, if it has a readable one."""
        return replace(self, sid=sid) if isinstance(sid, str) else self

    def template(self, text: str, name: str) -> Template:
        """Read a string in which policy variables may stand, if the policy's version knows them."""
        if self.version == "2008-10-17":
            return plain(text)
        try:
            return read_template(text)
        except ValueError as error:
            raise MalformedPolicyError.at(
                self.label,
                name,
                text,
                f"holds a policy variable that can't be read: {error}",
                "write ${aws:username}, ${aws:PrincipalTag/team, 'default'}, or ${$} for a dollar sign",
            ) from None


def nearest(word: object, known: Sequence[str]) -> str | None:
    """The known word that a misspelt one is most like, or None."""
    if not isinstance(word, str):
        return None
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.75)
    return by_lower[found[0]] if found else None


def _one_of(block: Mapping[str, Any], plain_name: str, not_name: str, place: Place) -> str:
    present = [name for name in (plain_name, not_name) if name in block]
    if len(present) == 1:
        return present[0]
    rule = f"must hold either {plain_name} or {not_name}, and holds {'both' if present else 'neither'}"
    raise MalformedPolicyError.at(
        place.label, plain_name, block.get(plain_name), rule, f"keep {plain_name} unless you mean 'all but these'"
    )


def read_actions(block: Mapping[str, Any], place: Place) -> tuple[tuple[str, ...], bool]:
    """The patterns of Action or NotAction, and whether it is NotAction."""
    name = _one_of(block, "Action", "NotAction", place)
    actions = strings_of(block[name], place.label, name, "'ec2:RunInstances'")
    for action in actions:
        if not _ACTION.fullmatch(action):
            raise MalformedPolicyError.at(
                place.label,
                name,
                action,
                "must be a service prefix, a colon and an action name; wildcards stand in the name only",
                "write it as in 'ec2:Describe*'",
            )
    return actions, name == "NotAction"


def read_resources(block: Mapping[str, Any], place: Place) -> tuple[tuple[ResourcePattern, ...], bool]:
    """The patterns of Resource or NotResource, and whether it is NotResource; a trust policy has none."""
    if place.kind is Kind.TRUST:
        for name in ("Resource", "NotResource"):
            if name in block:
                raise MalformedPolicyError.at(
                    place.label,
                    name,
                    block[name],
                    "must not stand in a trust policy: the role is meant",
                    "leave it out",
                )
        return (ResourcePattern("*", None, None),), False
    name = _one_of(block, "Resource", "NotResource", place)
    texts = strings_of(block[name], place.label, name, "'arn:aws:ec2:us-east-1:111122223333:instance/*' or '*'")
    return tuple(_resource(text, name, place) for text in texts), name == "NotResource"


def _resource(text: str, name: str, place: Place) -> ResourcePattern:
    if text == "*":
        return ResourcePattern(text, None, None)
    template = place.template(text, name)
    first = template.parts[0]
    head = first.text.split(":", 5) if isinstance(first, Literal) else []
    if len(head) < 6 or head[0] != "arn":
        rule = "must be an ARN with six parts, arn:partition:service:region:account:resource, or '*'"
        if template.has_variables:
            rule += "; policy variables may stand in the resource part only, after the fifth colon"
        raise MalformedPolicyError.at(
            place.label, name, text, rule, "write it as in 'arn:aws:s3:::my-bucket/*' or 'arn:aws:ec2:*:*:volume/*'"
        )
    if not head[2] or set(head[2]) & set("*?") or not head[1]:
        raise MalformedPolicyError.at(
            place.label,
            name,
            text,
            "must name its partition, and its service without a wildcard",
            "write 'arn:aws:ec2:...'",
        )
    rest = head[5]
    parts = ((Literal(rest),) if rest else ()) + template.parts[1:]
    if not parts:
        raise MalformedPolicyError.at(
            place.label, name, text, "names no resource after the fifth colon", "end it in a name or in '*'"
        )
    return ResourcePattern(text, tuple(head[:5]), Template(text.split(":", 5)[5], parts))


def read_principals(block: Mapping[str, Any], place: Place, effect: str) -> tuple[PrincipalList | None, bool]:
    """The entries of Principal or NotPrincipal, and whether it is NotPrincipal; None for policies of identities."""
    present = [name for name in ("Principal", "NotPrincipal") if name in block]
    if not place.kind.names_principals:
        if present:
            raise MalformedPolicyError.at(
                place.label,
                present[0],
                block[present[0]],
                f"stands in resource policies only; this {place.kind.value} applies to whom it is attached to",
                "leave it out, or read the document as Kind.RESOURCE or Kind.TRUST",
            )
        return None, False
    name = _one_of(block, "Principal", "NotPrincipal", place)
    if name == "NotPrincipal" and effect == "Allow":
        raise MalformedPolicyError.at(
            place.label,
            name,
            block[name],
            "must not stand with Allow: it would allow everyone else, anonymous callers included",
            "use Principal, or Deny",
        )
    return _principal_list(block[name], name, place), name == "NotPrincipal"


def _principal_list(value: object, name: str, place: Place) -> PrincipalList:
    if value == "*":
        return PrincipalList((("*", "*"),))
    if not isinstance(value, Mapping) or not value:
        raise MalformedPolicyError.at(
            place.label, name, value, "must be '*' or an object", 'write {"AWS": "arn:aws:iam::111122223333:role/x"}'
        )
    entries: list[tuple[str, str]] = []
    for type_, names in value.items():
        if type_ not in _TYPES:
            raise MalformedPolicyError.at(
                place.label, name, type_, f"must be one of {_TYPES}", f"write {nearest(type_, _TYPES) or 'AWS'!r}"
            )
        for text in strings_of(names, place.label, f"{name}.{type_}", "'arn:aws:iam::111122223333:role/x'"):
            if (type_ == "AWS" and not _PRINCIPAL.fullmatch(text)) or (type_ != "AWS" and "*" in text and text != "*"):
                raise MalformedPolicyError.at(
                    place.label,
                    f"{name}.{type_}",
                    text,
                    "must be an account number, the ARN of an account, user, role or session, or '*'; a wildcard "
                    "can't stand for a part of a name, and a group is no principal",
                    "name the principals one by one, or use '*' with a condition on aws:PrincipalArn",
                )
            entries.append((type_, text))
    return PrincipalList(tuple(entries))
