"""All-to-all of rows with gradients: what a forward pass sends one way, the backward pass sends back.

Two forms. With splits, ranks send each other as many rows as they have, and everybody must know the numbers before.
Without, all send equally many, so that nothing has to be known and shapes never change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

Group = dist.ProcessGroup | None


class _Rows(torch.autograd.Function):
    """`all_to_all_single` on rows; its gradient is the same exchange with senders and receivers swapped."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, sends: list[int], receives: list[int], group: Group) -> Tensor:
        ctx.sends, ctx.receives, ctx.group = sends, receives, group
        return _all_to_all(rows, sends, receives, group)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        return _all_to_all(grads[0], ctx.receives, ctx.sends, ctx.group), None, None, None


def _all_to_all(rows: Tensor, sends: list[int], receives: list[int], group: Group) -> Tensor:
    arriving = rows.new_empty((sum(receives), *rows.shape[1:]))
    dist.all_to_all_single(arriving, rows.contiguous(), receives, sends, group=group)
    return arriving


def exchange_rows(rows: Tensor, sends: Sequence[int], receives: Sequence[int], group: Group = None) -> Tensor:
    """Hand rows out to all ranks of a group and collect theirs; every rank of the group must call it.

    A rank that sends or receives nothing takes part all the same, in the backward pass too.

    Args:
        rows: (sum of sends, ...): those for rank 0 first, then those for rank 1, ...
        sends: rows for each rank.
        receives: rows from each rank, which must be what that rank sends.
        group: the ranks; the default group when left out.

    Returns:
        (sum of receives, ...): those from rank 0 first. Carries gradient.

    Source: Lepikhin et al. 2020 (arXiv:2006.16668) section 3.3, for experts behind an all-to-all.
    """
    out: Tensor = _Rows.apply(rows, list(sends), list(receives), group)  # type: ignore[no-untyped-call]
    return out


def exchange_blocks(blocks: Tensor, group: Group = None) -> Tensor:
    """`exchange_rows` with equally many for every rank: no rank needs to be told a number.

    Args:
        blocks: (ranks, ...), one block for each rank of the group.
        group: the ranks; the default group when left out.

    Returns:
        (ranks, ...), one block from each rank. Carries gradient.
    """
    each = [1] * len(blocks)
    return exchange_rows(blocks, each, each, group)


def exchange_counts(counts: Tensor, group: Group = None) -> Tensor:
    """Tell every rank how many rows each of its experts will get from here.

    Args:
        counts: (experts,) of int64, this rank's rows for every expert of the group, rank 0's experts first.
        group: the ranks; the default group when left out.

    Returns:
        (ranks, experts / ranks) of int64: rows from each rank for each expert of this rank.
    """
    ranks = dist.get_world_size(group)
    arriving = torch.empty_like(counts)
    dist.all_to_all_single(arriving, counts.contiguous(), group=group)
    return arriving.view(ranks, -1)
