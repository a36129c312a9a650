"""Counts what a rank hands to others in all-to-alls, and can insist that no other collective is used.

`messages` does the same for single messages. Importing it loads torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch.distributed as dist
from torch.distributed.distributed_c10d import _resolve_process_group  # type: ignore[attr-defined]

from course_lib.runtime.watched import Watched

ALLOWED = ("alltoall_base", "alltoall", "all_to_all_single")  # the last is that of the functional collectives
BESIDE = ("wait_tensor", "_wrap_tensor_autograd")  # what belongs to it and sends nothing


class NotAllowedError(RuntimeError):
    """A collective or a function was called where only all-to-alls of one's own count."""


@dataclass(frozen=True)
class Exchange:
    """One all-to-all, as one rank took part in it.

    Args:
        to_others: bytes for other ranks, in the order of the ranks; 0 for the rank itself.
        kept: bytes that the rank sent to itself, which cross no wire.
    """

    to_others: tuple[int, ...]
    kept: int

    @property
    def bytes_sent(self) -> int:
        """Bytes for all other ranks together."""
        return sum(self.to_others)


class Exchanges(Watched):  # type: ignore[no-untyped-call]  # torch's are untyped
    """Within this context, all-to-alls of the current rank are counted and other collectives are refused.

    Args:
        off_limits: modules whose functions may not be called, such as a library that has the answer.
        also: names of further collectives that may be called, such as "allreduce"; they are not counted.

    Raises:
        NotAllowedError: from the line that calls another collective or a function of such a module.
    """

    refusal = NotAllowedError

    def __init__(self, off_limits: tuple[str, ...] = (), also: tuple[str, ...] = ()) -> None:
        super().__init__(off_limits)
        self.all: list[Exchange] = []
        self._also = also

    @property
    def bytes_sent(self) -> int:
        """Bytes for other ranks in all exchanges so far."""
        return sum(exchange.bytes_sent for exchange in self.all)

    def note(self, name: str, args: tuple[Any, ...]) -> None:
        """Count an all-to-all, or refuse what is none."""
        if name in ALLOWED:
            self.all.append(_exchange(name, args))
        elif name not in (*self._also, *BESIDE):
            known = ", ".join(("all_to_all_single", *self._also))
            raise NotAllowedError(
                f"{name} of torch.distributed was called, where only {known} counts. Remedy: build it from that."
            )


def _exchange(name: str, args: tuple[Any, ...]) -> Exchange:
    if name == "all_to_all_single":  # (input, output splits, input splits, group's name)
        rows, splits, group = args[0], args[2], _resolve_process_group(args[3])
    else:  # (outputs, inputs, group, output splits, input splits, ...)
        rows, group = args[1], dist.ProcessGroup.unbox(args[2])
        splits = [] if name == "alltoall" else args[4]
    if name == "alltoall":  # a list of tensors
        sizes = [tensor.nbytes for tensor in rows]
    else:
        each = list(splits) or [len(rows) // group.size()] * group.size()
        row = rows[0].nbytes if len(rows) else 0
        sizes = [split * row for split in each]
    mine = group.rank()
    return Exchange(tuple(0 if to == mine else size for to, size in enumerate(sizes)), sizes[mine])
