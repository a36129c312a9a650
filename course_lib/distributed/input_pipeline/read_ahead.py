"""Reading ahead for the train loop, which asks for batches by step number."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Protocol, Self

from course_lib.distributed.errors import TrainingSetupError, check_count
from course_lib.distributed.input_pipeline.token_batches import rank_rows
from course_lib.distributed.share import Share
from course_lib.models import Batch


class Batches(Protocol):
    """Global batches by step number, of one size."""

    @property
    def global_batch(self) -> int:
        """Sequences per step."""
        ...

    def __getitem__(self, step: int) -> Batch:
        """The global batch of one step."""
        ...


class ReadAhead:
    """Batches whose next ones are read, and prepared, in the background while this one computes.

    with ReadAhead(batches, engine.share) as ahead: train(engine, ahead, steps)

    Hidden reading can at most halve a step. Where reading a batch takes longer than computing it, several readers work
    at once, each on a batch of its own; batches come in order all the same.

    Args:
        batches: by step number, such as `TokenBatches`.
        share: which rows of each this rank trains on; no others are read.
        depth: batches that are being read or wait at most; at least `readers`.
        readers: threads that read; more than one pays where storage answers late, not where it is at its bandwidth.
        prepare: done with this rank's rows in the background: a transfer to the device, a transformation.

    Raises:
        TrainingSetupError: for a number below 1, fewer batches than readers, or a share without rows.
    """

    def __init__(
        self,
        batches: Batches,
        share: Share | None = None,
        *,
        depth: int = 2,
        readers: int = 1,
        prepare: Callable[[Batch], Batch] | None = None,
    ) -> None:
        check_count("readers", readers)
        check_count("depth", depth, minimum=readers)
        share = share or Share()
        self.global_batch = batches.global_batch
        self._span = rank_rows(self.global_batch, share.index, share.count)
        self._batches, self._depth, self._readers, self._prepare = batches, depth, readers, prepare
        self._next = -1
        self._pool: ThreadPoolExecutor | None = None
        self._coming: deque[Future[Batch]] = deque()

    def __getitem__(self, step: int) -> OwnRows:
        """This rank's rows of one step's batch; any step but the next one starts reading anew from there."""
        if self._pool is None or step != self._next:
            self.close()
            self._pool = ThreadPoolExecutor(self._readers, thread_name_prefix="prefetch")
        self._next = step
        self._ask(self._pool)
        try:
            own = self._coming.popleft().result()
        except BaseException:
            self.close()  # who asks again gets an answer to this step, not to the one after it
            raise
        self._next = step + 1
        self._ask(self._pool)
        return OwnRows(own, self.global_batch, self._span)

    def _ask(self, pool: ThreadPoolExecutor) -> None:
        while len(self._coming) < self._depth:
            step = self._next + len(self._coming)
            self._coming.append(pool.submit(_read, self._batches, step, self._span, self._prepare))

    def close(self) -> None:
        """End the threads, and wait for what they are reading."""
        self._coming.clear()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _read(batches: Batches, step: int, span: tuple[int, int], prepare: Callable[[Batch], Batch] | None) -> Batch:
    rows = batches[step].rows(*span)  # a function, not a method: the threads must not hold the `ReadAhead`
    return rows if prepare is None else prepare(rows)


class OwnRows(Batch):
    """A global batch of which one rank's rows are here and no others."""

    def __init__(self, own: Batch, global_batch: int, span: tuple[int, int]) -> None:
        super().__init__(own.tokens, own.targets)
        object.__setattr__(self, "global_batch", global_batch)
        object.__setattr__(self, "span", span)

    global_batch: int
    span: tuple[int, int]

    def __len__(self) -> int:
        return self.global_batch

    def rows(self, start: int, stop: int) -> Batch:
        """The sequences from `start` up to `stop` of the global batch.

        Raises:
            TrainingSetupError: for rows of another rank.
        """
        first, last = self.span
        if not first <= start <= stop <= last:
            raise TrainingSetupError.of(
                "rows", (start, stop), f"were not read: this rank has {first} to {last}", "give ReadAhead engine.share"
            )
        return Batch(self.tokens[start - first : stop - first], self.targets[start - first : stop - first])
