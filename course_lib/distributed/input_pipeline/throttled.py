"""Storage that is slower than this machine's disk: a stand-in for a bucket or a shared file system in experiments."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from course_lib.catalog import is_number
from course_lib.distributed.errors import TrainingSetupError, check_not_negative
from course_lib.distributed.input_pipeline.shards import Tokens
from course_lib.distributed.input_pipeline.source import TokenSource


@dataclass(frozen=True)
class Throttled:
    """A source whose every read takes at least seconds_per_read + bytes / bytes_per_second.

    Args:
        source: what is read in truth.
        seconds_per_read: latency of one request; object stores take 10 to 100 milliseconds.
        bytes_per_second: bandwidth of one request.

    Raises:
        TrainingSetupError: for a number out of range.
    """

    source: TokenSource
    seconds_per_read: float = 0.0
    bytes_per_second: float = math.inf

    def __post_init__(self) -> None:
        check_not_negative("seconds_per_read", self.seconds_per_read)
        rate = self.bytes_per_second
        if not (rate == math.inf or (is_number(rate) and rate > 0)):
            raise TrainingSetupError.of("bytes_per_second", rate, "must be above 0", "give e.g. 50e6")

    @property
    def lengths(self) -> tuple[int, ...]:
        """Tokens in each shard."""
        return self.source.lengths

    @property
    def fingerprint(self) -> str:
        """That of the data: slowness changes nothing about it."""
        return self.source.fingerprint

    def read(self, shard: int, start: int, stop: int) -> Tokens:
        """Tokens [start, stop) of one shard, late  # (stop - start,)."""
        asked = time.perf_counter()
        tokens = self.source.read(shard, start, stop)
        due = asked + self.seconds_per_read + tokens.nbytes / self.bytes_per_second
        time.sleep(max(0.0, due - time.perf_counter()))
        return tokens
