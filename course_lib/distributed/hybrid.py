"""Hybrid sharding: the model is sharded inside of each group of ranks, and the groups are replicas of one another.

With a group per machine, weights travel over the fast links inside of it only, and the slow network between machines
carries nothing but the sum of gradients, of which each rank has its part.
"""

from __future__ import annotations

import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh

from course_lib.distributed.config import TrainConfig
from course_lib.distributed.engine import Engine
from course_lib.distributed.errors import TrainingSetupError, check_count
from course_lib.distributed.sharding import Sharding, sharded_engine
from course_lib.runtime import Hardware


def hybrid(
    config: TrainConfig,
    machine: Hardware,
    *,
    shard_ranks: int = 2,
    reshard_after_forward: bool = True,
    offload: bool = False,
    prefetch: int = 0,
    skip_sync: bool = True,
) -> Engine:
    """Train with `fully_shard` over a mesh of replicas by shards (HSDP).

    Args:
        config: of the run; its global batch must divide by the world size.
        machine: the hardware.
        shard_ranks: ranks that share one copy of the model, neighbors by number: those of one machine, as a rule. Must
            divide the world size.
        reshard_after_forward, offload, prefetch, skip_sync: as in `fsdp`.

    Raises:
        TrainingSetupError: when shard_ranks does not divide the world size, or the batch can't be shared equally.

    Source: Zhao et al. 2023 (arXiv:2304.11277) section 3.2.2.
    """
    mesh = init_device_mesh(machine.kind, mesh_shape(shard_ranks), mesh_dim_names=("replicate", "shard"))
    how = Sharding(reshard_after_forward, offload, prefetch, skip_sync)
    return sharded_engine("hybrid", config, machine, mesh, how)


def mesh_shape(shard_ranks: int) -> tuple[int, int]:
    """Replicas and ranks of each, for the default process group.

    Raises:
        TrainingSetupError: when shard_ranks does not divide the world size.
    """
    check_count("shard_ranks", shard_ranks)
    world = dist.get_world_size()
    if world % shard_ranks:
        fitting = ", ".join(str(n) for n in range(1, world + 1) if world % n == 0)
        raise TrainingSetupError.of(
            "shard_ranks", shard_ranks, f"does not divide the {world} ranks of this run", f"use one of {fitting}"
        )
    return world // shard_ranks, shard_ranks
