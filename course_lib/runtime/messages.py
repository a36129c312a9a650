"""Counts what a rank sends and receives, and can insist that nothing else passes between ranks.

Importing it loads torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from course_lib.runtime.watched import Watched


class NotPointToPointError(RuntimeError):
    """Something other than send and receive was called where only these two are allowed."""


@dataclass(frozen=True)
class Message:
    """One message.

    Args:
        peer: the rank at the other end, numbered as in the process group that carried it.
        bytes_: its size.
    """

    peer: int
    bytes_: int


class Messages(Watched):  # type: ignore[no-untyped-call]  # torch's are untyped
    """Within this context, messages of the current rank are counted and collectives are refused.

    Args:
        off_limits: modules whose functions may not be called either, such as a library that has the answer.

    Raises:
        NotPointToPointError: from the line that calls a collective or a function of such a module.
    """

    refusal = NotPointToPointError

    def __init__(self, off_limits: tuple[str, ...] = ()) -> None:
        super().__init__(off_limits)
        self.sent: list[Message] = []
        self.received: list[Message] = []

    @property
    def bytes_sent(self) -> int:
        """Bytes of all messages that were sent."""
        return sum(message.bytes_ for message in self.sent)

    def note(self, name: str, args: tuple[Any, ...]) -> None:
        """Count a message, or refuse what is none."""
        lists = {"send": self.sent, "recv": self.received}
        if name not in lists:
            raise NotPointToPointError(
                f"{name} of torch.distributed was called, where only messages between two ranks count. "
                "Remedy: build it from isend and irecv."
            )
        world = dist.get_world_size()
        if not 0 <= int(args[2]) < world:  # gloo itself would end the process here
            limit = f"must be a rank from 0 to {world - 1}"
            raise ValueError(f"the other end of {name}, {args[2]}, {limit}. Remedy: take it modulo {world}.")
        tensors: list[torch.Tensor] = args[0]
        bytes_ = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        lists[name].append(Message(int(args[2]), bytes_))
