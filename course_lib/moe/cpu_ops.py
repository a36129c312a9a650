"""The CPU kernels as PyTorch operators: autograd knows their gradients, and torch.compile takes them as they are."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.moe.cpu_kernels import Gradients, backward, forward
from course_lib.moe.cpu_scratch import Rows


@torch.library.custom_op("course_lib::experts", mutates_args=())
def experts_op(
    x: Tensor, counts: Tensor, up: Tensor, down: Tensor, act: str, gated: bool, keep: bool
) -> tuple[Tensor, Tensor]:
    """(slots, hidden) sorted by expert -> (slots, hidden), and what the backward pass needs if it is to `keep` it."""
    kept = _room(keep, len(x), x, up)
    out = forward(x, up, down, Rows(counts.tolist()), act, gated, kept if keep else None)
    return out[:-1].to(x.dtype), kept


@experts_op.register_fake
def _(x: Tensor, counts: Tensor, up: Tensor, down: Tensor, act: str, gated: bool, keep: bool) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x, memory_format=torch.contiguous_format), _room(keep, len(x), x, up)


@torch.library.custom_op("course_lib::experts_backward", mutates_args=())
def experts_backward_op(
    grad: Tensor, x: Tensor, counts: Tensor, up: Tensor, down: Tensor, kept: Tensor, act: str, gated: bool,
    wanted: list[bool],
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of x, up and down; empty where not wanted."""
    found = backward(grad, x, up, down, Rows(counts.tolist()), act, gated, kept, wanted)
    x_grad = x.new_empty(0) if found.x is None else found.x[:-1].to(x.dtype)
    return x_grad, *_of_weights(found, up, down)


