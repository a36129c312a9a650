"""Watches one kernel from outside its sandbox and ends it when it takes more than its share.

Limits inside (`grading.inside`) bind each process; this adds what only an onlooker can see: the sum over all processes,
the time that passes, and what is written to the folder shared with the host.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

from grading.limits import MIB, Limits
from grading.processes import Process, descendants, proportional_bytes

INTERVAL_SECONDS = 0.1
SHARED_BYTES = 16 * MIB
SHARED_FILES = 64


class Watchdog:
    """Ends the process tree below `pid` at the first limit that it passes; `reason` then says which."""

    def __init__(self, pid: int, limits: Limits, shared: Path) -> None:
        self.reason: str | None = None
        self._pid = pid
        self._limits = limits
        self._shared = shared
        self._started = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"kernel-watchdog-{pid}", daemon=True)

    def start(self) -> None:
        """Begins to watch, in a thread of its own: an event loop that is busy must not delay it."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the watch; the processes are left alone."""
        self._stop.set()
        self._thread.join(timeout=5)

    def look(self) -> str | None:
        """Looks now instead of at the next interval, and ends the kernel if it is over a limit; returns the reason."""
        if self.reason is None:
            reason = self._excess(descendants(self._pid))
            if reason is not None:
                self.kill(reason)
        return self.reason

    def kill(self, reason: str) -> None:
        """Ends every process of the sandbox at once and keeps the reason."""
        self.reason = self.reason or reason
        # The first process of the pid namespace takes all others with it; the outermost only waits for it.
        for process in descendants(self._pid)[:1]:
            _kill(process.pid)
        _kill(self._pid)

    def _watch(self) -> None:
        while not self._stop.wait(INTERVAL_SECONDS):
            if self.look() is not None:
                return

    def _excess(self, tree: list[Process]) -> str | None:
        limits = self._limits
        seconds = time.monotonic() - self._started
        if seconds > limits.wall_seconds:
            return f"ran for more than {limits.wall_seconds} s"
        tasks = sum(process.threads for process in tree)
        if tasks >= limits.processes:  # more cannot be, by the limit inside
            return f"started {tasks} processes and threads (limit {limits.processes})"
        cpu_seconds = sum(process.cpu_seconds for process in tree)
        if cpu_seconds > limits.cpu_seconds:
            return f"used more than {limits.cpu_seconds} s of processor time"
        if sum(process.resident_bytes for process in tree) > limits.memory_bytes:
            used = sum(proportional_bytes(process.pid) for process in tree)
            if used > limits.memory_bytes:
                return f"used {used / MIB:,.0f} MiB of memory (limit {limits.memory_bytes / MIB:,.0f} MiB)"
        return _shared_excess(self._shared)


def _shared_excess(folder: Path) -> str | None:
    size = count = 0
    for path, _, names in os.walk(folder):
        for name in names:
            count += 1
            try:
                size += os.lstat(os.path.join(path, name)).st_size
            except FileNotFoundError:  # removed between the two looks
                continue
    if size > SHARED_BYTES or count > SHARED_FILES:
        return f"wrote {size / MIB:,.0f} MiB in {count} files outside its work folder"
    return None


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:  # it ended by itself first
        return
