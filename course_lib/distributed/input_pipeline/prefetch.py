"""Do the next batches' reading while this batch computes: one background thread and a bounded queue.

A thread, not a process: reading mapped files, decompressing and waiting for storage let go of Python's lock, and a
thread needs no copy between processes and no fork next to running communication threads.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

from course_lib.distributed.errors import check_count

Item = TypeVar("Item")
PATIENCE_SECONDS = 60.0


class _Shared(Generic[Item]):
    """What consumer and worker both hold. The worker must not hold the `Prefetch`, or nobody could let go of it."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.ready: deque[Item] = deque()
        self.changed = threading.Condition()
        self.ended = False  # by the worker: nothing more will come
        self.closed = False  # by the consumer: nothing more is wanted
        self.error: BaseException | None = None

    def work(self, source: Iterable[Item]) -> None:
        """The worker thread's whole life."""
        try:
            for item in source:
                with self.changed:
                    self.changed.wait_for(lambda: self.closed or len(self.ready) < self.depth)
                    if self.closed:
                        return
                    self.ready.append(item)
                    self.changed.notify_all()
        except BaseException as error:  # noqa: BLE001 - it is raised again where the item is asked for
            self.error = error
        finally:
            with self.changed:
                self.ended = True
                self.changed.notify_all()

    def close(self) -> None:
        """Tell the worker that nothing more is wanted."""
        with self.changed:
            self.closed = True
            self.ready.clear()
            self.changed.notify_all()


class Prefetch(Generic[Item]):
    """An iterator that works ahead of its consumer; use it as a context manager, or call `close`.

    An error of the source is raised where the item that it stands for would have come, with the worker's own traceback.

    Args:
        source: what to iterate over, in the worker thread alone.
        depth: items that wait at most; one more is in the worker's hands. 2 is enough unless times vary much.

    Raises:
        TrainingSetupError: for a depth below 1.
    """

    def __init__(self, source: Iterable[Item], depth: int = 2) -> None:
        check_count("depth", depth)
        self._shared: _Shared[Item] = _Shared(depth)
        # a daemon: a source that never returns must not keep the interpreter from ending
        self._worker = threading.Thread(target=self._shared.work, args=(source,), name="prefetch", daemon=True)
        self._worker.start()

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        shared = self._shared
        with shared.changed:
            shared.changed.wait_for(lambda: shared.ready or shared.ended or shared.closed)
            if shared.ready:
                item = shared.ready.popleft()
                shared.changed.notify_all()
                return item
        if shared.error is not None:
            error, shared.error = shared.error, None
            raise error
        raise StopIteration

    @property
    def waiting(self) -> int:
        """Items that are ready now; 0 whenever the consumer comes means that reading is the bottleneck."""
        return len(self._shared.ready)

    def close(self) -> None:
        """Stop working ahead and wait for the thread's end.

        Raises:
            TimeoutError: when the source does not come back from one item within a minute.
        """
        self._shared.close()
        if self._worker is not threading.current_thread():
            self._worker.join(PATIENCE_SECONDS)
        if self._worker.is_alive():
            raise TimeoutError(f"the source has not returned for {PATIENCE_SECONDS:g} s. Remedy: give it a timeout.")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        shared = getattr(self, "_shared", None)
        if shared is not None:
            shared.close()  # without waiting: the thread ends when it next looks
