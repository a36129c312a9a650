"""The experts' forward and backward pass on a CPU, a few experts at a time, through buffers that stay in its cache.

What is saved over one matmul for all experts: no gathered copy of the tokens, no tensor for each step of the
nonlinearity, no gradient of the size of all weights that is filled with zeros first. Half-precision weights become fp32
one expert at a time, since a CPU without bf16 instructions multiplies fp32 several times as fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from course_lib.moe.cpu_scratch import Rows, Scratch, working_type

ops = torch.ops.aten


def activated(x: Tensor, act: str, out: Tensor) -> Tensor:
    """The nonlinearity, written into `out`."""
    if act == "silu":
        ops.silu.out(x, out=out)
    elif act == "gelu":
        ops.gelu.out(x, approximate="tanh", out=out)
    else:
        torch.clamp_min(x, 0, out=out)
    return out


def activation_grad(grad: Tensor, x: Tensor, act: str, out: Tensor) -> None:
    """The gradient through the nonlinearity at x, written into `out`."""
    if act == "silu":
        ops.silu_backward.grad_input(grad, x, grad_input=out)
    elif act == "gelu":
        ops.gelu_backward.grad_input(grad, x, approximate="tanh", grad_input=out)
    else:
        ops.threshold_backward.grad_input(grad, x, 0, grad_input=out)


def forward(x: Tensor, up: Tensor, down: Tensor, rows: Rows, act: str, gated: bool, kept: Tensor | None) -> Tensor:
    """Every expert's rows through its matrices.

    Args:
        x: (tokens, hidden).
        up: (experts, 2 inner, hidden), gate rows first, when gated; else (experts, inner, hidden).
        down: (experts, hidden, inner).
        rows: of each expert.
        act: "silu", "gelu" or "relu".
        gated: see up.
        kept: (slots, 2 inner) or (slots, inner), filled with what the backward pass needs; None when there is none.

    Returns:
        (slots + 1, hidden) in the working type, sorted by expert and not weighted; the last row is 0.
    """
    dtype, hidden, inner = working_type(x.dtype), x.shape[1], down.shape[2]
    out = torch.empty(sum(rows.counts) + 1, hidden, dtype=dtype)
    out[-1] = 0
    chunks, ups, downs = rows.chunks(), up.unbind(), down.unbind()
    scratch = Scratch(chunks, dtype)
    for chunk in chunks:
        count = chunk.rows.stop - chunk.rows.start
        in_place = kept is not None and kept.dtype == dtype
        raw = kept[chunk.rows] if in_place else scratch.new("raw", count, up.shape[1])  # type: ignore[index]
        scratch.project("up", scratch.gathered("x", x, rows, chunk), ups, chunk, raw)
        if kept is not None and not in_place:
            kept[chunk.rows] = raw
        h = activated(raw[:, :inner], act, scratch.new("h", count, inner))  # (rows, inner)
        if gated:
            h.mul_(raw[:, inner:])
        scratch.project("down", h, downs, chunk, out[chunk.rows])
    return out


@dataclass(frozen=True)
class Gradients:
    """What a backward pass gives; None where it was not asked for.

    Args:
        x: (slots + 1, hidden) in the working type, sorted by expert, the last row 0.
        up, down: of the weights' shapes and types.
        weight: (slots,) in the working type; None where rows have no weights.
    """

    x: Tensor | None
    up: Tensor | None
    down: Tensor | None
    weight: Tensor | None


def backward(
    out_grad: Tensor,
    x: Tensor,
    up: Tensor,
    down: Tensor,
    rows: Rows,
    act: str,
    gated: bool,
    kept: Tensor,
    wanted: Sequence[bool],
) -> Gradients:
    """Gradients of `forward`, or of the weighted sum over each token's rows when rows have weights.

    With y = down h and the loss's gradient g of the sum, a row's weight w gets g . y = (down^T g) . h, so that y need
    not be kept; h is computed again from what was kept.

    Args:
        out_grad: (tokens, hidden) of the sum, or (slots, hidden) of each row's output when rows have no tokens.
        x, up, down, rows, act, gated, kept: as in `forward`.
        wanted: whether those of x, up and down are.
    """
    dtype, inner = working_type(x.dtype), down.shape[2]
    slots = sum(rows.counts)
    x_grad = torch.empty(slots + 1, x.shape[1], dtype=dtype) if wanted[0] else None
    if x_grad is not None:
        x_grad[-1] = 0
    up_grad = torch.empty_like(up, memory_format=torch.contiguous_format) if wanted[1] else None
    down_grad = torch.empty_like(down, memory_format=torch.contiguous_format) if wanted[2] else None
    weight_grad = None if rows.weight is None else torch.empty(slots, dtype=dtype)
    idle = [expert for expert, count in enumerate(rows.counts) if not count]
    for grad in (up_grad, down_grad):
        if grad is not None:
            for expert in idle:
                grad[expert].zero_()
    chunks, ups, downs = rows.chunks(), up.unbind(), down.unbind()
    scratch = Scratch(chunks, dtype)
    for chunk in chunks:
        count = chunk.rows.stop - chunk.rows.start
        g_out = scratch.gathered("g_out", out_grad, rows, chunk)  # (rows, hidden)
        raw = scratch.block("raw", kept[chunk.rows])  # (rows, 2 inner) or (rows, inner)
        g_h = scratch.new("g_h", count, inner)
        scratch.back("down", g_out, downs, chunk, g_h)
        a = activated(raw[:, :inner], act, scratch.new("a", count, inner))
        h = torch.mul(a, raw[:, inner:], out=scratch.new("h", count, inner)) if gated else a
        if weight_grad is not None and rows.weight is not None:
            torch.sum(torch.mul(g_h, h, out=scratch.new("g_h h", count, inner)), dim=1, out=weight_grad[chunk.rows])
            w = rows.weight[chunk.rows, None]  # (rows, 1)
            g_h.mul_(w)
            h = torch.mul(h, w, out=scratch.new("h", count, inner))
        if down_grad is not None:
            scratch.outer(g_out, h, chunk, down_grad)
        if x_grad is None and up_grad is None:
            continue
        g_raw = scratch.new("g_raw", count, up.shape[1])
        if gated:
            torch.mul(g_h, a, out=g_raw[:, inner:])
            g_h.mul_(raw[:, inner:])
        activation_grad(g_h, raw[:, :inner], act, g_raw[:, :inner])
        if up_grad is not None:
            scratch.outer(g_raw, scratch.gathered("x", x, rows, chunk), chunk, up_grad)
        if x_grad is not None:
            scratch.back("up", g_raw, ups, chunk, x_grad[chunk.rows])
    return Gradients(x_grad, up_grad, down_grad, weight_grad)
