"""Counts what a rank hands to torch.distributed's collectives, and what a ring sends of it over the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch.distributed as dist
from torch import Tensor

from course_lib.arithmetic import Collective, collective_time


@dataclass
class Traffic:
    """Messages of this rank since the count began.

    Args:
        messages: (collective, bytes of this rank's part) of each, in order.
    """

    messages: list[tuple[Collective, int]] = field(default_factory=list)

    @property
    def payload_bytes(self) -> int:
        """This rank's gradients as they were handed over."""
        return sum(size for _, size in self.messages)

    def wire_bytes(self, ranks: int) -> float:
        """What each rank sends when all of it goes around a ring: a gathered message passes every other rank."""
        total = 0.0
        for op, size in self.messages:
            whole = size * ranks if op == "all_gather" else size
            sent = collective_time(op, whole, ranks, alpha_seconds=0.0, beta_seconds_per_byte=1.0)
            total += sent.bytes_sent_per_rank
        return total


@contextmanager
def counted_traffic() -> Iterator[Traffic]:
    """Within: every call of `dist.all_reduce` and `dist.all_gather` in this process is counted.

    DDP without a hook exchanges in C++ and is not seen; compression "none" sends the same and is.

    Yields:
        The count, which grows.
    """
    traffic = Traffic()
    reduce, gather = dist.all_reduce, dist.all_gather

    def counting(function: Callable[..., Any], op: Collective, part: int) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            tensor: Tensor = args[part]
            traffic.messages.append((op, tensor.numel() * tensor.element_size()))
            return function(*args, **kwargs)

        return call

    dist.all_reduce = counting(reduce, "all_reduce", 0)
    dist.all_gather = counting(gather, "all_gather", 1)
    try:
        yield traffic
    finally:
        dist.all_reduce, dist.all_gather = reduce, gather
