"""Which expert leaves when another needs its place."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from course_lib.moe.errors import MoEError

Key = tuple[int, int]  # layer, expert


class Policy(Protocol):
    """What a cache asks of a policy."""

    def used(self, key: Key) -> None:
        """An expert was asked for, whether it was there or not."""
        ...

    def victim(self, among: Collection[Key]) -> Key:
        """The expert to give up, of those that may go."""
        ...


class LeastRecentlyUsed:
    """Gives up the expert whose last use lies longest ago."""

    def __init__(self) -> None:
        self._clock = 0
        self._last: dict[Key, int] = {}

    def used(self, key: Key) -> None:
        """Note the time."""
        self._clock += 1
        self._last[key] = self._clock

    def victim(self, among: Collection[Key]) -> Key:
        """The one that has waited longest; one that was loaded ahead and never used goes first."""
        return min(among, key=lambda key: (self._last.get(key, 0), key))


class LeastFrequentlyUsed:
    """Gives up the expert with the fewest uses, the older one of two; counts outlive an eviction.

    Args:
        halve_every: after so many uses all counts are halved, so that yesterday's text does not rule today's.
    """

    def __init__(self, halve_every: int = 16384) -> None:
        self._every, self._clock = halve_every, 0
        self._counts: dict[Key, float] = {}
        self._last: dict[Key, int] = {}

    def used(self, key: Key) -> None:
        """Count it."""
        self._clock += 1
        self._counts[key] = self._counts.get(key, 0.0) + 1.0
        self._last[key] = self._clock
        if self._clock % self._every == 0:
            self._counts = {key: count / 2 for key, count in self._counts.items()}

    def victim(self, among: Collection[Key]) -> Key:
        """The one with the fewest uses."""
        return min(among, key=lambda key: (self._counts.get(key, 0.0), self._last.get(key, 0), key))


POLICIES: dict[str, type[LeastRecentlyUsed] | type[LeastFrequentlyUsed]] = {
    "lru": LeastRecentlyUsed,
    "lfu": LeastFrequentlyUsed,
}


def make_policy(name: str) -> Policy:
    """A policy by name.

    Raises:
        MoEError: when there is none of this name.
    """
    if name not in POLICIES:
        raise MoEError.of("policy", name, "is not known", f"use one of {', '.join(POLICIES)}")
    return POLICIES[name]()
