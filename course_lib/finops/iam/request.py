"""One request: who asks for which action on which resource, with which context keys.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-reqcontext.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from course_lib.finops.iam.callers import Caller, caller_of
from course_lib.finops.iam.context import Context, Value
from course_lib.finops.iam.errors import RequestError

_ACTION = re.compile(r"[a-z0-9-]+:[A-Za-z0-9]+", re.ASCII | re.IGNORECASE)

_ACCOUNT = re.compile(r"\d{12}", re.ASCII)


@dataclass(frozen=True)
class Request:
    """A request as IAM sees it. One API call may be several requests: one for each resource that it touches.

    Args:
        principal: a `Caller`, or the ARN of a user, role, session, account root or service ("ec2.amazonaws.com").
        action: service prefix and action, such as "ec2:RunInstances"; no wildcards.
        resource: the ARN of one resource, or "*" for an action that knows no resources.
        context: context keys; those that follow from the principal are filled in.
        resource_account: the account that owns the resource, 12 digits; taken from the ARN where it names one, and
            otherwise the caller's (the ARN of an S3 bucket names none: give it for buckets of other accounts).

    Raises:
        RequestError: an action or resource that can't be read or holds a wildcard; a context key that contradicts
            the principal.
    """

    principal: Caller | str
    action: str
    resource: str = "*"
    context: Mapping[str, Value] = field(default_factory=dict, hash=False)
    resource_account: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.action, str) or not _ACTION.fullmatch(self.action):
            raise RequestError.of(
                "action", self.action, "must be one action, without wildcards", "write it as in 'ec2:RunInstances'"
            )
        resource = self.resource
        if resource != "*" and (not isinstance(resource, str) or not resource.startswith("arn:")):
            raise RequestError.of(
                "resource", resource, "must be an ARN or '*'", "write 'arn:aws:ec2:us-east-1:111122223333:instance/i-1'"
            )
        if resource != "*" and (resource.count(":") < 5 or resource.split(":", 5)[5] == ""):
            raise RequestError.of(
                "resource", resource, "must have six parts", "write it as in 'arn:aws:s3:::my-bucket/key'"
            )
        if self.resource_account and not _ACCOUNT.fullmatch(self.resource_account):
            raise RequestError.of(
                "resource_account", self.resource_account, "must be 12 digits", "write it as in '111122223333'"
            )
        _ = self.keys  # a bad context is refused here, not at the first evaluation

    @cached_property
    def caller(self) -> Caller:
        """Who asks."""
        return caller_of(self.principal)

    @cached_property
    def owner(self) -> str:
        """The account that the resource belongs to."""
        named = self.resource.split(":")[4] if self.resource != "*" else ""
        return self.resource_account or (named if _ACCOUNT.fullmatch(named) else "") or self.caller.account

    @property
    def crosses_accounts(self) -> bool:
        """Whether the resource belongs to another account than the caller."""
        return bool(self.caller.account) and self.owner != self.caller.account

    @cached_property
    def keys(self) -> Context:
        """The whole context: the given keys and those that follow from the principal."""
        given = Context(self.context)
        values: dict[str, Value] = dict(self.context)
        derived = self.caller.keys()
        if self.owner:
            derived["aws:ResourceAccount"] = self.owner
        for key, value in derived.items():
            found = given.single(key)
            if found is None and key not in given:
                values[key] = value
            elif found != value:
                raise RequestError.of(
                    f"context[{key!r}]",
                    found,
                    f"contradicts the principal and the resource, which make it {value!r}",
                    "leave it out: it is filled in",
                )
        return Context(values)

    @property
    def label(self) -> str:
        """How messages name it: "ec2:RunInstances on arn:...:volume/*"."""
        return self.action if self.resource == "*" else f"{self.action} on {self.resource}"
