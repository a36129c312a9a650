"""Tensor parallelism: the ranks share each layer's matrices, and each computes with its own columns or rows.

The first matrix of a pair is cut by columns, so that a rank gets whole heads or whole hidden units, and the second by
rows, so that its output is a sum over ranks: one all-reduce per pair and pass. With `sequence_parallel` that sum is
handed out in slices of the sequence, and the norms and the residual path, which tensor parallelism leaves whole on
every rank, are divided as well at the same cost in bytes.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import cast

import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    ParallelStyle,
    PrepareModuleInput,
    RowwiseParallel,
    SequenceParallel,
    loss_parallel,
    parallelize_module,
)

from course_lib.catalog import ModelConfig
from course_lib.distributed.accumulation import Sync, accumulating
from course_lib.distributed.config import TrainConfig
from course_lib.distributed.dtensors import clip_over_ranks, parameter_groups, whole
from course_lib.distributed.engine import Engine
from course_lib.distributed.errors import TrainingSetupError, check_divides
from course_lib.distributed.local_rank import local_rank
from course_lib.distributed.mesh import Layout, build_mesh
from course_lib.distributed.model_parts import build_optimizer, finish_blocks
from course_lib.distributed.sharding import gathered_state
from course_lib.distributed.share import Share
from course_lib.models import GPT, Block, language_model_loss
from course_lib.runtime import Hardware


def tensor(
    config: TrainConfig, machine: Hardware, *, sequence_parallel: bool = True, split_loss: bool = True
) -> Engine:
    """Train with the layers' matrices shared by all ranks of the default process group; all see the same rows.

    Args:
        config: of the run; heads, kv_heads, feed-forward width and vocabulary must divide by the ranks.
        machine: the hardware.
        sequence_parallel: share the norms and the residual path along the sequence too.
        split_loss: leave the logits divided along the vocabulary and take the loss from the parts (loss parallel).

    Raises:
        TrainingSetupError: when the shape can't be shared equally.

    Source: Shoeybi et al. 2019 (arXiv:1909.08053) section 3; Korthikanti et al. 2022 (arXiv:2205.05198) section 4.2.
    """
    ranks = dist.get_world_size()
    share = Share()
    share.check(config)
    mesh = build_mesh(Layout(tensor=ranks), machine.kind)["tensor"]
    device = machine.device(local_rank())
    check_tensor(config.model, ranks, config.sequence_length if sequence_parallel else None)
    model = GPT(config.model, seed=config.seed).to(device)
    parallelize_tensor(model, mesh, sequence_parallel=sequence_parallel, split_loss=split_loss)
    finish_blocks(config, model)
    return Engine(
        name="tensor",
        config=config,
        model=model,
        optimizer=build_optimizer(config, parameter_groups(model.parameters())),
        share=share,
        forward_backward=accumulating(model, config, share, device, sync=loss_context(split_loss), loss_of=whole_loss),
        full_state=lambda: gathered_state(model),
        clip=lambda limit: clip_over_ranks(model.parameters(), limit),
    )


def check_tensor(model: ModelConfig, ranks: int, sequence_length: int | None = None) -> None:
    """Raise `TrainingSetupError` unless each of `ranks` gets whole heads and equal parts of everything else.

    Args:
        model: the shape.
        ranks: tensor-parallel degree.
        sequence_length: tokens per sequence when they are shared as well; None when they are not.
    """
    for name in ("heads", "kv_heads"):
        count = getattr(model, name)
        if count % ranks:
            fitting = ", ".join(str(n) for n in range(1, count + 1) if count % n == 0)
            raise TrainingSetupError.of(
                name,
                count,
                f"of {model.name} can't be shared equally by {ranks} tensor-parallel ranks",
                f"use a tensor-parallel degree that divides them: {fitting}",
            )
    check_divides("ffn_hidden_size", model.ffn_hidden_size, ranks, "tensor-parallel ranks")
    check_divides("vocab_size", model.vocab_size, ranks, "tensor-parallel ranks")
    if sequence_length is not None:
        check_divides("sequence_length", sequence_length, ranks, "tensor-parallel ranks with sequence_parallel")


def loss_context(split_loss: bool) -> Sync:
    """The context of a forward and backward pass whose logits may be divided along the vocabulary."""
    return lambda last: loss_parallel() if split_loss else nullcontext()


def whole_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """`language_model_loss` as a plain scalar, also of logits (batch, seq, vocab) that ranks share."""
    if isinstance(logits, DTensor) and logits.placements[0].is_replicate():
        logits = logits.to_local()
    return whole(language_model_loss(logits, targets))


def parallelize_tensor(
    model: GPT, mesh: DeviceMesh, *, sequence_parallel: bool = True, split_loss: bool = True
) -> None:
    """Cut the matrices of a model, or of one pipeline stage of it, in place.

    Args:
        model: its heads and widths must divide by the ranks, see `check_tensor`.
        mesh: one axis, the tensor-parallel ranks.
        sequence_parallel: between layers, activations are (batch, seq / ranks, hidden) on each rank, not whole.
        split_loss: the logits, a DTensor (batch, seq, vocab), stay divided along the vocabulary; otherwise every rank
            gathers all of them.
    """
    between = Shard(1) if sequence_parallel else Replicate()  # layout of the residual path (batch, seq, hidden)
    plan: dict[str, ParallelStyle] = {}
    if model.tok_embeddings is not None:
        plan["tok_embeddings"] = RowwiseParallel(input_layouts=Replicate(), output_layouts=between)
    if model.pos_embeddings is not None:  # gives (seq, hidden)
        along = Shard(0) if sequence_parallel else Replicate()
        plan["pos_embeddings"] = RowwiseParallel(input_layouts=Replicate(), output_layouts=along)
    if model.norm is not None and sequence_parallel:
        plan["norm"] = SequenceParallel(use_local_output=True)
    if model.output is not None:
        logits = Shard(-1) if split_loss else Replicate()
        plan["output"] = ColwiseParallel(input_layouts=between, output_layouts=logits, use_local_output=False)
    parallelize_module(model, mesh, plan)
    for block in model.layers.values():
        parallelize_module(block, mesh, _block_plan(cast(Block, block), sequence_parallel))
    if model.config.tied_embeddings and model.tok_embeddings is not None and model.output is not None:
        model.output.weight = model.tok_embeddings.weight  # cutting made two of the one


def _block_plan(block: Block, sequence_parallel: bool) -> dict[str, ParallelStyle]:
    """How each module of a layer is cut."""
    between = Shard(1) if sequence_parallel else Replicate()
    plan: dict[str, ParallelStyle] = {
        "attention": PrepareModuleInput(input_layouts=(between, None), desired_input_layouts=(Replicate(), None)),
        "attention.wq": ColwiseParallel(),
        "attention.wk": ColwiseParallel(),
        "attention.wv": ColwiseParallel(),
        "attention.wo": RowwiseParallel(output_layouts=between),
        "feed_forward": PrepareModuleInput(input_layouts=(between,), desired_input_layouts=(Replicate(),)),
        "feed_forward.w1": ColwiseParallel(),
        "feed_forward.w2": RowwiseParallel(output_layouts=between),
    }
    if block.feed_forward.w3 is not None:
        plan["feed_forward.w3"] = ColwiseParallel()
    if sequence_parallel:
        plan |= {
            "attention_norm": SequenceParallel(use_local_output=True),
            "ffn_norm": SequenceParallel(use_local_output=True),
        }
    if not isinstance(block.attention.q_norm, nn.Identity):
        # one weight for all heads: its gradient is a sum over the ranks' heads (batch, seq, heads, head_dim)
        plan |= {
            f"attention.{name}": SequenceParallel(sequence_dim=2, use_local_output=True)
            for name in ("q_norm", "k_norm")
        }
    return plan
