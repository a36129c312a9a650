"""Which rows of the global batch a rank trains on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from course_lib.distributed.config import TrainConfig
from course_lib.distributed.errors import check_divides
from course_lib.models import Batch


@dataclass(frozen=True)
class Share:
    """One of `count` equal parts of every global batch.

    Args:
        index: which part, 0 to count - 1: the data-parallel rank.
        count: data-parallel ranks.
    """

    index: int = 0
    count: int = 1

    def check(self, config: TrainConfig) -> None:
        """Raise `TrainingSetupError` unless the batch divides into equal parts, and a part into microbatches."""
        check_divides("global_batch", config.global_batch, self.count, "data-parallel ranks")
        rows = config.global_batch // self.count
        if config.microbatch:
            check_divides("global_batch", config.global_batch, self.count * config.microbatch, "microbatches")
            assert rows % config.microbatch == 0

    def of(self, batch: Batch) -> Batch:
        """This rank's rows of a global batch."""
        rows = len(batch) // self.count
        return batch.rows(self.index * rows, (self.index + 1) * rows)

    def microbatches(self, batch: Batch, size: int) -> Iterator[Batch]:
        """A rank's rows in pieces of `size` sequences; 0 for one piece."""
        size = size or len(batch)
        for start in range(0, len(batch), size):
            yield batch.rows(start, start + size)
