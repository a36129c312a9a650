"""Expert parallelism as an engine: every rank trains on its own rows, and ranks share the experts of each layer.

Two kinds of parameters, and so two kinds of averages. Everything but the experts lies on all ranks, each of which saw
its own rows: gradients are averaged over all. An expert lies on as many ranks as there are replicas, and the backward
all-to-all has brought it the gradients of the rows of all ranks of its replica: they are summed over the replicas and
divided by the number of *all* ranks, since the loss is a mean over all rows.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed._composable.replicate_with_fsdp import replicate
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from course_lib.distributed import (
    Engine,
    Share,
    TrainConfig,
    TrainingSetupError,
    accumulating,
    build_optimizer,
    clip_over_ranks,
    finish_blocks,
    gathered_state,
    local_rank,
    mean_over_ranks,
    parameter_groups,
)
from course_lib.models import Batch
from course_lib.moe.errors import check_count
from course_lib.moe.expert_parallel.experts import ExchangeForm
from course_lib.moe.expert_parallel.placement import expert_parameters, share_experts, sum_expert_gradients
from course_lib.moe.model import moe_layers
from course_lib.runtime import Hardware


def expert_parallel(
    config: TrainConfig,
    machine: Hardware,
    *,
    expert_ranks: int | None = None,
    exchange: ExchangeForm = "variable",
    shard_dense: bool = False,
) -> Engine:
    """Train a mixture of experts with each layer's experts shared by ranks; to be given to `run` or `build_engine`.

    Args:
        config: of the run, with experts: a `MoETrainConfig`. Its global batch must divide by the world size.
        machine: the hardware.
        expert_ranks: ranks that share the experts of one replica, neighbors by number; must divide the experts and the
            ranks. All ranks when left out; 1 gives every rank all experts, which is data parallelism.
        exchange: "variable" sends the rows there are, after their counts; "capacity" sends equal padded blocks of
            capacity_factor * tokens * k / experts rows, which the layer must have been told to keep to.
        shard_dense: share everything but the experts by FSDP over all ranks, instead of a copy on each.

    Raises:
        MoEError: when the ranks can't share the experts equally, or "capacity" is asked for without a capacity factor.
        TrainingSetupError: for a model without experts, ranks that don't divide, or a batch that doesn't.

    Source: Lepikhin et al. 2020 (arXiv:2006.16668) section 3.3; Rajbhandari et al. 2022 (arXiv:2201.05596) section 5,
        for expert beside data parallelism.
    """
    mesh = expert_mesh(expert_ranks, machine.kind)
    share = Share(dist.get_rank(), dist.get_world_size())
    share.check(config)
    device = machine.device(local_rank())
    model = config.build_model().to(device)
    if not moe_layers(model):
        raise TrainingSetupError.of("config", config.model.name, "has no experts to share", "use a MoETrainConfig")
    share_experts(model, mesh, exchange)
    finish_blocks(config, model)
    experts = expert_parameters(model)
    spread_dense(model, machine.kind, experts, shard_dense)

    def sync(last: bool) -> AbstractContextManager[object]:
        if isinstance(model, FSDPModule):
            model.set_requires_gradient_sync(last)
        return nullcontext()

    accumulate = accumulating(model, config, share, device, sync=sync, mean=mean_over_ranks)

    def forward_backward(batch: Batch) -> Tensor:
        loss = accumulate(batch)
        sum_expert_gradients(experts, mesh)
        return loss

    return Engine(
        name="expert_parallel",
        config=config,
        model=model,
        optimizer=build_optimizer(config, parameter_groups(model.parameters())),
        share=share,
        forward_backward=forward_backward,
        full_state=lambda: gathered_state(model),
        mean=mean_over_ranks,
        clip=lambda limit: clip_over_ranks(model.parameters(), limit),
    )


def expert_mesh(expert_ranks: int | None, device_type: str = "cpu") -> DeviceMesh:
    """All ranks as replicas by expert ranks, axes "data" and "expert"; every rank must call it.

    Args:
        expert_ranks: ranks of one replica; all when left out.
        device_type: "cpu", "cuda", ...

    Raises:
        TrainingSetupError: when expert_ranks does not divide the world size.
    """
    world = dist.get_world_size()
    ranks = world if expert_ranks is None else expert_ranks
    check_count("expert_ranks", ranks)
    if world % ranks:
        fitting = ", ".join(str(n) for n in range(1, world + 1) if world % n == 0)
        raise TrainingSetupError.of(
            "expert_ranks", ranks, f"does not divide the {world} ranks of this run", f"use one of {fitting}"
        )
    return init_device_mesh(device_type, (world // ranks, ranks), mesh_dim_names=("data", "expert"))


def spread_dense(model: nn.Module, device_type: str, experts: list[nn.Parameter], sharded: bool) -> None:
    """Average the gradients of everything but the experts over all ranks, or share it among them; in place.

    Args:
        model: in its final shape.
        device_type: "cpu", "cuda", ...
        experts: the parameters to leave alone.
        sharded: FSDP instead of a copy on each rank.
    """
    if dist.get_world_size() == 1:
        return
    mesh = init_device_mesh(device_type, (dist.get_world_size(),), mesh_dim_names=("rank",))
    apply = fully_shard if sharded else replicate
    blocks = model.layers.values()  # type: ignore[operator]
    for part in (*blocks, model):
        apply(part, mesh=mesh, ignored_params=set(experts))
