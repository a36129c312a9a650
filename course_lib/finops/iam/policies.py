"""Every policy that has a say in a request, by layer.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html ("Policy types").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from course_lib.finops.iam.decision import Layer
from course_lib.finops.iam.document import Kind, Policy
from course_lib.finops.iam.errors import PolicyError
from course_lib.finops.iam.parse import Document, parse_policy

One = Document | Policy
Given = One | Sequence[One]


@dataclass(frozen=True)
class Policies:
    """The policies around one caller and one resource; documents are read and checked at once.

    Args:
        identity: those of the user or role, and of the user's groups: one document or a list.
        boundary: the permissions boundary, if the user or role has one.
        session: the policies passed when the session was made, if there were any.
        scps: service control policies. One list is one level (policies attached to the account, say); a list of
            lists has one inner list for the root, for each organisational unit and for the account: each level must
            allow. None means that the account is in no organisation; an empty level allows nothing.
        resource: the policy on the resource itself: a bucket policy, a key policy.
        trust: the resource policy of a role, for sts:AssumeRole; it takes the place of `resource`.

    Raises:
        MalformedPolicyError: a document breaks the policy language.
        PolicyError: both resource and trust are given.
    """

    identity: Given | None = None
    boundary: One | None = None
    session: Given | None = None
    scps: Sequence[One] | Sequence[Sequence[One]] | None = None
    resource: One | None = None
    trust: One | None = None

    def __post_init__(self) -> None:
        if self.resource is not None and self.trust is not None:
            raise PolicyError.of(
                "resource", "...", "and trust are both given: a role's resource policy is its trust policy", "keep one"
            )
        _ = self._read

    @cached_property
    def _read(self) -> dict[Layer, list[list[Policy]]]:
        scps: list[list[Policy]] = []
        if self.scps is not None:
            levels: list[Any] = list(self.scps)
            nested = bool(levels) and all(_is_list(level) for level in levels)
            scps = [_policies(level, Kind.SCP) for level in (levels if nested else [levels])]
        resource = self.trust if self.trust is not None else self.resource
        kind = Kind.TRUST if self.trust is not None else Kind.RESOURCE
        return {
            Layer.SCP: scps,
            Layer.RESOURCE: [] if resource is None else [_policies(resource, kind)],
            Layer.IDENTITY: [] if self.identity is None else [_policies(self.identity, Kind.IDENTITY)],
            Layer.BOUNDARY: [] if self.boundary is None else [_policies(self.boundary, Kind.BOUNDARY)],
            Layer.SESSION: [] if self.session is None else [_policies(self.session, Kind.SESSION)],
        }

    def levels(self, layer: Layer) -> list[list[Policy]]:
        """The policies of a layer; for service control policies one inner list for each level."""
        return self._read[layer]

    def has(self, layer: Layer) -> bool:
        """Whether the layer was given, even as an empty list."""
        return bool(self._read[layer])


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _policies(given: Given, kind: Kind) -> list[Policy]:
    documents: Sequence[One] = [given] if isinstance(given, str | Mapping | Policy) else given
    return [
        parse_policy(document, kind, "" if len(documents) == 1 else str(number))
        for number, document in enumerate(documents, 1)
    ]


def policies_of(given: Policies | Given) -> Policies:
    """`Policies` as they are; anything else as identity policies alone."""
    return given if isinstance(given, Policies) else Policies(identity=given)
