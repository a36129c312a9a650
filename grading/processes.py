"""Reads the process tree below one process from /proc, as the kernel's guard outside the sandbox needs it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Process:
    """One process at one moment.

    Args:
        pid: its number as the host sees it.
        parent: its parent's number.
        cpu_seconds: user and system time, its own and that of its finished children.
        threads: how many threads it has.
        started_ticks: when it started, in clock ticks since boot.
        resident_bytes: memory in use; pages shared with its relatives are counted in each.
    """

    pid: int
    parent: int
    cpu_seconds: float
    threads: int
    started_ticks: int
    resident_bytes: int


def read_process(pid: int) -> Process | None:
    """One process, or None when it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may hold spaces and parentheses itself; what follows the last one is regular.
    fields = text[text.rindex(")") + 2 :].split()
    return Process(
        pid=pid,
        parent=int(fields[1]),
        cpu_seconds=sum(int(ticks) for ticks in fields[11:15]) / _TICKS_PER_SECOND,
        threads=int(fields[17]),
        started_ticks=int(fields[19]),
        resident_bytes=int(fields[21]) * _PAGE_BYTES,
    )


def descendants(root: int) -> list[Process]:
    """Every living process below `root`, nearest first; orphans of a pid namespace stay below its first process."""
    everything = [read_process(int(name)) for name in os.listdir("/proc") if name.isdigit()]
    children: dict[int, list[Process]] = {}
    for process in everything:
        if process is not None:
            children.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    waiting = [root]
    while waiting:
        for process in sorted(children.get(waiting.pop(0), []), key=lambda process: process.started_ticks):
            found.append(process)
            waiting.append(process.pid)
    return found


def proportional_bytes(pid: int) -> int:
    """Memory of a process with shared pages divided among those who share them; 0 when it cannot be read."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (OSError, ValueError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith(("Pss:", "SwapPss:")))
