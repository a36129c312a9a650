"""torch's DataLoader over numbered batches: worker processes, for Python code that would keep the lock to itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from course_lib.distributed.errors import check_count
from course_lib.distributed.input_pipeline.read_ahead import Batches
from course_lib.distributed.input_pipeline.token_batches import rank_rows
from course_lib.distributed.share import Share
from course_lib.models import Batch

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class _Steps(Dataset[Pair]):
    """Step number → one rank's rows; what a worker process evaluates."""

    batches: Batches
    span: tuple[int, int]
    prepare: Callable[[Batch], Batch] | None

    def __getitem__(self, step: int) -> Pair:
        rows = self.batches[step].rows(*self.span)
        ready = rows if self.prepare is None else self.prepare(rows)
        return ready.tokens, ready.targets


def worker_loader(
    batches: Batches,
    steps: range,
    share: Share | None = None,
    *,
    workers: int = 1,
    depth: int = 2,
    prepare: Callable[[Batch], Batch] | None = None,
) -> DataLoader[Pair]:
    """A DataLoader over one rank's rows of some steps, in their order.

    For tokenizing and other Python work. Reading mapped tokens is faster with `ReadAhead`, which starts no process.

    Args:
        batches: by step number.
        steps: which; a resumed run starts the range where it goes on, there is no other state.
        share: which rows of each are this rank's.
        workers: processes.
        depth: batches that wait at most per process.
        prepare: done in the worker.

    Returns:
        An iterable of (tokens, targets), (sequences, seq) each.

    Raises:
        TrainingSetupError: for a number out of range.
    """
    check_count("workers", workers)
    check_count("depth", depth)
    share = share or Share()
    dataset = _Steps(batches, rank_rows(batches.global_batch, share.index, share.count), prepare)
    return DataLoader(dataset, batch_size=None, sampler=steps, num_workers=workers, prefetch_factor=depth)
