"""Attention of some queries to one block of keys, in a form that can be merged with other blocks' results.

What makes merging possible is the log of the softmax's denominator (lse), kept beside each output: two results over
different keys combine into the result over both, exactly.

Source: Dao et al. 2022 (arXiv:2205.14135) algorithm 1 and its appendix B.2 for the backward pass.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Visible(NamedTuple):
    """Which part of a block of keys which of a rank's queries see.

    Args:
        rows: queries, along the sequence.
        columns: keys, along the sequence.
        causal: a query sees the keys up to its own position only; otherwise all of `columns`.
    """

    rows: slice
    columns: slice
    causal: bool


def visible(placement: str, rank: int, owner: int, tokens: int) -> Visible | None:
    """What the queries of a rank see of the keys of another; None when nothing.

    Args:
        placement: "contiguous" or "zigzag".
        rank: whose queries.
        owner: whose keys.
        tokens: that each rank holds.
    """
    everything, half = slice(None), tokens // 2
    if owner == rank:
        return Visible(everything, everything, causal=True)
    if placement == "contiguous":
        return Visible(everything, everything, causal=False) if owner < rank else None
    # zigzag: of an earlier rank, its early half precedes and its late half follows all of ours; of a later rank, both
    # halves lie between our early half and our late one
    if owner < rank:
        return Visible(everything, slice(0, half), causal=False)
    return Visible(slice(half, None), everything, causal=False)


def block_forward(q: Tensor, k: Tensor, v: Tensor, *, causal: bool) -> tuple[Tensor, Tensor]:
    """Attention over one block of keys.

    Args:
        q: (batch, heads, queries, head_dim).
        k, v: (batch, kv_heads, keys, head_dim).
        causal: query i sees keys 0 to i; queries and keys are then equally many.

    Returns:
        (batch, heads, queries, head_dim) and lse (batch, heads, queries), in fp32 for half-precision inputs.
    """
    scores = _scores(_grouped(q, k), _wide(k), causal)  # (batch, kv_heads, group, queries, keys)
    lse = scores.logsumexp(dim=-1)  # (batch, kv_heads, group, queries)
    out = torch.einsum("bngqk,bnkd->bngqd", (scores - lse[..., None]).exp(), _wide(v))
    return out.flatten(1, 2), lse.flatten(1, 2)


def merge(out: Tensor, lse: Tensor, more: Tensor, more_lse: Tensor) -> tuple[Tensor, Tensor]:
    """Two results over different keys → the result over both.

    Args:
        out, more: (batch, heads, queries, head_dim).
        lse, more_lse: (batch, heads, queries).

    Returns:
        The same shapes.
    """
    both = torch.logaddexp(lse, more_lse)
    weighted = out * (lse - both).exp()[..., None] + more * (more_lse - both).exp()[..., None]
    return weighted, both


def block_backward(
    q: Tensor, k: Tensor, v: Tensor, grad_out: Tensor, lse: Tensor, offset: Tensor, *, causal: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients that pass through one block of keys.

    Args:
        q: (batch, heads, queries, head_dim).
        k, v: (batch, kv_heads, keys, head_dim).
        grad_out: gradient of the merged output, of q's shape.
        lse: of the merged output, (batch, heads, queries).
        offset: sum over head_dim of grad_out * merged output, (batch, heads, queries).
        causal: as in `block_forward`.

    Returns:
        Gradients of q, k and v, in fp32 for half-precision inputs.
    """
    group = q.shape[1] // k.shape[1]
    queries, keys, values, grad = _grouped(q, k), _wide(k), _wide(v), _grouped(grad_out, k)
    lse, offset = (_by_group(x, group)[..., None] for x in (lse, offset))  # (batch, kv_heads, group, queries, 1)
    weights = (_scores(queries, keys, causal) - lse).exp()  # (batch, kv_heads, group, queries, keys)
    grad_v = torch.einsum("bngqk,bngqd->bnkd", weights, grad)
    grad_weights = torch.einsum("bngqd,bnkd->bngqk", grad, values)
    grad_scores = weights * (grad_weights - offset) * q.shape[-1] ** -0.5
    grad_q = torch.einsum("bngqk,bnkd->bngqd", grad_scores, keys)
    grad_k = torch.einsum("bngqk,bngqd->bnkd", grad_scores, queries)
    return grad_q.flatten(1, 2), grad_k, grad_v


def _wide(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def _grouped(q: Tensor, k: Tensor) -> Tensor:
    """(batch, heads, queries, head_dim) -> (batch, kv_heads, heads / kv_heads, queries, head_dim)."""
    return _by_group(_wide(q), q.shape[1] // k.shape[1])


def _by_group(x: Tensor, group: int) -> Tensor:
    """Divide axis 1, the heads, into (kv_heads, group): the query heads that one key head serves."""
    return x.reshape(x.shape[0], -1, group, *x.shape[2:])


def _scores(queries: Tensor, keys: Tensor, causal: bool) -> Tensor:
    """Scaled scores (batch, kv_heads, group, queries, keys)."""
    scores: Tensor = torch.einsum("bngqd,bnkd->bngqk", queries, keys) * queries.shape[-1] ** -0.5
    if not causal:
        return scores
    later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)  # (queries, keys)
    return scores.masked_fill(later, float("-inf"))
