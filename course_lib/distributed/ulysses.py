"""Ulysses attention: the other way to share a sequence. Trade tokens for heads, attend as usual, trade back.

Between two all-to-alls each rank has the whole sequence for some of the heads, so that any attention kernel serves; the
price is that there can be no more ranks than key heads, where the ring has no such limit.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from course_lib.distributed.errors import TrainingSetupError
from course_lib.models import causal_attention

Group = dist.ProcessGroup | None
HEADS, TOKENS = 1, 2  # axes of (batch, heads, tokens, head_dim)


def ulysses_attention(q: Tensor, k: Tensor, v: Tensor, group: Group = None) -> Tensor:
    """softmax(q k^T / sqrt(d), causal) v over the whole sequence, of which each rank holds a contiguous piece.

    Args:
        q: (batch, heads, seq / ranks, head_dim), rotary embedding done.
        k, v: (batch, kv_heads, seq / ranks, head_dim); the ranks divide kv_heads.
        group: the context-parallel ranks in the order of their pieces; the default group when left out.

    Returns:
        (batch, heads, seq / ranks, head_dim).

    Raises:
        TrainingSetupError: when heads can't be shared equally.

    Source: Jacobs et al. 2023 (arXiv:2309.14509) section 3.
    """
    check_ulysses(q.shape[HEADS], k.shape[HEADS], dist.get_world_size(group))
    q, k, v = (_exchange(x, HEADS, TOKENS, group) for x in (q, k, v))  # (batch, heads / ranks, seq, head_dim)
    return _exchange(causal_attention(q, k, v), TOKENS, HEADS, group)


def check_ulysses(heads: int, kv_heads: int, ranks: int) -> None:
    """Raise `TrainingSetupError` unless each of `ranks` gets whole query heads and whole key heads."""
    for name, count in (("heads", heads), ("kv_heads", kv_heads)):
        if count % ranks:
            raise TrainingSetupError.of(
                name,
                count,
                f"can't be shared equally by {ranks} context ranks under Ulysses attention",
                f"use a context degree that divides {count}, or attention='ring'",
            )


def ulysses_bytes(
    *, ranks: int, batch: int, heads: int, kv_heads: int, tokens: int, head_dim: int, bytes_per_element: int = 4
) -> tuple[int, int]:
    """Bytes that each rank sends in one attention layer for one microbatch.

    Args:
        ranks: context-parallel degree c.
        batch, heads, kv_heads, tokens, head_dim: shape of a rank's queries and keys (tokens = seq / ranks).
        bytes_per_element: 4 for fp32, 2 for bf16.

    Returns:
        (forward, backward), both (c - 1) / c of queries, keys, values and output.
    """
    one_way = (ranks - 1) * (2 * heads + 2 * kv_heads) * batch * tokens * head_dim // ranks * bytes_per_element
    return one_way, one_way


class _Exchange(torch.autograd.Function):
    """Divide one axis among the ranks and collect another; the gradient goes the way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, divide: int, collect: int, group: Group) -> Tensor:
        ctx.axes, ctx.group = (divide, collect), group
        leaving = torch.stack(x.chunk(dist.get_world_size(group), dim=divide))  # (ranks, ...): one piece for each
        arriving = torch.empty_like(leaving)
        dist.all_to_all_single(arriving, leaving, group=group)
        return torch.cat(arriving.unbind(), dim=collect)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        divide, collect = ctx.axes
        return _exchange(grads[0], collect, divide, ctx.group), None, None, None


def _exchange(x: Tensor, divide: int, collect: int, group: Group) -> Tensor:
    out: Tensor = _Exchange.apply(x, divide, collect, group)  # type: ignore[no-untyped-call]
    return out
