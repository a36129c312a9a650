"""Fully sharded data parallel: every rank holds an equal part of each weight, gradient and optimizer state.

A block's weights are gathered when it is about to run and given up afterwards; its gradients are averaged and cut up
in one exchange. Over gloo, NCCL, Neuron and HCCL alike.
"""

from __future__ import annotations

import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh

from course_lib.distributed.config import TrainConfig
from course_lib.distributed.engine import Engine
from course_lib.distributed.sharding import Sharding, sharded_engine
from course_lib.runtime import Hardware


def fsdp(
    config: TrainConfig,
    machine: Hardware,
    *,
    reshard_after_forward: bool = True,
    offload: bool = False,
    prefetch: int = 0,
    skip_sync: bool = True,
) -> Engine:
    """Train with `fully_shard` (FSDP2) over all ranks.

    With config.precision "bf16", weights are gathered and used in bf16 while shards, the sum of gradients over ranks
    and the optimizer stay in fp32.

    Args:
        config: of the run; its global batch must divide by the world size.
        machine: the hardware.
        reshard_after_forward: True gives a block's weights up after its forward pass and gathers them again for the
            backward pass (ZeRO-3); False keeps them until then: a third less traffic, and at the end of the forward
            pass the whole model on each rank (as ZeRO-2).
        offload: shards, gradients and optimizer live in the host's memory; changes nothing on the CPU.
        prefetch: blocks that are gathered ahead of the one that runs; 0 leaves it to PyTorch (backward: one ahead;
            forward: as far as the host runs ahead of the device).
        skip_sync: exchange gradients at the last microbatch of a step only. Until then each rank holds gradients of
            the whole model, in place of its part of them.

    Raises:
        TrainingSetupError: when the batch can't be shared equally, or prefetch is negative.

    Source: Rajbhandari et al. 2020 (arXiv:1910.02054) section 5 for the stages; Zhao et al. 2023 (arXiv:2304.11277).
    """
    mesh = init_device_mesh(machine.kind, (dist.get_world_size(),), mesh_dim_names=("shard",))
    return sharded_engine("fsdp", config, machine, mesh, Sharding(reshard_after_forward, offload, prefetch, skip_sync))
