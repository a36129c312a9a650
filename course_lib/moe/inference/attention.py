"""Attention of new tokens over a cache: the same numbers as `Attention.forward`, with fewer small operations.

Angles are computed once for a step rather than once for each layer, queries and keys turn in three operations each:
a decoding step of a small model spends its time on the count of operations.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from course_lib.models import Block


class AnySpan(Protocol):
    """Where new tokens stand, and a memory of the keys and values before them: `Span`, or one that is exported."""

    positions: Tensor

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Queries (sequences, heads, new, d) over what was there and the new keys and values, which are kept."""
        ...


class Turn:
    """The rotary angles of one step's tokens.

    Args:
        positions: (sequences, new).
        head_dim: even.
        base: theta.
        dtype: of queries and keys.

    Source: Su et al. 2021 (arXiv:2104.09864) eq. 34, in the half-split layout of `course_lib.models`.
    """

    def __init__(self, positions: Tensor, head_dim: int, base: float, dtype: torch.dtype) -> None:
        self._half = head_dim // 2
        pairs = torch.arange(self._half, dtype=torch.float32, device=positions.device)  # (head_dim / 2,)
        rates = base ** (-pairs / self._half)  # (head_dim / 2,)
        angles = (positions.float()[..., None] * rates)[..., None, :]  # (sequences, new, 1, head_dim / 2)
        cos, sin = angles.cos(), angles.sin()
        self._cos = torch.cat((cos, cos), dim=-1).to(dtype)  # (sequences, new, 1, head_dim)
        self._sin = torch.cat((-sin, sin), dim=-1).to(dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """(sequences, new, heads, head_dim), turned."""
        return torch.addcmul(x * self._cos, x.roll(self._half, -1), self._sin)


def attend(block: Block, x: Tensor, span: AnySpan, number: int, turn: Turn | None) -> Tensor:
    """One block's attention.

    Args:
        block: whose weights and head norms are used.
        x: (sequences, new, hidden), behind the attention norm.
        span: where the new keys go.
        number: of the block.
        turn: the angles; None without rotary positions.

    Returns:
        (sequences, new, hidden).
    """
    attention = block.attention
    d = attention.head_dim
    q = _heads(attention.wq(x), attention.q_norm, d)  # (sequences, new, heads, d)
    k = _heads(attention.wk(x), attention.k_norm, d)
    v = _heads(attention.wv(x), None, d)
    if turn is not None:
        q, k = turn(q), turn(k)
    out = span.attend(number, q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
    projected: Tensor = attention.wo(out.transpose(1, 2).flatten(2))
    return projected


def _heads(projected: Tensor, norm: nn.Module | None, head_dim: int) -> Tensor:
    """(sequences, new, heads * d) -> (sequences, new, heads, d), normed over each head or over all at once."""
    split = (*projected.shape[:2], -1, head_dim)
    if norm is None or isinstance(norm, nn.Identity):
        return projected.view(split)
    if getattr(norm, "normalized_shape", None) == (projected.shape[-1],) != (head_dim,):
        wide: Tensor = norm(projected)
        return wide.view(split)
    each: Tensor = norm(projected.view(split))
    return each
