"""Sharded data parallel, what engines "fsdp" and "hybrid" have in common: `fully_shard` applied to a GPT.

Every block is a group: its weights are gathered before it runs and given up after it. What lies outside the blocks
(embedding, final norm, output matrix) is the last group, which stays gathered from the forward to the backward pass.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, MixedPrecisionPolicy, OffloadPolicy, fully_shard

from course_lib.distributed.accumulation import accumulating
from course_lib.distributed.config import TrainConfig
from course_lib.distributed.dtensors import clip_over_ranks, local_bytes, whole
from course_lib.distributed.engine import Engine
from course_lib.distributed.errors import check_count
from course_lib.distributed.local_rank import local_rank
from course_lib.distributed.model_parts import build_model, build_optimizer
from course_lib.distributed.recompute import blocks_of
from course_lib.distributed.reductions import mean_over_ranks
from course_lib.distributed.share import Share
from course_lib.runtime import Hardware


@dataclass(frozen=True)
class Sharding:
    """How a model is sharded; see `fsdp` for the fields."""

    reshard_after_forward: bool
    offload: bool
    prefetch: int
    skip_sync: bool


def sharded_engine(name: str, config: TrainConfig, machine: Hardware, mesh: DeviceMesh, how: Sharding) -> Engine:
    """The engine over a mesh of one dimension (shard) or two (replicate, shard); every rank of it is data-parallel."""
    share = Share(mesh.get_rank(), mesh.size())
    share.check(config)
    # Built on the CPU: `fully_shard` brings one group after the other to the device, which never holds the whole model.
    model = build_model(config, torch.device("cpu"))
    root = shard(model, mesh, how, config)

    def sync(last: bool) -> AbstractContextManager[object]:
        root.set_requires_gradient_sync(last or not how.skip_sync)
        return nullcontext()

    return Engine(
        name=name,
        config=config,
        model=model,
        optimizer=build_optimizer(config, model.parameters()),
        share=share,
        forward_backward=accumulating(
            model, config, share, machine.device(local_rank()), sync=sync, autocast=False, mean=mean_over_ranks
        ),
        full_state=lambda: gathered_state(model),
        mean=mean_over_ranks,
        clip=lambda limit: clip_over_ranks(model.parameters(), limit),
    )


def shard(model: nn.Module, mesh: DeviceMesh, how: Sharding, config: TrainConfig) -> FSDPModule:
    """Shard a model in place, block by block and the rest last; its parameters become `DTensor`s.

    Returns:
        The same model, with the methods that `fully_shard` has given it.
    """
    check_count("prefetch", how.prefetch, minimum=0)
    half = config.precision == "bf16"
    precision = MixedPrecisionPolicy(torch.bfloat16, torch.float32) if half else MixedPrecisionPolicy()
    offload = CPUOffloadPolicy(pin_memory=mesh.device_type != "cpu") if how.offload else OffloadPolicy()
    blocks: list[FSDPModule] = []
    for block in blocks_of(model):
        blocks.append(
            fully_shard(
                block,
                mesh=mesh,
                reshard_after_forward=how.reshard_after_forward,
                mp_policy=precision,
                offload_policy=offload,
            )
        )
    # left to itself, the root stays gathered: the backward pass begins with it
    root = fully_shard(model, mesh=mesh, mp_policy=precision, offload_policy=offload)
    if how.prefetch:
        for here, group in enumerate(blocks):
            group.set_modules_to_forward_prefetch(blocks[here + 1 : here + 1 + how.prefetch])
            group.set_modules_to_backward_prefetch(blocks[max(0, here - how.prefetch) : here][::-1])
    return root


def gathered_state(model: nn.Module) -> dict[str, Tensor]:
    """The whole weights of a sharded model, on the CPU of every rank; every rank must call it.

    One parameter after the other is gathered on the device, which needs room for the largest only.
    """
    return {name: whole(value.detach()).cpu().clone() for name, value in model.state_dict().items()}


def parameter_bytes(model: nn.Module) -> int:
    """Bytes of parameters that this rank holds for a model just now: shards, and in full what is gathered."""
    return local_bytes(model.parameters())
