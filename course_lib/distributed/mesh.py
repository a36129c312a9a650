"""Layouts: how many ranks each kind of parallelism takes, and which ranks therefore talk to which.

Ranks are numbered with the tensor axis innermost and the pipeline axis outermost, as Megatron-LM and torchtitan number
them: neighbors in number are neighbors on the fastest links, and the axes speak in the order of that need. Tensor
parallelism sends several times per layer and waits each time; context parallelism once per layer; shards and replicas
once per step or block, beside computation; a pipeline sends one activation per microbatch between two ranks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from course_lib.distributed.errors import TrainingSetupError, check_count

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

AXES = ("pipeline", "data", "shard", "context", "tensor")  # outermost first


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Degrees of parallelism; the ranks that a layout takes are their product.

    Args:
        data: replicas of the (possibly sharded) model, each with its own rows of the batch.
        shard: ranks that share one replica's weights, gradients and optimizer state (FSDP); each has its own rows too.
        pipeline: ranks that share the stack of layers.
        context: ranks that share each sequence.
        tensor: ranks that share each layer's matrices.

    Raises:
        TrainingSetupError: for a degree below 1.

    Source: Shoeybi et al. 2019 (arXiv:1909.08053) and Grattafiori et al. 2024 (arXiv:2407.21783) section 3.3.2, for
        the order of the axes.
    """

    data: int = 1
    shard: int = 1
    pipeline: int = 1
    context: int = 1
    tensor: int = 1

    def __post_init__(self) -> None:
        for axis in AXES:
            check_count(axis, getattr(self, axis))

    @property
    def degrees(self) -> tuple[int, ...]:
        """The degree of each of `AXES`, outermost first."""
        return tuple(getattr(self, axis) for axis in AXES)

    @property
    def ranks(self) -> int:
        """Ranks that the layout takes."""
        return math.prod(self.degrees)

    @property
    def batch_parts(self) -> int:
        """Parts into which the rows of a global batch are divided: data * shard."""
        return self.data * self.shard

    def __str__(self) -> str:
        """The degrees above 1, such as `data 2 x tensor 2`."""
        told = [f"{axis} {degree}" for axis, degree in zip(AXES, self.degrees, strict=True) if degree > 1]
        return " x ".join(told) or "one rank"

    def coordinates(self, rank: int) -> dict[str, int]:
        """Where a rank stands on each axis.

        Args:
            rank: 0 to ranks - 1.

        Returns:
            Axis → coordinate, outermost axis first.
        """
        found = {}
        for axis, degree in zip(reversed(AXES), reversed(self.degrees), strict=True):
            rank, found[axis] = divmod(rank, degree)
        return {axis: found[axis] for axis in AXES}

    def batch_part(self, rank: int) -> int:
        """Which of the `batch_parts` a rank trains on."""
        place = self.coordinates(rank)
        return place["data"] * self.shard + place["shard"]

    def groups(self, axis: str) -> list[list[int]]:
        """The ranks that talk to each other along one axis: they differ in that coordinate only.

        Args:
            axis: one of `AXES`.

        Returns:
            Groups of ranks, each in the order of the coordinate.

        Raises:
            TrainingSetupError: for an unknown axis.
        """
        if axis not in AXES:
            raise TrainingSetupError.of("axis", axis, "is not known", f"use one of {', '.join(AXES)}")
        found: dict[tuple[int, ...], list[int]] = {}
        for rank in range(self.ranks):
            others = tuple(place for name, place in self.coordinates(rank).items() if name != axis)
            found.setdefault(others, []).append(rank)
        return list(found.values())

    def table(self) -> list[dict[str, int]]:
        """One row per rank with its coordinates on the axes that the layout uses, for a table or a picture."""
        used = [axis for axis, degree in zip(AXES, self.degrees, strict=True) if degree > 1]
        return [{"rank": rank} | {axis: self.coordinates(rank)[axis] for axis in used} for rank in range(self.ranks)]

    def check(self, world_size: int) -> None:
        """Raise `TrainingSetupError` unless the layout takes exactly the ranks that there are.

        Args:
            world_size: ranks of the process group.
        """
        if self.ranks == world_size:
            return
        told = " * ".join(f"{axis}={degree}" for axis, degree in zip(AXES, self.degrees, strict=True))
        raise TrainingSetupError.of(
            "layout",
            str(self),
            f"takes {told} = {self.ranks} ranks where there are {world_size}",
            self._fix(world_size),
        )

    def _fix(self, world_size: int) -> str:
        """The smallest change that makes the layout fit: one degree, else the number of ranks."""
        for axis in ("data", "shard", "pipeline", "context", "tensor"):
            others = self.ranks // getattr(self, axis)
            if world_size % others == 0:
                return f"set {axis}={world_size // others}, or start {self.ranks} ranks"
        return f"start {self.ranks} ranks"


def build_mesh(layout: Layout, device_type: str = "cpu") -> DeviceMesh:
    """The layout as a mesh with named axes; every rank of the default process group must call it.

    Args:
        layout: must take as many ranks as there are.
        device_type: "cpu", "cuda", ...

    Returns:
        A mesh with the axes `AXES`; `mesh["tensor"]` is this rank's group along one of them.

    Raises:
        TrainingSetupError: when the layout takes another number of ranks.
    """
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh

    layout.check(dist.get_world_size())
    return init_device_mesh(device_type, layout.degrees, mesh_dim_names=AXES)


def build_state_mesh(layout: Layout, device_type: str = "cpu") -> DeviceMesh:
    """The same ranks seen by the model's state: context ranks hold the same weights, so they shard them as well.

    Args:
        layout: must take as many ranks as there are.
        device_type: "cpu", "cuda", ...

    Returns:
        A mesh with the axes pipeline, data, shard (shard * context ranks; data * context ranks stand in "data" when
        nothing is sharded) and tensor. Ranks are numbered as in `build_mesh`.

    Raises:
        TrainingSetupError: when the layout takes another number of ranks.

    Source: torchtitan's `fsdp` mesh, the product of its dp_shard and cp axes.
    """
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh

    layout.check(dist.get_world_size())
    if layout.shard > 1:
        replicas, shards = layout.data, layout.shard * layout.context
    else:
        replicas, shards = layout.data * layout.context, 1
    return init_device_mesh(
        device_type,
        (layout.pipeline, replicas, shards, layout.tensor),
        mesh_dim_names=("pipeline", "data", "shard", "tensor"),
    )
