"""Batches that do not depend on how many ranks share them: number i of a run is the same text on 1 rank and on 8."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from course_lib.models.markov import MarkovText

STRIDE = 1_000_003  # a prime, so that the seeds of different runs' batches seldom meet


@dataclass(frozen=True)
class Batch:
    """Tokens and the tokens that follow them.

    Args:
        tokens: (sequences, seq) of int64.
        targets: (sequences, seq): tokens shifted by one.
    """

    tokens: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.tokens)

    def rows(self, start: int, stop: int) -> Batch:
        """The sequences from `start` up to `stop`."""
        return Batch(self.tokens[start:stop], self.targets[start:stop])


@dataclass(frozen=True)
class Batches:
    """A run's batches by number.

    Args:
        text: where tokens come from.
        global_batch: sequences per optimizer step, all ranks together.
        sequence_length: tokens per sequence that the model predicts.
        seed: of the run.
    """

    text: MarkovText
    global_batch: int
    sequence_length: int
    seed: int = 0

    def __getitem__(self, step: int) -> Batch:
        """The global batch of one step."""
        drawn = self.text.sample(self.global_batch, self.sequence_length + 1, self.seed * STRIDE + step)
        return Batch(drawn[:, :-1], drawn[:, 1:])
