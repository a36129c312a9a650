"""Where a step's time goes: waiting for data, forward, backward, communication, optimizer, or between them.

Clocks are read after the device has done what was asked of it, which keeps forward and backward apart but also keeps
them from overlapping: time a few steps with it to find the bottleneck, and take it out to measure speed. What DDP sends
while the backward pass computes counts as backward; the same steps under `no_sync` show how much of it is exposed.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import torch.distributed as dist

from course_lib.distributed.errors import TrainingSetupError, check_count

Item = TypeVar("Item")
OTHER = "other"


@dataclass(frozen=True)
class StepTimes:
    """Medians over steps.

    Args:
        seconds: by phase, in the order of their first use, "other" last: what no phase covers.
        step_seconds: of whole steps.
        steps: how many counted.
        rank: whose these are.
    """

    seconds: dict[str, float]
    step_seconds: float
    steps: int
    rank: int = 0

    @property
    def shares(self) -> dict[str, float]:
        """Each phase's share of the sum of all."""
        whole = sum(self.seconds.values()) or 1.0
        return {phase: seconds / whole for phase, seconds in self.seconds.items()}

    @property
    def bottleneck(self) -> str:
        """The phase that takes longest."""
        return max(self.seconds, key=lambda phase: self.seconds[phase])

    def bound(self, phase: str) -> float:
        """How many times faster a step could be at most if this phase took no time, or were hidden behind the others.

        Raises:
            TrainingSetupError: for a phase that was not timed.

        Source: Amdahl 1967: 1 / (1 - share).
        """
        if phase not in self.seconds:
            raise TrainingSetupError.of("phase", phase, "was not timed", f"use one of {', '.join(self.seconds)}")
        rest = sum(seconds for name, seconds in self.seconds.items() if name != phase)
        return (rest + self.seconds[phase]) / rest if rest else float("inf")


class StepTimer:
    """Collects the phases of each step; use one on each rank.

    for batch in timer.waiting(loader):
        with timer.phase("forward"): ...
        with timer.phase("backward"): ...
        timer.end_step()
    print(timer.times().shares)

    Args:
        synchronize: waits for the device, such as `hardware().synchronize`; nothing on the CPU.
        clock: seconds.
    """

    def __init__(
        self,
        synchronize: Callable[[], None] = lambda: None,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._synchronize, self._clock = synchronize, clock
        self._steps: list[dict[str, float]] = []
        self._lengths: list[float] = []
        self._current: dict[str, float] = defaultdict(float)
        self._inside: str | None = None
        self._began = self._now()

    def _now(self) -> float:
        self._synchronize()
        return self._clock()

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a part of the step; parts of one name add up, as those of microbatches do.

        Raises:
            TrainingSetupError: inside of another phase, whose time would count twice, or for the name "other".
        """
        if self._inside is not None:
            raise TrainingSetupError.of("phase", name, f"begins inside of {self._inside!r}", "end that one first")
        if name == OTHER:
            raise TrainingSetupError.of("phase", name, "is what no phase covers", "choose another name")
        self._inside = name
        started = self._now()
        try:
            yield
        finally:
            self._current[name] += self._now() - started
            self._inside = None

    def waiting(self, source: Iterable[Item], phase: str = "data") -> Iterator[Item]:
        """Iterate over a loader and time how long each next item is waited for."""
        iterator = iter(source)
        while True:
            with self.phase(phase):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def end_step(self) -> None:
        """Close one step; the next begins here."""
        now = self._now()
        self._steps.append(dict(self._current))
        self._lengths.append(now - self._began)
        self._current.clear()
        self._began = now

    def times(self, skip: int = 1) -> StepTimes:
        """Medians over the steps so far.

        Args:
            skip: first steps that do not count: they allocate, compile and warm up.

        Returns:
            Seconds by phase.

        Raises:
            TrainingSetupError: when no step is left.
        """
        check_count("skip", skip, minimum=0)
        steps, lengths = self._steps[skip:], self._lengths[skip:]
        if not steps:
            raise TrainingSetupError.of("skip", skip, f"leaves none of {len(self._steps)} steps", "time more steps")
        phases = list(dict.fromkeys(phase for step in steps for phase in step))
        seconds = {phase: statistics.median(step.get(phase, 0.0) for step in steps) for phase in phases}
        seconds[OTHER] = statistics.median(
            max(0.0, length - sum(step.values())) for step, length in zip(steps, lengths, strict=True)
        )
        rank = dist.get_rank() if dist.is_initialized() else 0
        return StepTimes(seconds, statistics.median(lengths), len(steps), rank)


def across_ranks(times: StepTimes, group: Any = None) -> list[StepTimes]:
    """Every rank's times, on every rank: a rank that waits in "communication" may wait for one that waits for data.

    Args:
        times: this rank's.
        group: ranks that exchange them, all of which must call this.

    Returns:
        Times in the order of the group's ranks.
    """
    if not dist.is_initialized():
        return [times]
    everyones: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(everyones, times, group=group)
    return everyones
