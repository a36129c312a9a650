"""The train loop, the same for every engine, and nothing in it that a plain PyTorch loop would not do as well."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from course_lib.distributed.engine import Engine
from course_lib.models import Batch

Schedule = Callable[[int], float]


class Numbered(Protocol):
    """Global batches by step number."""

    def __getitem__(self, step: int) -> Batch:
        """The global batch of one step."""
        ...


@dataclass(frozen=True)
class History:
    """What a run leaves behind, the same on every rank.

    Args:
        losses: mean loss of each step's global batch, before its update, in nats per token.
        step_seconds: wall time of each step on this rank, data included.
    """

    losses: list[float]
    step_seconds: list[float]


def train(
    engine: Engine,
    batches: Numbered,
    steps: int,
    *,
    first_step: int = 0,
    schedule: Schedule | None = None,
    on_step: Callable[[int], None] | None = None,
) -> History:
    """Train for a number of steps; every rank of the engine must call it alike.

    Args:
        engine: of this rank.
        batches: global batches by step number.
        steps: how many to take.
        first_step: number of the first; a resumed run says where it stopped.
        schedule: step number → factor of the learning rate.
        on_step: called after each step with its number: checkpoints, faults, reports.

    Returns:
        Losses and times. Losses are exchanged once, at the end: asking for one after each step would make every
        device wait for every other.
    """
    # kept in the optimizer, and so in its checkpoints: "lr" is what the last step used
    base = [group.setdefault("initial_lr", group["lr"]) for group in engine.optimizer.param_groups]
    kept: list[Tensor] = []
    seconds = []
    for step in range(first_step, first_step + steps):
        started = time.perf_counter()
        if schedule is not None:
            for group, rate in zip(engine.optimizer.param_groups, base, strict=True):
                group["lr"] = rate * schedule(step)
        engine.config.before_step(engine.model, step)
        kept.append(engine.step(batches[step]))
        seconds.append(time.perf_counter() - started)
        if on_step is not None:
            on_step(step)
    losses: list[float] = engine.mean(torch.stack(kept)).tolist() if kept else []
    return History(losses, seconds)
