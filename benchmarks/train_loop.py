"""What our train loop and engines cost over the same training written out by hand, model and data alike.

Limits: 1.03 for the loop against plain PyTorch, 1.05 for engine "fsdp" against `fully_shard` by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from benchmarks.ratio import Ratio, compare
from course_lib.distributed import TrainConfig, build_engine, launch, markov_batches, train
from course_lib.models import GPT, Batch, language_model_loss, tiny_config

STEPS = 8  # of one timed run: short, so that a change in the machine's load meets both sides
PAIRS = 11
CONFIG = TrainConfig(
    model=tiny_config(layers=4, hidden_size=128, heads=4, vocab_size=256, context_length=128),
    sequence_length=128,
    global_batch=8,
)


def by_hand(model: nn.Module, batches: list[Batch]) -> Callable[[], object]:
    """The loop that a PyTorch tutorial shows, over batches that are this rank's own."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=CONFIG.learning_rate, betas=(0.9, 0.95), weight_decay=0.0)

    def work() -> list[float]:
        losses: list[Tensor] = []
        for batch in batches:
            loss = language_model_loss(model(batch.tokens), batch.targets)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.detach())
        return [float(loss) for loss in losses]

    return work


def measured(engine_name: str, peer: str, model: nn.Module) -> Ratio:
    """An engine under `train` against a model that is wrapped already and trained by hand."""
    engine = build_engine(engine_name, CONFIG)
    text = markov_batches(CONFIG)
    whole = [text[step] for step in range(STEPS)]  # drawn once: making text is neither side's work
    mine = [engine.share.of(batch) for batch in whole]
    what = f"train {engine_name}, ranks: {dist.get_world_size()}"
    return compare(what, lambda: train(engine, whole, STEPS), peer, by_hand(model, mine), PAIRS)


def one_rank() -> list[Ratio]:
    """Engines "single" and "ddp" on one rank."""
    wrapped = DistributedDataParallel(GPT(CONFIG.model), gradient_as_bucket_view=True)
    return [measured("single", "plain torch loop", GPT(CONFIG.model)), measured("ddp", "DDP by hand", wrapped)]


def sharded_ranks() -> Ratio:
    """Engine "fsdp" against `fully_shard` on each block and on the whole."""
    model = GPT(CONFIG.model)
    for block in model.layers.values():
        fully_shard(block)
    fully_shard(model)
    return measured("fsdp", "fully_shard by hand", model)


def measure() -> list[Ratio]:
    """The figures of the engines' step: at most 1.03 for the loop and 1.05 for FSDP."""
    options: dict[str, Any] = {"threads_per_rank": 1, "output": "none"}
    return [*launch(one_rank, 1, **options)[0], launch(sharded_ranks, 2, **options)[0]]
