"""One order of all windows for all ranks, from the seed and the epoch alone.

Shards are shuffled, then the windows of a few neighbouring shards among each other: near a full shuffle, while a reader
touches few files at a time and keeps one small permutation in memory instead of one over the whole data.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from course_lib.distributed.errors import TrainingSetupError, check_count

Numbers = NDArray[np.int64]
Kept = TypeVar("Kept")
KEPT = 3  # permutations in memory: of this epoch's shards, of this mix and of the one before


@dataclass(frozen=True)
class GlobalOrder:
    """Position in the run → window of a shard. Positions go on over epochs without end.

    Args:
        windows: windows in each shard.
        seed: of the run.
        mixed_shards: shards whose windows are shuffled together; 1 keeps each to itself.

    Raises:
        TrainingSetupError: for no window at all or a number out of range.
    """

    windows: tuple[int, ...]
    seed: int = 0
    mixed_shards: int = 4
    _kept: dict[tuple[int, ...], Any] = field(default_factory=dict, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_count("seed", self.seed, minimum=0)
        check_count("mixed_shards", self.mixed_shards)
        if sum(self.windows) < 1:
            raise TrainingSetupError.of(
                "windows", self.windows, "holds no window", "give longer shards or a shorter sequence_length"
            )

    def __len__(self) -> int:
        """Windows of one epoch."""
        return sum(self.windows)

    def take(self, start: int, stop: int) -> list[tuple[int, int]]:
        """(shard, window) of positions [start, stop); an epoch has each window once."""
        found: list[tuple[int, int]] = []
        while start + len(found) < stop:
            epoch, place = divmod(start + len(found), len(self))
            shards, ends = self._epoch(epoch)
            mix = int(np.searchsorted(ends, place, side="right"))
            first, end = (int(ends[mix - 1]) if mix else 0), int(ends[mix])
            order = self._mix(epoch, mix, end - first)
            members = shards[mix * self.mixed_shards : (mix + 1) * self.mixed_shards]
            upto = np.cumsum([self.windows[shard] for shard in members])
            numbers = order[place - first : place - first + stop - start - len(found)]
            for number, member in zip(numbers, np.searchsorted(upto, numbers, side="right"), strict=True):
                shard = members[member]
                found.append((shard, int(number - upto[member] + self.windows[shard])))
        return found

    def _epoch(self, epoch: int) -> tuple[list[int], Numbers]:
        """The epoch's shards in order, and the position after each mix of them."""

        def make() -> tuple[list[int], Numbers]:
            shards = _permutation(len(self.windows), self.seed, epoch).tolist()
            sizes = np.array([self.windows[shard] for shard in shards])
            return shards, np.cumsum(np.add.reduceat(sizes, range(0, len(sizes), self.mixed_shards)))

        return self._once((epoch,), make)

    def _mix(self, epoch: int, mix: int, size: int) -> Numbers:
        """The order of one mix's windows, numbered through its shards  # (size,)."""
        # mix + 1: NumPy seeds (s, e) and (s, e, 0) alike
        return self._once((epoch, mix), lambda: _permutation(size, self.seed, epoch, mix + 1))

    def _once(self, key: tuple[int, ...], make: Callable[[], Kept]) -> Kept:
        """What `make` gives, kept until others have been asked for since."""
        with self._lock:  # several threads may read ahead
            value: Kept = self._kept.pop(key) if key in self._kept else make()
            self._kept[key] = value
            while len(self._kept) > KEPT:
                del self._kept[next(iter(self._kept))]
        return value

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.windows, self.seed, self.mixed_shards)


def _permutation(size: int, *seeds: int) -> Numbers:
    return np.random.default_rng(seeds).permutation(size)
