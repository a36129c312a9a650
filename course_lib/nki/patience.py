"""Ends a kernel that only loops in Python: such a loop issues nothing, so that no count of instructions can stop it.

A thread beside each core compares the core's count with the processor time that the kernel's own thread has used.
Waiting, at a barrier or in a debugger, uses none, and is never taken for a loop. An interrupt (Ctrl-C) while several
cores run ends them the same way.
"""

from __future__ import annotations

import ctypes
import math
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from course_lib.nki import meeting
from course_lib.nki.errors import NkiValidationError, kernel_line

if TYPE_CHECKING:
    from course_lib.nki.session import Core

_MOST_BETWEEN_LOOKS = 1.0  # seconds
_BETWEEN_STOPS = 0.01
_KEEPS_LOCKS = {threading.__file__, __file__, meeting.__file__}
_Result = TypeVar("_Result")

_lock = threading.Lock()
_at_work: dict[int, Core] = {}  # by thread


class _Stop(BaseException):
    """Raised inside the kernel's thread; no `except Exception` of a kernel catches it."""


def watched(core: Core, call: Callable[[], _Result]) -> _Result:
    """Calls a kernel's function and ends it when it computes for too long without an instruction or an allocation.

    Args:
        core: the core that runs it; `core.options.patience` is the limit in seconds.
        call: the function with its arguments.

    Returns:
        What it returns.

    Raises:
        NkiValidationError: naming the line at which the kernel was ended.
    """
    watch = _Watch(core)
    try:
        try:
            watch.open()
            return call()
        finally:
            watch.close()
    except _Stop as stopped:
        watch.close()
        if not watch.lost_patience:
            raise
        raise _explained(stopped, core.options.patience).with_traceback(stopped.__traceback__) from None


class Crew:
    """What runs several threads, a launch on several cores or a world of ranks.

    Attributes:
        dismissed: whether they are to end; one that only begins then ends at once.
    """

    dismissed = False

    def run_all(self, threads: Sequence[threading.Thread]) -> None:
        """Starts threads and waits for them; an interrupt reaches the waiting thread alone, and ends them too."""
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():  # an interrupt just before the wait would otherwise not be seen until it ends
                    thread.join(_MOST_BETWEEN_LOOKS)
        except BaseException:
            self.dismissed = True
            while any(thread.is_alive() for thread in threads):  # a second interrupt leaves them to themselves
                self._stop()
                time.sleep(_BETWEEN_STOPS)
            raise

    def _stop(self) -> None:
        """Ends the kernels of this crew, and lets go those that wait for one another."""
        with _lock:
            for thread, core in _at_work.items():
                if self in _crews(core):
                    _interrupt(thread)
                    if core.launch is not None:
                        core.launch.end(core, _Stop())
                    if core.world is not None:
                        world, rank = core.world
                        world.leave(rank, _Stop())


def _crews(core: Core) -> tuple[Any, ...]:
    return (core.launch, core.world[0] if core.world is not None else None)


def _to_the_end(step: Callable[[], None]) -> None:
    """Does what must be done, again when an interrupt or a late `_Stop` comes in between; an interrupt is raised after.

    Half of it would leave threads that go on by themselves.
    """
    interrupted: KeyboardInterrupt | None = None
    while True:
        try:
            step()
            break
        except KeyboardInterrupt as pressed:
            interrupted = pressed
        except _Stop:
            pass
    if interrupted is not None:
        raise interrupted


def _explained(stopped: _Stop, patience: float) -> NkiValidationError:
    where, trace = "", stopped.__traceback__
    while trace is not None:
        # Only a line of the kernel's own counts: the deepest frame may be in a library that the loop calls.
        where = kernel_line(trace.tb_frame) or where
        trace = trace.tb_next
    return NkiValidationError(
        f"{where}: the kernel computed for {patience:g} s without an instruction or an allocation. "
        f"Limit: {patience:g} s of processor time (Options.patience). "
        "Try: look for a loop whose condition never changes, or raise the limit: simulate(kernel, patience=...)."
    )


class _Watch:
    """Looks after the thread that opens it, from a thread of its own when there is a limit."""

    def __init__(self, core: Core) -> None:
        self.lost_patience = False
        self._core = core
        self._kernel = threading.get_ident()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="nki-patience", daemon=True)

    def open(self) -> None:
        """Begins. The kernel is made known last: from then on it can be ended, also in the midst of beginning."""
        if not math.isinf(self._core.options.patience):
            self._thread.start()
        with _lock:
            _at_work[self._kernel] = self._core
        if any(crew is not None and crew.dismissed for crew in _crews(self._core)):
            raise _Stop

    def close(self) -> None:
        """Ends the watch; afterwards nothing is raised any more. Calling it again changes nothing."""
        _to_the_end(self._close)

    def _close(self) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        with _lock:
            _at_work.pop(self._kernel, None)
        _receive()

    def _look(self) -> None:
        patience = self._core.options.patience
        clock, exact = _clock(self._kernel)
        seen, since = self._progress(), clock()
        while not self._ended.wait(min(_MOST_BETWEEN_LOOKS, patience / 4)):
            now, reached = clock(), self._progress()
            if reached != seen or (not exact and _waits(self._kernel)):
                seen, since = reached, now
            elif now - since >= patience:
                self.lost_patience = True
                _interrupt(self._kernel)
                since = now  # and again later, should a bare `except:` have swallowed it

    def _progress(self) -> int:
        return self._core.count + len(self._core.storages)


def _clock(thread: int) -> tuple[Callable[[], float], bool]:
    """Processor time that a thread has used; where the system does not tell, that of the process, and False."""
    of_thread = getattr(time, "pthread_getcpuclockid", None)
    if of_thread is None:
        return time.process_time, False
    number = of_thread(thread)
    return lambda: time.clock_gettime(number), True


def _waits(thread: int) -> bool:
    """Whether a thread stands in a lock or a barrier; the processor time is then another thread's."""
    frame = sys._current_frames().get(thread)
    return frame is not None and frame.f_code.co_filename == threading.__file__


def _interrupt(thread: int) -> None:
    """Has a thread raise `_Stop` at the start of the next function or round of a loop.

    Not before and after the kernel, and not while it takes or holds a lock, which would never be given back: whoever
    calls this tries again.
    """
    frame = sys._current_frames().get(thread)
    if frame is None or frame.f_code.co_filename == __file__:
        return
    while frame is not None and frame.f_code is not watched.__code__:
        if frame.f_code.co_filename in _KEEPS_LOCKS:
            return
        frame = frame.f_back
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(_Stop))


def _receive() -> None:
    """Raises here what was sent to this thread and not yet raised: Python looks for it at the start of each function.

    Taking it back instead (sending NULL) would leave CPython 3.11 looking for it ever after: slowly, and without an end
    under `sys.setprofile`, which the labs' checks use.
    """
