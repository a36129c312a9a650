"""Experts as grouped matmuls, the fast form: tokens are sorted by expert, and none is dropped, padded or copied twice.

On a CPU each expert's rows run through small buffers (`cpu_kernels`); elsewhere, and in exported programs, PyTorch's
grouped matmul does all experts in one call; what it does not take goes expert by expert.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import is_fake

from course_lib.moe.activations import nonlinear
from course_lib.moe.cpu_ops import experts_op, mixture, mixture_op
from course_lib.moe.errors import MoEError
from course_lib.moe.loop import experts_by_loop, mixture_by_loop


def experts_by_group(
    x: Tensor, counts: Tensor, up: Tensor, down: Tensor, *, activation: str = "silu", gated: bool = True
) -> Tensor:
    """`experts_by_loop`, faster; same arguments, same result."""
    x = _autocast(x)
    if not _in_cpu_kernels(x):
        if not _fits_one_call(x, down):
            up, down = up.to(x.dtype), down.to(x.dtype)
            return experts_by_loop(x, counts, up, down, activation=activation, gated=gated)
        return experts_in_one_call(x, counts, up, down, activation=activation, gated=gated)
    check_shapes(x, up, down, gated)
    out: Tensor = experts_op(x, counts, up, down, activation, gated, _keeps(x, up, down))[0]
    return out


def mixture_by_group(
    x: Tensor,
    experts: Tensor,
    weights: Tensor,
    up: Tensor,
    down: Tensor,
    *,
    activation: str = "silu",
    gated: bool = True,
) -> Tensor:
    """Each token's sum over its experts of weight * expert(x): gather, `experts_by_group` and scatter in one.

    Args:
        x: (tokens, hidden).
        experts: (tokens, k) of int64; -1 where a token has none.
        weights: (tokens, k).
        up, down, activation, gated: as in `experts_by_loop`.

    Returns:
        (tokens, hidden) of x's type; under autocast, of autocast's.

    Source: Gale et al. 2022 (arXiv:2211.15841) section 4, for mixtures without capacity.
    """
    check_shapes(x, up, down, gated)
    x = _autocast(x)
    if _in_cpu_kernels(x):
        keep = _keeps(x, weights, up, down)
        # an operator costs a tenth of a millisecond, as much as several experts with one token each
        run = mixture_op if keep or x.is_meta or torch.compiler.is_compiling() or is_fake(x) else mixture
        out: Tensor = run(x, experts, weights, up, down, activation, gated, keep)[0]
        return out
    if not _fits_one_call(x, down):
        up, down = up.to(x.dtype), down.to(x.dtype)
        return mixture_by_loop(x, experts, weights, up, down, activation=activation, gated=gated)
    k, flat = experts.shape[1], experts.flatten()
    order = torch.where(flat < 0, len(up), flat).argsort(stable=True)  # (tokens * k,), pairs without an expert last
    counts = (flat[:, None] == torch.arange(len(up), device=x.device)).sum(0)  # (experts,)
    token = order // k
    beyond = (torch.arange(len(order), device=x.device) >= counts.sum())[:, None]  # (tokens * k, 1)
    # A grouped matmul leaves rows beyond the last expert's as whatever the memory held, in its gradients too, which a
    # weight of 0 would not undo: both are masked, the outputs below and, by way of x's rows, their gradients here.
    given = x[token].masked_fill(beyond, 0)
    worked = experts_in_one_call(given, counts, up, down, activation=activation, gated=gated)
    worked = worked.masked_fill(beyond, 0) * weights.flatten()[order, None].to(worked.dtype)
    return torch.zeros_like(x).index_add(0, token, worked)


def experts_in_one_call(
    x: Tensor, counts: Tensor, up: Tensor, down: Tensor, *, activation: str = "silu", gated: bool = True
) -> Tensor:
    """`experts_by_loop` by PyTorch's grouped matmul: one call for all experts' first matrices, one for the second.

    A row of a matrix must be a whole multiple of 16 bytes long. Rows of x beyond the sum of counts are not worked on.
    """
    ends = counts.cumsum(0).int()  # (experts,)
    up, down = up.to(x.dtype), down.to(x.dtype)
    projected = F.grouped_mm(x, up.transpose(1, 2), offs=ends)  # (slots, 2 inner) or (slots, inner)
    return F.grouped_mm(nonlinear(projected, activation, gated), down.transpose(1, 2), offs=ends)


def check_shapes(x: Tensor, up: Tensor, down: Tensor, gated: bool) -> None:
    """Raise `MoEError` unless experts of these shapes take rows of x."""
    count, hidden, inner = down.shape
    expected = (count, (2 if gated else 1) * inner, hidden)
    if tuple(up.shape) != expected:
        raise MoEError.of("up", tuple(up.shape), f"must be {expected} beside down {tuple(down.shape)}", "match them")
    if x.dim() != 2 or x.shape[1] != hidden:
        raise MoEError.of("x", tuple(x.shape), f"must be (rows, {hidden})", "match hidden_size")


def _autocast(x: Tensor) -> Tensor:
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x


def _in_cpu_kernels(x: Tensor) -> bool:
    return x.device.type in ("cpu", "meta") and not torch.compiler.is_exporting()


def _fits_one_call(x: Tensor, down: Tensor) -> bool:
    """Whether rows are whole multiples of 16 bytes; compiled, a grouped matmul takes bf16 alone."""
    whole = all(width * x.element_size() % 16 == 0 for width in down.shape[1:])
    compiled = torch.compiler.is_compiling() and not torch.compiler.is_exporting()
    return torch.compiler.is_exporting() or (whole and (x.dtype == torch.bfloat16 or not compiled))


def _keeps(*tensors: Tensor) -> bool:
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
