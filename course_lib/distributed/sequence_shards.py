"""Which tokens of a sequence a context-parallel rank holds.

Under a causal mask a late token attends to more keys than an early one, so that ranks with contiguous pieces do
unequal work: the last computes 2 - 1/c times the mean. The zigzag placement gives each rank one early and one late
piece, and all do the same.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from course_lib.distributed.errors import TrainingSetupError, check_divides
from course_lib.models import Batch

Placement = Literal["zigzag", "contiguous"]
PLACEMENTS: tuple[Placement, ...] = ("zigzag", "contiguous")


def check_placement(placement: str, sequence_length: int, ranks: int) -> None:
    """Raise `TrainingSetupError` unless a sequence divides into the pieces that a placement hands out."""
    if placement not in PLACEMENTS:
        raise TrainingSetupError.of("placement", placement, "is not known", f"use one of {', '.join(PLACEMENTS)}")
    if ranks > 1:
        pieces = 2 * ranks if placement == "zigzag" else ranks
        check_divides("sequence_length", sequence_length, pieces, f"pieces ({placement} over {ranks} context ranks)")


def shard_positions(sequence_length: int, ranks: int, rank: int, placement: str = "zigzag") -> Tensor:
    """The positions that a rank holds, in the order in which it holds them.

    Args:
        sequence_length: tokens of the whole sequence.
        ranks: context-parallel degree c.
        rank: which one, 0 to c - 1.
        placement: "contiguous": piece `rank` of c; "zigzag": pieces `rank` and 2c - 1 - `rank` of 2c.

    Returns:
        (sequence_length / ranks,) of int64, rising.

    Raises:
        TrainingSetupError: when the sequence doesn't divide.

    Source: Grattafiori et al. 2024 (arXiv:2407.21783) section 3.3.2, "context parallelism", for the 2c chunks.
    """
    check_placement(placement, sequence_length, ranks)
    whole = torch.arange(sequence_length)  # (seq,)
    if placement == "contiguous" or ranks == 1:
        return whole.chunk(ranks)[rank]
    pieces = whole.chunk(2 * ranks)
    return torch.cat((pieces[rank], pieces[-1 - rank]))


def shard_of_batch(batch: Batch, positions: Tensor) -> Batch:
    """The columns of a batch that a rank holds: tokens and targets (sequences, seq / ranks)."""
    return Batch(batch.tokens[:, positions], batch.targets[:, positions])


def attended_pairs(sequence_length: int, ranks: int, placement: str = "zigzag") -> list[int]:
    """Query-key pairs under the causal mask that each rank computes, its queries against all keys: its share of work.

    Args:
        sequence_length: tokens of the whole sequence.
        ranks: context-parallel degree.
        placement: "zigzag" or "contiguous".

    Returns:
        One count per rank; their sum is s (s + 1) / 2.
    """
    shards = (shard_positions(sequence_length, ranks, rank, placement) for rank in range(ranks))
    return [int((positions + 1).sum()) for positions in shards]
