"""Batches by step number from shards of tokens: the same for any number of ranks, and exact after a restart.

A batch is read when its rows are asked for, so that a rank reads its own rows alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_lib.distributed.errors import TrainingSetupError, check_count
from course_lib.distributed.input_pipeline.order import GlobalOrder
from course_lib.distributed.input_pipeline.source import TokenSource
from course_lib.models import Batch


@dataclass(frozen=True)
class TokenBatches:
    """A run's batches by step number; `train(engine, batches, steps)` takes it as it is.

    A window has sequence_length + 1 tokens, the last of which is the first of the next window: each token of a shard is
    predicted once in an epoch, the few after its last whole window aside. Epochs follow each other without a gap: no
    batch is short and no window is lost where an epoch does not divide into batches.

    Args:
        source: shards of tokens.
        global_batch: sequences per optimizer step, all ranks together.
        sequence_length: tokens per sequence that the model predicts.
        seed: of the order.
        mixed_shards: shards whose windows are shuffled together, see `GlobalOrder`.
        first_step, first_position: where a resumed run goes on; see `resume`.

    Raises:
        TrainingSetupError: for a number out of range, or shards that are all shorter than one window.
    """

    source: TokenSource
    global_batch: int
    sequence_length: int
    seed: int = 0
    mixed_shards: int = 4
    first_step: int = 0
    first_position: int = 0
    order: GlobalOrder = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_count("global_batch", self.global_batch)
        check_count("sequence_length", self.sequence_length)
        windows = tuple(max(0, length - 1) // self.sequence_length for length in self.source.lengths)
        object.__setattr__(self, "order", GlobalOrder(windows, self.seed, self.mixed_shards))

    def __getitem__(self, step: int) -> LazyBatch:
        """The global batch of one step; nothing is read yet."""
        return LazyBatch(self, self._position(step))

    def of_rank(self, rank: int, world_size: int, *, first_step: int | None = None) -> Iterator[Batch]:
        """One rank's part of each batch from a step on, without end: for a loop of your own."""
        start, stop = rank_rows(self.global_batch, rank, world_size)
        step = self.first_step if first_step is None else first_step
        while True:
            yield self[step].rows(start, stop)
            step += 1

    def rows(self, start: int, stop: int) -> Batch:
        """Positions [start, stop) of the global order, read now."""
        length = self.sequence_length
        windows = [
            self.source.read(shard, window * length, (window + 1) * length + 1)
            for shard, window in self.order.take(start, stop)
        ]
        stacked = np.stack(windows).astype(np.int64) if windows else np.empty((0, length + 1), np.int64)
        drawn = torch.from_numpy(stacked)  # (sequences, seq + 1)
        return Batch(drawn[:, :-1], drawn[:, 1:])

    def state(self, step: int) -> dict[str, Any]:
        """What a checkpoint taken before `step` must hold for `resume`: plain numbers and words."""
        return {
            "step": step,
            "position": self._position(step),
            "seed": self.seed,
            "sequence_length": self.sequence_length,
            "mixed_shards": self.mixed_shards,
            "data": self.source.fingerprint,
            "next": [list(place) for place in self.order.take(self._position(step), self._position(step) + 4)],
        }

    def resume(self, state: dict[str, Any]) -> TokenBatches:
        """The same batches from a saved state on, for whatever number of ranks and even another global batch.

        Args:
            state: of `state`, from the same data.

        Returns:
            Batches whose number state["step"] starts at the first window that had not been taken.

        Raises:
            TrainingSetupError: when data, seed, lengths or NumPy's permutations differ from those of the state.
        """
        mine = {
            "data": self.source.fingerprint,
            "seed": self.seed,
            "sequence_length": self.sequence_length,
            "mixed_shards": self.mixed_shards,
        }
        for name, value in mine.items():
            if state[name] != value:
                raise TrainingSetupError.of(name, value, f"is not the saved run's {state[name]!r}", "use that one")
        resumed = replace(self, first_step=state["step"], first_position=state["position"])
        if resumed.state(state["step"])["next"] != state["next"]:
            raise TrainingSetupError.of(
                "numpy", np.__version__, "shuffles otherwise than the saved run's", "use the version that saved it"
            )
        return resumed

    def _position(self, step: int) -> int:
        check_count("step", step, minimum=self.first_step)
        return self.first_position + (step - self.first_step) * self.global_batch


class LazyBatch(Batch):
    """A global batch of which only those rows are read that are asked for."""

    def __init__(self, batches: TokenBatches, position: int) -> None:
        object.__setattr__(self, "batches", batches)
        object.__setattr__(self, "position", position)

    batches: TokenBatches
    position: int

    def __len__(self) -> int:
        return self.batches.global_batch

    def rows(self, start: int, stop: int) -> Batch:
        """The sequences from `start` up to `stop`, read now."""
        return self.batches.rows(self.position + start, self.position + min(stop, len(self)))

    @cached_property
    def _whole(self) -> Batch:
        return self.rows(0, len(self))

    @property
    def tokens(self) -> Tensor:
        """All tokens  # (sequences, seq)."""
        return self._whole.tokens

    @property
    def targets(self) -> Tensor:
        """All targets  # (sequences, seq)."""
        return self._whole.targets


def rank_rows(global_batch: int, rank: int, world_size: int) -> tuple[int, int]:
    """First row and the one after the last of a rank: contiguous, without overlap or gap, sizes at most 1 apart.

    Args:
        global_batch: sequences per step.
        rank: of the data-parallel ranks.
        world_size: how many there are.

    Returns:
        (start, stop).

    Raises:
        TrainingSetupError: when a rank would have no row, or the rank is not one of them.
    """
    check_count("world_size", world_size)
    check_count("rank", rank, minimum=0)
    if rank >= world_size:
        raise TrainingSetupError.of("rank", rank, f"is not in 0 to {world_size - 1}", "ranks count from 0")
    check_count("global_batch", global_batch, minimum=world_size)
    return rank * global_batch // world_size, (rank + 1) * global_batch // world_size
