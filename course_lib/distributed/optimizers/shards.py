"""What an optimizer needs to know about sharded parameters: elementwise work is local, a norm is not.

FSDP2 and tensor parallelism hand the optimizer DTensors, of which a rank holds one shard. An elementwise update touches
the shard alone. The norm of a whole parameter needs the squares of all shards: they are summed here for all parameters
at once, so that a step sends one small message per mesh dimension instead of one per parameter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Partial, Replicate


def local_gradient(parameter: Tensor) -> Tensor:
    """The gradient of what this rank holds, laid out as the parameter is.

    Args:
        parameter: any shape, with a gradient.

    Returns:
        A tensor of the local parameter's shape.
    """
    gradient = parameter.grad
    assert gradient is not None
    if isinstance(parameter, DTensor) and isinstance(gradient, DTensor):
        if gradient.placements != parameter.placements:
            gradient = gradient.redistribute(parameter.device_mesh, parameter.placements)
        return gradient.to_local()
    return gradient


def global_norms(locals_: Sequence[Tensor], owners: Sequence[Tensor]) -> Tensor:
    """L2 norms of whole tensors, from the parts that this rank holds.

    Args:
        locals_: this rank's parts, any shapes, float32 or wider.
        owners: for each part the parameter whose layout it has; a DTensor's norm goes over all of its shards.

    Returns:
        norms  # (len(locals_),), the same on all ranks that share a parameter.
    """
    norms = torch.stack(torch._foreach_norm(list(locals_)))  # (tensors,)
    meshes: dict[tuple[DeviceMesh, tuple[int, ...]], list[int]] = defaultdict(list)
    for index, owner in enumerate(owners):
        if isinstance(owner, DTensor):
            if any(isinstance(placement, Partial) for placement in owner.placements):
                raise TypeError(f"a parameter has the placements {owner.placements}; sum its parts first")
            split = tuple(dim for dim, placement in enumerate(owner.placements) if not isinstance(placement, Replicate))
            meshes[owner.device_mesh, split].append(index)
    for (mesh, split), indices in meshes.items():
        where = torch.tensor(indices, device=norms.device)
        # parameters offloaded to the CPU have their norms there, the mesh's messages need its own device
        squares = norms[where].square().to(mesh.device_type)  # (tensors of this layout,)
        for dim in split:
            dist.all_reduce(squares, group=mesh.get_group(dim))
        norms[where] = squares.sqrt().to(norms.device)
    return norms
