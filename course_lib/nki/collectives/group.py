"""Which ranks take part in a collective together.

Source: Neuron documentation 2.32, `nki.collectives.ReplicaGroup`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from course_lib.nki.errors import broken_rule
from course_lib.nki.objects import NKIObject


class ReplicaGroup(NKIObject):
    """Groups of ranks; each group runs a collective of its own.

    Args:
        replica_groups: lists of ranks without overlap, e.g. [[0, 1], [2, 3]].

    Raises:
        NkiValidationError: for an empty group, or a rank that appears twice.
    """

    def __init__(self, replica_groups: Sequence[Sequence[int]]) -> None:
        try:
            self.replica_groups = [[int(rank) for rank in group] for group in replica_groups]
        except TypeError:
            raise broken_rule(
                f"ReplicaGroup({replica_groups!r})",
                limit="a list of lists of ranks",
                hint="ReplicaGroup([[0, 1]]) for one group of two ranks",
            ) from None
        ranks = [rank for group in self.replica_groups for rank in group]
        if not ranks or not all(self.replica_groups) or len(set(ranks)) != len(ranks):
            raise broken_rule(
                f"ReplicaGroup({self.replica_groups})", limit="at least one rank in each group, each rank once"
            )

    def __repr__(self) -> str:
        return f"ReplicaGroup({self.replica_groups})"


def group_of(op: str, group: Any, rank: int, ranks: int) -> list[int]:
    """The ranks that take part together with `rank`, in the group's order.

    Raises:
        NkiValidationError: when the rank is in none of the groups, or a group names a rank that does not exist.
    """
    if not isinstance(group, ReplicaGroup):
        raise broken_rule(
            f"{op}: replica_group is {type(group).__name__}", limit="a ReplicaGroup", hint="ReplicaGroup([[0, 1]])"
        )
    for members in group.replica_groups:
        beyond = [member for member in members if not 0 <= member < ranks]
        if beyond:
            raise broken_rule(
                f"{op}: rank {beyond[0]} of {group}",
                limit=f"0 to {ranks - 1}: the kernel runs on {ranks} rank{'s' if ranks > 1 else ''}",
                hint=f"start it with course_lib.nki.collectives.launch(kernel, {max(beyond) + 1})",
            )
    for members in group.replica_groups:
        if rank in members:
            return members
    raise broken_rule(
        f"{op}: rank {rank} is in no group of {group}",
        limit="every rank that calls a collective is in one of its groups",
        hint="add the rank to a group, or keep the call out of its branch",
    )
