"""Finds the processes that outlive the tests that started them.

The process that runs the tests adopts whatever its descendants leave behind (Linux's "child subreaper"), so that a
process whose own parent has ended is found like any other: as a child.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import psutil

# A process that was told to end takes a moment, and more on a busy machine.
PATIENCE_SECONDS = 10.0
# Python's own, which lives as long as the process that uses multiprocessing, and ends with it.
FOREVER = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
# What a fixture of the whole session keeps: it must be gone when the session ends.
UNTIL_THE_END = ("course_lib.runtime.nursery", "course_lib.finops.cloud.server")


def children() -> set[int]:
    """Process ids of this process's children, dead ones that nobody waited for among them."""
    found: set[int] = set()
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # the thread has ended meanwhile
            found.update(map(int, (thread / "children").read_text().split()))
    return found


def told(pid: int) -> str:
    """The command line of a living process; empty when it has ended."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            return " ".join(process.cmdline()) or process.name()
    return ""


def descendants(pid: int) -> list[int]:
    """Process ids of a process's children and their children."""
    with suppress(psutil.Error):
        return [process.pid for process in psutil.Process(pid).children(recursive=True)]
    return []


class Watch:
    """Which child was first seen with which test, and which is still there."""

    def __init__(self) -> None:
        self._seen = dict.fromkeys(children(), "")

    def look(self, test: str) -> None:
        """Lay every child that is new to this test."""
        self._seen = {pid: self._seen.get(pid, test) for pid in children()}

    def survivors(self, *, at_the_end: bool) -> list[str]:
        """One line for each process that should have ended, after waiting for it; they are ended now.

        Args:
            at_the_end: No test follows, so no fixture has a reason to keep one.
        """
        allowed = FOREVER if at_the_end else FOREVER + UNTIL_THE_END
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (alive := self._alive(allowed)) and time.monotonic() < deadline:
            time.sleep(0.05)
        for pid in alive:
            for process in [*descendants(pid), pid]:
                with suppress(psutil.Error):
                    psutil.Process(process).kill()
        for pid, test in self._seen.items():
            if test:  # an adopted one that has ended has nobody else to wait for it
                with suppress(OSError):
                    os.waitpid(pid, os.WNOHANG)
        return list(alive.values())

    def _alive(self, allowed: tuple[str, ...]) -> dict[int, str]:
        alive = {}
        for pid, test in self._seen.items():
            line = told(pid) if test else ""
            if not any(name in line for name in allowed):
                if line:
                    alive[pid] = f"process {pid}, first seen with {test}: {line[:300]}"
                continue
            # what a process that may stay has started, a fork of itself for example, may not
            for child in descendants(pid):
                if line := told(child):
                    alive[child] = f"process {child}, a descendant of one first seen with {test}: {line[:300]}"
        return alive
