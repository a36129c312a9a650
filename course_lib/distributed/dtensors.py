"""Tensors that may be sharded: this rank's part, the whole, and clipping and grouping them over different meshes.

A `DTensor` knows its mesh and how it is laid out on it, so that one function serves plain, tensor-parallel, sharded and
mixed layouts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor


def local(tensor: Tensor) -> Tensor:
    """The part of a tensor that this rank holds: a DTensor's shard, any other tensor itself."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def local_bytes(tensors: Iterable[Tensor]) -> int:
    """Bytes of what this rank holds of some tensors."""
    return sum(local(tensor).nbytes for tensor in tensors)


def whole(value: Tensor) -> Tensor:
    """A tensor in full, gathered on its mesh's devices when it is a `DTensor`."""
    if not isinstance(value, DTensor):
        return value
    full: Tensor = cast(DTensor, value.to(value.device_mesh.device_type)).full_tensor()
    return full


def by_mesh(tensors: Iterable[Tensor]) -> list[list[Tensor]]:
    """Tensors in groups of one mesh each, plain ones in a group of their own.

    Operations on lists, which optimizers and norms use for speed, take no list in which meshes are mixed.
    """
    groups: dict[object, list[Tensor]] = {}
    for tensor in tensors:
        groups.setdefault(tensor.device_mesh if isinstance(tensor, DTensor) else None, []).append(tensor)
    return list(groups.values())


def parameter_groups(parameters: Iterable[nn.Parameter]) -> list[dict[str, Any]]:
    """Parameters as an optimizer takes them, one group per mesh."""
    return [{"params": group} for group in by_mesh(parameters)]


def clip_over_ranks(
    parameters: Iterable[nn.Parameter], limit: float, stages: dist.ProcessGroup | None = None
) -> Tensor:
    """Scale all gradients so that their L2 norm, over all ranks together, is at most `limit`.

    Args:
        parameters: of this rank; DTensors count with what other ranks hold of them, plain ones once.
        limit: largest norm allowed.
        stages: a group of ranks that hold different parameters (pipeline stages).

    Returns:
        The norm before, a scalar, the same on every rank.

    Source: Pascanu et al. 2013 (arXiv:1211.5063) section 3.2.
    """
    groups = by_mesh(p for p in parameters if p.grad is not None)
    devices = [group[0].device for group in groups]
    squares = torch.zeros((), device=devices[0] if devices else "cpu")  # scalar
    for group in groups:
        squares = squares + whole(nn.utils.get_total_norm([p.grad for p in group if p.grad is not None])) ** 2
    if stages is not None:
        dist.all_reduce(squares, group=stages)
    norm = squares.sqrt()
    for group in groups:
        nn.utils.clip_grads_with_norm_(group, limit, norm)
    return norm
