"""What batches are read from: anything that has shards of tokens and can say which data it is."""

from __future__ import annotations

from typing import Protocol

from course_lib.distributed.input_pipeline.shards import Tokens


class TokenSource(Protocol):
    """Shards of tokens; `ShardedTokens`, or something of your own that reads from elsewhere."""

    @property
    def lengths(self) -> tuple[int, ...]:
        """Tokens in each shard."""
        ...

    @property
    def fingerprint(self) -> str:
        """Equal for equal data in equal order."""
        ...

    def read(self, shard: int, start: int, stop: int) -> Tokens:
        """Tokens [start, stop) of one shard  # (stop - start,)."""
        ...
