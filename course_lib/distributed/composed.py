"""Several parallelisms at once: a layout says how many ranks each takes, and every rank applies them to its part.

The order is fixed by what each must see: the pipeline cuts the stack of layers first; tensor parallelism cuts matrices,
context parallelism changes the attention between them; recomputation and compilation wrap whole blocks as they are by
then; sharding or replication comes last, since it must find each parameter in its final shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed._composable.replicate_with_fsdp import replicate
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule

from course_lib.distributed.accumulation import accumulating
from course_lib.distributed.config import TrainConfig
from course_lib.distributed.context import AttentionKind, attention_core, check_context, give_positions, use_core
from course_lib.distributed.dtensors import clip_over_ranks, parameter_groups
from course_lib.distributed.engine import Engine
from course_lib.distributed.errors import TrainingSetupError
from course_lib.distributed.local_rank import local_rank
from course_lib.distributed.mesh import Layout, build_mesh, build_state_mesh
from course_lib.distributed.model_parts import build_optimizer, finish_blocks
from course_lib.distributed.pipe import build_pipe
from course_lib.distributed.pipeline_schedules import PipelineSchedule
from course_lib.distributed.reductions import sum_over_ranks
from course_lib.distributed.sequence_shards import Placement, shard_of_batch, shard_positions
from course_lib.distributed.sharding import Sharding, gathered_state, shard
from course_lib.distributed.share import Share
from course_lib.distributed.tensor import check_tensor, loss_context, parallelize_tensor, whole_loss
from course_lib.models import GPT, Batch
from course_lib.runtime import Hardware


def composed(
    config: TrainConfig,
    machine: Hardware,
    *,
    layout: Layout = Layout(),  # noqa: B008 - frozen
    sequence_parallel: bool = True,
    split_loss: bool | None = None,
    attention: AttentionKind = "ring",
    placement: Placement | None = None,
    pipeline_schedule: PipelineSchedule = "1f1b",
    virtual_stages: int = 1,
    layers_per_stage: Sequence[int] | None = None,
    reshard_after_forward: bool | None = None,
) -> Engine:
    """Train with any of data, shard, pipeline, context and tensor parallelism together.

    Args:
        config: of the run.
        machine: the hardware.
        layout: ranks of each parallelism; they must multiply to the world size.
        sequence_parallel, split_loss: as in `tensor`; without effect unless layout.tensor is 2 or more. split_loss left
            out is True, but False under a zero-bubble schedule.
        attention, placement: as in `context`; without effect unless layout.context is 2 or more.
        pipeline_schedule, virtual_stages, layers_per_stage: as in `pipeline`; without effect unless layout.pipeline is
            2 or more.
        reshard_after_forward: as in `fsdp`; without effect unless layout.shard is 2 or more. Left out, it is True
            without a pipeline and False with one, which would gather weights anew for every microbatch.

    Raises:
        TrainingSetupError: when the layout does not fit the ranks, the shape or the batch.

    Source: Narayanan et al. 2021 (arXiv:2104.04473) section 3; Liang et al. 2024 (arXiv:2410.06511, torchtitan) for the
        order.
    """
    if not isinstance(layout, Layout):
        raise TrainingSetupError.of("layout", layout, "is no Layout", "use Layout(data=2, tensor=2)")
    mesh, state = build_mesh(layout, machine.kind), build_state_mesh(layout, machine.kind)
    share = Share(layout.batch_part(dist.get_rank()), layout.batch_parts)
    share.check(config)
    if layout.tensor > 1:
        check_tensor(config.model, layout.tensor)
    placed = check_context(
        config.model, config.sequence_length, layout.context, attention, placement, tensor_ranks=layout.tensor
    )
    if layout.tensor > 1 and sequence_parallel:
        check_tensor(config.model, layout.tensor, config.sequence_length // layout.context)
    zero_bubble = layout.pipeline > 1 and pipeline_schedule in ("zb1p", "zbv")
    split = layout.tensor > 1 and (split_loss if split_loss is not None else not zero_bubble)
    reshard = reshard_after_forward if reshard_after_forward is not None else layout.pipeline == 1
    if zero_bubble:
        check_zero_bubble(pipeline_schedule, layout, split, reshard)
    device = machine.device(local_rank())
    positions = shard_positions(config.sequence_length, layout.context, mesh.get_local_rank("context"), placed)

    def prepare(part: GPT) -> None:
        if layout.tensor > 1:
            parallelize_tensor(part, state["tensor"], sequence_parallel=sequence_parallel, split_loss=split)
        if layout.context > 1:
            use_core(part, attention_core(attention, placed, mesh.get_group("context")))
        give_positions(part, positions.to(device))
        finish_blocks(config, part)
        spread(part, state, layout, config, reshard)

    sharded_loss = loss_context(split)
    autocast = layout.shard == 1  # sharded weights are gathered in bf16 instead
    if layout.pipeline > 1:
        pipe = build_pipe(
            config,
            share,
            mesh.get_group("pipeline"),
            device,
            schedule=pipeline_schedule,
            virtual_stages=virtual_stages,
            layers_per_stage=layers_per_stage,
            loss_of=whole_loss,
            prepare=prepare,
            autocast=autocast,
        )
        model: nn.Module = pipe.parts
    else:
        model = GPT(config.model, seed=config.seed).to(device)
        prepare(model)

        def sync(last: bool) -> AbstractContextManager[object]:
            if isinstance(model, FSDPModule):
                model.set_requires_gradient_sync(last)
            return sharded_loss(last)

        accumulate = accumulating(model, config, share, device, sync=sync, autocast=autocast, loss_of=whole_loss)

    def forward_backward(batch: Batch) -> Tensor:
        columns = shard_of_batch(batch, positions)
        if layout.pipeline == 1:
            return accumulate(columns)
        with sharded_loss(True):
            return pipe.step(columns)

    # each rank adds its part's loss: as often as there are tensor ranks, and 0 where the pipeline does not end
    copies = layout.tensor * layout.batch_parts * layout.context
    stages = mesh.get_group("pipeline") if layout.pipeline > 1 else None
    return Engine(
        name="composed",
        config=config,
        model=model,
        optimizer=build_optimizer(config, parameter_groups(model.parameters())),
        share=share,
        forward_backward=forward_backward,
        full_state=lambda: pipe.whole_state(gathered_state) if layout.pipeline > 1 else gathered_state(model),
        mean=lambda value: sum_over_ranks(value) / copies,
        clip=lambda limit: clip_over_ranks(model.parameters(), limit, stages),
    )


def check_zero_bubble(schedule: str, layout: Layout, split_loss: bool, reshard_after_forward: bool) -> None:
    """Raise `TrainingSetupError` for what PyTorch (2.13) can't do when a backward pass is split in two."""
    if split_loss:
        raise TrainingSetupError.of(
            "split_loss", True, f"fails under {schedule!r}: its backward pass can't be split in two", "leave it out"
        )
    if layout.shard > 1 and reshard_after_forward:
        raise TrainingSetupError.of(
            "reshard_after_forward",
            True,
            f"gives wrong gradients under {schedule!r}: weights are given up between the two halves of a backward pass",
            "leave it out",
        )


def spread(part: GPT, state: DeviceMesh, layout: Layout, config: TrainConfig, reshard_after_forward: bool) -> None:
    """Shard a model's state over ranks, or keep a copy on each and average gradients; in place.

    Args:
        part: the model, or a pipeline stage of it, in its final shape.
        state: see `build_state_mesh`.
        layout: with layout.shard of 2 or more, state is sharded, and replicated besides if layout.data is.
        config: of the run.
        reshard_after_forward: as in `fsdp`.
    """
    if layout.shard > 1:
        over = state["data", "shard"] if layout.data > 1 else state["shard"]
        shard(part, over, Sharding(reshard_after_forward, offload=False, prefetch=0, skip_sync=True), config)
    elif state["data"].size() > 1:
        # not DDP, whose buckets know nothing of DTensors
        for block in part.layers.values():
            replicate(block, mesh=state["data"])
        replicate(part, mesh=state["data"])
