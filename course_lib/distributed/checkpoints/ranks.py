"""Ranks that save and load together, and fail together: an error of one is raised on all, and none waits for ever."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch.distributed as dist

from course_lib.distributed.checkpoints.errors import CheckpointError

Result = TypeVar("Result")


@dataclass(frozen=True)
class Ranks:
    """The ranks of one run.

    Args:
        alone: this process trains by itself, whoever else there may be.
    """

    alone: bool

    @property
    def rank(self) -> int:
        """This rank's number."""
        return 0 if self.alone else dist.get_rank()

    @property
    def count(self) -> int:
        """How many there are."""
        return 1 if self.alone else dist.get_world_size()

    def gather(self, value: Result) -> list[Result]:
        """What every rank gives, in their order, on every rank."""
        if self.alone:
            return [value]
        gathered: list[Result | None] = [None] * self.count
        dist.all_gather_object(gathered, value)
        return gathered  # type: ignore[return-value]

    def all_do(self, work: Callable[[], Result]) -> Result:
        """Each rank's own work; returns its result.

        Raises:
            CheckpointError: on every rank, with the first failing rank's message.
        """
        result: Result | None = None
        failure: Exception | None = None
        try:
            result = work()
        except (CheckpointError, OSError) as error:
            failure = error
        self._raise_first(failure)
        return result  # type: ignore[return-value]

    def first_does(self, work: Callable[[], Result]) -> Result:
        """Work of rank 0 alone, whose result every rank returns."""
        mine = self.all_do(work if self.rank == 0 else lambda: None)
        return self.gather(mine)[0]  # type: ignore[return-value]

    def _raise_first(self, failure: Exception | None) -> None:
        told = [message for message in self.gather(str(failure) if failure else None) if message]
        if told:
            raise CheckpointError(told[0]) from failure