@experts_backward_op.register_fake
def _(
    grad: Tensor, x: Tensor, counts: Tensor, up: Tensor, down: Tensor, kept: Tensor, act: str, gated: bool,
    wanted: list[bool],
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    x_grad, up_grad, down_grad = (_like(t, asked) for t, asked in zip((x, up, down), wanted, strict=True))
    return x_grad, up_grad, down_grad


def mixture(
    x: Tensor, experts: Tensor, weights: Tensor, up: Tensor, down: Tensor, act: str, gated: bool, keep: bool
) -> tuple[Tensor, Tensor]:
    """(tokens, hidden) -> the weighted sums of each token's experts, and what the backward pass needs."""
    rows, place = sort_rows(experts, weights, len(up))
    kept = _room(keep, experts.numel(), x, up)
    out = forward(x, up, down, rows, act, gated, kept if keep else None)  # (rows + 1, hidden)
    return _sums(out, place, weights).to(x.dtype), kept


mixture_op = torch.library.custom_op("course_lib::mixture", mutates_args=())(mixture)


@mixture_op.register_fake
def _(
    x: Tensor, experts: Tensor, weights: Tensor, up: Tensor, down: Tensor, act: str, gated: bool, keep: bool
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x, memory_format=torch.contiguous_format), _room(keep, experts.numel(), x, up)


@torch.library.custom_op("course_lib::mixture_backward", mutates_args=())
def mixture_backward_op(
    grad: Tensor, x: Tensor, experts: Tensor, weights: Tensor, up: Tensor, down: Tensor, kept: Tensor, act: str,
    gated: bool, wanted: list[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of x, the weights in the sums, up and down; those of x, up and down are empty where not wanted."""
    rows, place = sort_rows(experts, weights, len(up))
    found = backward(grad, x, up, down, rows, act, gated, kept, wanted)
    assert found.weight is not None
    weight_grad = torch.cat((found.weight, found.weight.new_zeros(1)))[place]  # (tokens, k)
    x_grad = x.new_empty(0) if found.x is None else _sums(found.x, place, None).to(x.dtype)
    return x_grad, weight_grad.to(weights.dtype), *_of_weights(found, up, down)


@mixture_backward_op.register_fake
def _(
    grad: Tensor, x: Tensor, experts: Tensor, weights: Tensor, up: Tensor, down: Tensor, kept: Tensor, act: str,
    gated: bool, wanted: list[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    x_grad, up_grad, down_grad = (_like(t, asked) for t, asked in zip((x, up, down), wanted, strict=True))
    return x_grad, _like(weights, True), up_grad, down_grad


def sort_rows(experts: Tensor, weights: Tensor, count: int) -> tuple[Rows, Tensor]:
    """Pairs of a token and an expert in the order of the experts.

    Args:
        experts: (tokens, k), the chosen ones; -1 for none.
        weights: (tokens, k).
        count: experts in all.

    Returns:
        The rows, and (tokens, k), where each pair went; the number of rows where it went nowhere.
    """
    flat, k = experts.flatten(), experts.shape[1]  # (tokens * k,)
    order = flat.argsort(stable=True)  # pairs without an expert come first
    counts = torch.bincount(flat + 1, minlength=count + 1).tolist()
    dropped = counts[0]
    place = torch.empty_like(order)
    place[order] = torch.arange(-dropped, len(order) - dropped)
    if dropped:
        place[place < 0] = len(order) - dropped
        order = order[dropped:]
    return Rows(counts[1:], order // k, weights.flatten()[order]), place.view(experts.shape)


def _sums(rows: Tensor, place: Tensor, weights: Tensor | None) -> Tensor:
    """(rows + 1, hidden), (tokens, k) -> (tokens, hidden)."""
    weights = None if weights is None else weights.to(rows.dtype)
    # a sum over rows that are looked up: no tensor of (tokens, k, hidden) comes into being
    return F.embedding_bag(place, rows, mode="sum", per_sample_weights=weights)


def _room(keep: bool, slots: int, x: Tensor, up: Tensor) -> Tensor:
    """Where the forward pass leaves what the backward pass needs."""
    return x.new_empty((slots, up.shape[1]) if keep else (0,))


def _like(tensor: Tensor, asked: bool) -> Tensor:
    return torch.empty_like(tensor, memory_format=torch.contiguous_format) if asked else tensor.new_empty(0)


def _of_weights(found: Gradients, up: Tensor, down: Tensor) -> tuple[Tensor, Tensor]:
    return (
        up.new_empty(0) if found.up is None else found.up,
        down.new_empty(0) if found.down is None else found.down,
    )


def _keep_experts(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, counts, up, down, ctx.act, ctx.gated, _ = inputs
    ctx.save_for_backward(x, counts, up, down, output[1])


def _experts_grad(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    x, counts, up, down, kept = ctx.saved_tensors
    asked = [ctx.needs_input_grad[i] for i in (0, 2, 3)]
    grads = experts_backward_op(grad, x, counts, up, down, kept, ctx.act, ctx.gated, asked)
    x_grad, up_grad, down_grad = (g if wanted else None for g, wanted in zip(grads, asked, strict=True))
    return x_grad, None, up_grad, down_grad, None, None, None


def _keep_mixture(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, experts, weights, up, down, ctx.act, ctx.gated, _ = inputs
    ctx.save_for_backward(x, experts, weights, up, down, output[1])


def _mixture_grad(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    x, experts, weights, up, down, kept = ctx.saved_tensors
    asked = [ctx.needs_input_grad[i] for i in (0, 3, 4)]
    grads = mixture_backward_op(grad, x, experts, weights, up, down, kept, ctx.act, ctx.gated, asked)
    x_grad, weight_grad, up_grad, down_grad = grads
    return (
        x_grad if asked[0] else None,
        None,
        weight_grad if ctx.needs_input_grad[2] else None,
        up_grad if asked[1] else None,
        down_grad if asked[2] else None,
        None, None, None,
    )  # fmt: skip


experts_op.register_autograd(_experts_grad, setup_context=_keep_experts)
mixture_op.register_autograd(_mixture_grad, setup_context=_keep_mixture)
