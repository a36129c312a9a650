"""Counts what a rank sends and receives, and can insist that nothing else passes between ranks.

It stands below `torch.distributed`'s Python functions, where their operators are dispatched, so it makes no difference
under which name a function was called. Importing it loads torch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any, Self

import torch
import torch.distributed as dist
from torch.utils._python_dispatch import TorchDispatchMode

NAMESPACES = ("c10d", "_c10d_functional", "c10d_functional", "symm_mem")


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


class Messages(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within this context, messages of the current rank are counted and collectives are refused.

    Args:
        off_limits: modules whose functions may not be called either, such as a library that has the answer.

    Raises:
        NotPointToPointError: from the line that calls a collective or a function of such a module.
    """

    def __init__(self, off_limits: tuple[str, ...] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's are untyped
        self.sent: list[Message] = []
        self.received: list[Message] = []
        self._prefixes = tuple(f"{name}." for name in off_limits)
        self._before: Any = None

    @property
    def bytes_sent(self) -> int:
        """Bytes of all messages that were sent."""
        return sum(message.bytes_ for message in self.sent)

    def __enter__(self) -> Self:
        if self._prefixes:
            self._before = sys.getprofile()
            sys.setprofile(self._watch)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *details: Any) -> None:
        super().__exit__(*details)  # type: ignore[no-untyped-call]
        if self._prefixes:
            sys.setprofile(self._before)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func.namespace in NAMESPACES:
            self._note(func, args)
        return func(*args, **(kwargs or {}))

    def _note(self, func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        name = func.__name__.partition(".")[0].rstrip("_")
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

    def _watch(self, frame: FrameType, event: str, _arg: Any) -> None:
        module = str(frame.f_globals.get("__name__", ""))
        if event == "call" and f"{module}.".startswith(self._prefixes):
            raise NotPointToPointError(
                f"{module}.{frame.f_code.co_name} was called, where your own code is asked for. Remedy: write it."
            )
