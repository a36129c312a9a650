"""Context parallelism: the ranks share each sequence; every layer but attention sees tokens one by one anyway.

Weights are whole on every rank. A rank's loss is the mean over its own tokens; since all hold equally many, the mean of
the ranks' losses is the loss of the sequence, and DDP's averaging of gradients is exactly right.
"""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from course_lib.catalog import ModelConfig
from course_lib.distributed.accumulation import accumulating
from course_lib.distributed.config import TrainConfig
from course_lib.distributed.engine import Engine
from course_lib.distributed.errors import TrainingSetupError
from course_lib.distributed.local_rank import local_rank
from course_lib.distributed.model_parts import build_optimizer, finish_blocks, plain_state
from course_lib.distributed.reductions import mean_over_ranks
from course_lib.distributed.ring_attention import ring_attention
from course_lib.distributed.sequence_shards import Placement, check_placement, shard_of_batch, shard_positions
from course_lib.distributed.share import Share
from course_lib.distributed.ulysses import check_ulysses, ulysses_attention
from course_lib.models import GPT, AttentionCore, Batch
from course_lib.runtime import Hardware

AttentionKind = Literal["ring", "ulysses"]


def context(
    config: TrainConfig,
    machine: Hardware,
    *,
    attention: AttentionKind = "ring",
    placement: Placement | None = None,
) -> Engine:
    """Train with every sequence shared by all ranks of the default process group; all see the same rows.

    Args:
        config: of the run; its sequence length must divide into the placement's pieces.
        machine: the hardware.
        attention: "ring" (keys and values travel) or "ulysses" (tokens are traded for heads).
        placement: "zigzag", which balances a causal ring and is its default, or "contiguous", Ulysses' only one.

    Raises:
        TrainingSetupError: when sequence or heads can't be shared equally.

    Source: Liu et al. 2023 (arXiv:2310.01889); Jacobs et al. 2023 (arXiv:2309.14509).
    """
    ranks, rank = dist.get_world_size(), dist.get_rank()
    share = Share()
    share.check(config)
    chosen = check_context(config.model, config.sequence_length, ranks, attention, placement)
    device = machine.device(local_rank())
    whole = GPT(config.model, seed=config.seed).to(device)
    positions = shard_positions(config.sequence_length, ranks, rank, chosen)  # (seq / ranks,)
    use_core(whole, attention_core(attention, chosen, None))
    give_positions(whole, positions.to(device))
    finish_blocks(config, whole)
    model = DistributedDataParallel(whole, device_ids=None if machine.kind == "cpu" else [device])

    def sync(last: bool) -> AbstractContextManager[object]:
        return nullcontext() if last else model.no_sync()

    accumulate = accumulating(model, config, share, device, sync=sync)

    def forward_backward(batch: Batch) -> Tensor:
        return accumulate(shard_of_batch(batch, positions))

    return Engine(
        name="context",
        config=config,
        model=model,
        optimizer=build_optimizer(config, model.parameters()),
        share=share,
        forward_backward=forward_backward,
        full_state=lambda: plain_state(whole),
        mean=mean_over_ranks,
    )


def check_context(
    model: ModelConfig,
    sequence_length: int,
    ranks: int,
    attention: str,
    placement: Placement | None,
    tensor_ranks: int = 1,
) -> Placement:
    """Raise `TrainingSetupError` unless a sequence can be shared so; else say which placement to use.

    Args:
        model: the shape.
        sequence_length: tokens per sequence.
        ranks: context-parallel degree.
        attention: "ring" or "ulysses".
        placement: asked for; None for the attention's own.
        tensor_ranks: ranks that share the heads already.
    """
    if attention not in ("ring", "ulysses"):
        raise TrainingSetupError.of("attention", attention, "is not known", "use ring or ulysses")
    chosen: Placement = placement or ("zigzag" if attention == "ring" else "contiguous")
    if attention == "ulysses":
        if chosen != "contiguous":
            raise TrainingSetupError.of(
                "placement", chosen, "has no use under Ulysses attention", "leave it out: each rank sees all tokens"
            )
        check_ulysses(model.heads // tensor_ranks, model.kv_heads // tensor_ranks, ranks)
    check_placement(chosen, sequence_length, ranks)
    return chosen


def attention_core(attention: AttentionKind, placement: Placement, group: dist.ProcessGroup | None) -> AttentionCore:
    """The attention of a rank that holds part of each sequence."""
    if attention == "ulysses":
        return functools.partial(ulysses_attention, group=group)
    return functools.partial(ring_attention, group=group, placement=placement)


def use_core(model: GPT, core: AttentionCore) -> None:
    """Make every block of a model, or of one pipeline stage of it, attend through `core`."""
    for block in model.layers.values():
        block.attention.core = core  # type: ignore[union-attr]


def give_positions(model: GPT, positions: Tensor) -> None:
    """Call a model with these positions (seq,) from now on, where it would number the tokens that it sees from 0."""

    def with_positions(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return args, {"positions": positions} | kwargs

    model.register_forward_pre_hook(with_positions, with_kwargs=True)
