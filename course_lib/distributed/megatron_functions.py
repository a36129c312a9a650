"""Tensor parallelism from scratch: Megatron's conjugate operators f and g, and the two linear layers made of them.

The engine "tensor" leaves all this to DTensor; these thirty lines are what DTensor does for a pair of matrices. Where
one operator's forward pass communicates, its partner's backward pass does, and the other way round.

Source: Shoeybi et al. 2019 (arXiv:1909.08053) section 3 for f and g; Korthikanti et al. 2022 (arXiv:2205.05198) section
4.2.2 for their forms that gather and scatter along the sequence.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

Group = dist.ProcessGroup | None


class _CopyToRanks(torch.autograd.Function):
    """f: the identity forward; backward, the sum of the gradients, since each rank used x for its own columns."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Group) -> Tensor:
        ctx.group = group
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return _sum(grads[0], ctx.group), None


class _SumOverRanks(torch.autograd.Function):
    """g: the sum of the ranks' partial products forward; backward, the identity, since a sum hands its gradient on."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Group) -> Tensor:
        return _sum(x, group)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None


class _GatherSequence(torch.autograd.Function):
    """g-bar: slices (batch, seq / ranks, hidden) become the whole sequence; backward sums and hands out slices."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Group) -> Tensor:
        ctx.group = group
        return _gather(x, group)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return _sum_slices(grads[0], ctx.group), None


class _ScatterSequence(torch.autograd.Function):
    """Conjugate of g-bar: partial products are summed and handed out in slices; backward gathers the slices."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Group) -> Tensor:
        ctx.group = group
        return _sum_slices(x, group)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return _gather(grads[0], ctx.group), None


def copy_to_ranks(x: Tensor, group: Group = None) -> Tensor:
    """f: x itself; its gradient is summed over the group. x has any shape and is the same on every rank."""
    out: Tensor = _CopyToRanks.apply(x, group)  # type: ignore[no-untyped-call]
    return out


def sum_over_ranks(x: Tensor, group: Group = None) -> Tensor:
    """g: the sum of the ranks' x (any shape); its gradient passes unchanged."""
    out: Tensor = _SumOverRanks.apply(x, group)  # type: ignore[no-untyped-call]
    return out


def gather_sequence(x: Tensor, group: Group = None) -> Tensor:
    """(batch, seq / ranks, hidden) -> (batch, seq, hidden), the ranks' slices in their order."""
    out: Tensor = _GatherSequence.apply(x, group)  # type: ignore[no-untyped-call]
    return out


def scatter_sequence(x: Tensor, group: Group = None) -> Tensor:
    """Partial sums (batch, seq, hidden) -> this rank's slice (batch, seq / ranks, hidden) of their sum."""
    out: Tensor = _ScatterSequence.apply(x, group)  # type: ignore[no-untyped-call]
    return out


def my_columns(weight: Tensor, group: Group = None) -> Tensor:
    """This rank's output features of a linear layer's weight (out, in) or bias (out,): its first axis, divided."""
    return weight.chunk(dist.get_world_size(group), dim=0)[dist.get_rank(group)].contiguous()


def my_rows(weight: Tensor, group: Group = None) -> Tensor:
    """This rank's input features of a linear layer's weight (out, in): its second axis, divided."""
    return weight.chunk(dist.get_world_size(group), dim=1)[dist.get_rank(group)].contiguous()


def column_linear(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, group: Group = None, *, sequence_parallel: bool = False
) -> Tensor:
    """A linear layer of which each rank computes some output features.

    Args:
        x: (batch, seq, in), the same on every rank; (batch, seq / ranks, in) with `sequence_parallel`.
        weight: (out / ranks, in), this rank's, see `my_columns`.
        bias: (out / ranks,).
        group: the tensor-parallel ranks; the default group when left out.
        sequence_parallel: x is divided along the sequence.

    Returns:
        (batch, seq, out / ranks).
    """
    x = gather_sequence(x, group) if sequence_parallel else copy_to_ranks(x, group)
    return F.linear(x, weight, bias)


def row_linear(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, group: Group = None, *, sequence_parallel: bool = False
) -> Tensor:
    """A linear layer of which each rank has some input features; the ranks' partial products are summed.

    Args:
        x: (batch, seq, in / ranks), as `column_linear` leaves it.
        weight: (out, in / ranks), this rank's, see `my_rows`.
        bias: (out,), whole; added once, after the sum.
        group: the tensor-parallel ranks; the default group when left out.
        sequence_parallel: hand out the sum in slices of the sequence.

    Returns:
        (batch, seq, out), the same on every rank; (batch, seq / ranks, out) with `sequence_parallel`. In that case a
        bias sees only this rank's tokens, so that its gradient is still to be summed over the group.
    """
    partial = F.linear(x, weight)  # (batch, seq, out)
    summed = scatter_sequence(partial, group) if sequence_parallel else sum_over_ranks(partial, group)
    return summed if bias is None else summed + bias


def _sum(x: Tensor, group: Group) -> Tensor:
    total = x.contiguous().clone()
    dist.all_reduce(total, group=group)
    return total


def _gather(x: Tensor, group: Group) -> Tensor:
    parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(dist.get_world_size(group))]
    dist.all_gather(parts, x.contiguous(), group=group)
    return torch.cat(parts, dim=1)


def _sum_slices(x: Tensor, group: Group) -> Tensor:
    ranks = dist.get_world_size(group)
    if x.shape[1] % ranks:
        raise ValueError(
            f"a sequence of {x.shape[1]} tokens can't be shared equally by {ranks} ranks. Remedy: use "
            f"{-(-x.shape[1] // ranks) * ranks}."
        )
    slices = torch.stack(x.chunk(ranks, dim=1))  # (ranks, batch, seq / ranks, hidden)
    mine = torch.empty_like(slices[0])
    dist.reduce_scatter_single(mine, slices.flatten(0, 1), group=group)
    return mine
