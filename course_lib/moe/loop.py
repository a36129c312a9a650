"""Experts one after the other: the form to read, and the oracle of the fast one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.moe.activations import nonlinear


def experts_by_loop(
    x: Tensor, counts: Tensor, up: Tensor, down: Tensor, *, activation: str = "silu", gated: bool = True
) -> Tensor:
    """Every expert's block of rows through that expert's matrices.

    Args:
        x: (slots, hidden), sorted by expert.
        counts: (experts,), rows of each expert.
        up: (experts, 2 inner, hidden) when gated, gate rows first; else (experts, inner, hidden).
        down: (experts, hidden, inner).
        activation: "silu", "gelu" or "relu".
        gated: down(act(gate x) * up x) instead of down(act(up x)).

    Returns:
        (slots, hidden).
    """
    out = []
    for rows, up_e, down_e in zip(torch.split(x, counts.tolist()), up, down, strict=True):
        projected = F.linear(rows, up_e)  # (rows, 2 inner) or (rows, inner)
        out.append(F.linear(nonlinear(projected, activation, gated), down_e))
    return torch.cat(out)


def mixture_by_loop(
    x: Tensor,
    experts: Tensor,
    weights: Tensor,
    up: Tensor,
    down: Tensor,
    *,
    activation: str = "silu",
    gated: bool = True,
) -> Tensor:
    """Each token's sum over its experts of weight * expert(x).

    Args:
        x: (tokens, hidden).
        experts: (tokens, k) of int64; -1 where a token has none.
        weights: (tokens, k).
        up, down, activation, gated: as in `experts_by_loop`.

    Returns:
        (tokens, hidden).
    """
    out = torch.zeros_like(x)
    for expert in range(len(up)):
        token, choice = (experts == expert).nonzero(as_tuple=True)  # (rows,) each
        one, count = slice(expert, expert + 1), torch.tensor([len(token)])
        worked = experts_by_loop(x[token], count, up[one], down[one], activation=activation, gated=gated)
        out = out.index_add(0, token, (worked * weights[token, choice, None]).to(x.dtype))
    return out
