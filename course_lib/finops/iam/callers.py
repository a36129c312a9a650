"""Who makes a request, and whether a Principal element means them.

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html and, for the keys,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html ("Properties of the principal")
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum

from course_lib.finops.iam.document import PrincipalList
from course_lib.finops.iam.errors import RequestError

_ARN = re.compile(r"arn:(aws[a-z-]*):(iam|sts)::(\d{12}):(root|user|role|assumed-role|federated-user)(?:/(.+))?", re.A)
_SERVICE = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.amazonaws\.com(\.cn)?", re.ASCII)


class CallerKind(Enum):
    """The kinds of principals that IAM's evaluation treats differently; the value is aws:PrincipalType's."""

    USER = "User"
    ROLE = "AssumedRole"
    FEDERATED = "FederatedUser"
    ROOT = "Account"
    SERVICE = "AWSService"
    ANONYMOUS = "Anonymous"


class Named(IntEnum):
    """How closely a Principal element names a caller; more counts for more."""

    NO = 0
    ACCOUNT = 1  # the caller's account: it delegates to the account, whose own policies must allow as well
    ROLE = 2  # the role behind a session
    DIRECTLY = 3  # the user, the session, the service, or everyone


@dataclass(frozen=True)
class Caller:
    """A principal that makes requests.

    Args:
        arn: of a user, a role, an assumed-role or federated-user session, or an account's root; the name of a service
            such as "ec2.amazonaws.com"; or "*" for an unsigned, anonymous request. A role's ARN stands for some
            session of that role.
        tags: the tags of the user or role and of the session, which become aws:PrincipalTag/... keys.
        role_arn: for a session of a role with a path: the role's ARN. A session's ARN does not show the path.

    Raises:
        RequestError: the ARN is none of these, or role_arn is not the session's role.
    """

    arn: str
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    role_arn: str = ""

    def __post_init__(self) -> None:
        found = _ARN.fullmatch(self.arn) if isinstance(self.arn, str) else None
        named = found is not None and (found[4] == "root") == (found[5] is None)
        if found is not None and found[4] == "assumed-role":
            named = named and found[5].count("/") == 1  # the role's name, without its path, and the session's
        if named or self.arn == "*" or (isinstance(self.arn, str) and _SERVICE.fullmatch(self.arn)):
            role = self.role_arn
            if role and (self.kind is not CallerKind.ROLE or role.rpartition("/")[2] != self.name.partition("/")[0]):
                raise RequestError.of("role_arn", role, f"is not the role of {self.arn}", "give the session's own role")
            return
        raise RequestError.of(
            "principal",
            self.arn,
            "is no principal that can make a request",
            "write the ARN of a user, role, session or root, such as 'arn:aws:iam::111122223333:user/ana', the name of "
            "a service, or '*' for an anonymous request; a group makes no requests",
        )

    @property
    def kind(self) -> CallerKind:
        """What kind of principal it is."""
        if self.arn == "*":
            return CallerKind.ANONYMOUS
        found = _ARN.fullmatch(self.arn)
        if found is None:
            return CallerKind.SERVICE
        kinds = {"user": CallerKind.USER, "federated-user": CallerKind.FEDERATED, "root": CallerKind.ROOT}
        return kinds.get(found[4], CallerKind.ROLE)

    @property
    def account(self) -> str:
        """Its account, 12 digits; "" for a service and an anonymous caller."""
        found = _ARN.fullmatch(self.arn)
        return found[3] if found else ""

    @property
    def name(self) -> str:
        """Its name as the ARN shows it: a path and a user's name, or a role's and a session's."""
        found = _ARN.fullmatch(self.arn)
        if found is None or found[5] is None:
            return self.arn
        return found[5].rpartition("/")[2] if found[4] in ("user", "role") else found[5]

    @property
    def identity(self) -> str:
        """The ARN in aws:PrincipalArn: of the user, or of the role behind a session."""
        found = _ARN.fullmatch(self.arn)
        if self.role_arn or found is None or found[4] != "assumed-role":
            return self.role_arn or self.arn
        return f"arn:{found[1]}:iam::{found[3]}:role/{self.name.partition('/')[0]}"

    @property
    def is_service_linked(self) -> bool:
        """Whether it is a service-linked role, which no service control policy restricts."""
        return ":role/aws-service-role/" in self.identity

    def keys(self) -> dict[str, str]:
        """The context keys that follow from who it is."""
        if self.kind is CallerKind.ANONYMOUS:
            return {"aws:PrincipalType": "Anonymous"}
        if self.kind is CallerKind.SERVICE:
            return {"aws:PrincipalIsAWSService": "true", "aws:PrincipalServiceName": self.arn}
        keys = {
            "aws:PrincipalArn": self.identity,
            "aws:PrincipalAccount": self.account,
            "aws:PrincipalType": self.kind.value,
            "aws:PrincipalIsAWSService": "false",
        }
        if self.kind is CallerKind.USER:
            keys["aws:username"] = self.name
        return keys | {f"aws:PrincipalTag/{key}": value for key, value in self.tags.items()}

    def named_by(self, entries: PrincipalList) -> Named:
        """How closely a list of principals names this caller; Federated and CanonicalUser entries name nobody here."""
        return max((self._named(type_, text) for type_, text in entries.entries), default=Named.NO)

    def exempt_from(self, entries: PrincipalList) -> bool:
        """Whether NotPrincipal spares this caller: its ARN must be listed, and its account, and a session's role.

        AWS advises to list them all, because a Deny may otherwise reach the account that holds the principal.
        """
        if self.named_by(entries) is not Named.DIRECTLY:
            return False
        listed = {text for type_, text in entries.entries if type_ in ("AWS", "*")}
        if "*" in listed or self.kind is CallerKind.SERVICE:
            return True
        if self.kind is CallerKind.ROLE and self.identity not in listed:
            return False
        return self._named_account(listed)

    def _named_account(self, listed: set[str]) -> bool:
        return self.account in listed or any(
            text.endswith(f":iam::{self.account}:root") for text in listed if self.account
        )

    def _named(self, type_: str, text: str) -> Named:
        if text == "*" and type_ in ("*", "AWS"):
            return Named.DIRECTLY
        if type_ == "Service":
            return Named.DIRECTLY if self.kind is CallerKind.SERVICE and text in (self.arn, "*") else Named.NO
        if type_ != "AWS" or self.kind in (CallerKind.SERVICE, CallerKind.ANONYMOUS):
            return Named.NO
        if text == self.arn and self.kind is CallerKind.ROOT:
            return Named.DIRECTLY
        if self._named_account({text}):
            return Named.DIRECTLY if self.kind is CallerKind.ROOT else Named.ACCOUNT
        if self.kind is CallerKind.ROLE and text == self.identity:
            return Named.ROLE
        return Named.DIRECTLY if text == self.arn else Named.NO


def caller_of(principal: Caller | str) -> Caller:
    """The caller that an ARN, a service's name or "*" stands for; a `Caller` is returned as it is."""
    return principal if isinstance(principal, Caller) else Caller(principal)
