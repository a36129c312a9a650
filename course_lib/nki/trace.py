"""A profile as a trace that Perfetto (ui.perfetto.dev) and Chrome's tracing page open.

Each core is a process, each engine a row; DMA transfers that overlap get rows of their own, which are not DMA engines;
two counters show SBUF and PSUM in use. Source: Trace Event Format.
"""

from __future__ import annotations

import heapq
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course_lib.nki.capacity import weight_bytes
from course_lib.nki.constants import MemoryRegion
from course_lib.nki.cost.operands import tiles
from course_lib.nki.schedule import Schedule
from course_lib.nki.session import Core
from course_lib.nki.source import text_of
from course_lib.nki.storage import Storage

if TYPE_CHECKING:
    from course_lib.nki.profile import Profile

_ROWS = {"tensor": 1, "vector": 2, "scalar": 3, "gpsimd": 4, "sync": 5}
_FIRST_DMA_ROW = 10
_MICROSECONDS = 1e-3  # of a nanosecond


def chrome_trace(profile: Profile) -> dict[str, Any]:
    """The run in the Trace Event Format: `traceEvents`, times in microseconds."""
    events: list[dict[str, Any]] = []
    for number, made in enumerate(profile.cores or (profile,)):
        events += _core_events(number, made.core, made.schedule)
    about = f"{profile.kernel} on {profile.target}, times from a cost model"
    return {"traceEvents": events, "displayTimeUnit": "ns", "otherData": {"about": about}}


def save_trace(profile: Profile, path: str | Path) -> Path:
    """Writes the trace as JSON and returns its path."""
    target = Path(path)
    target.write_text(json.dumps(chrome_trace(profile)))
    return target


def dma_rows(plan: Schedule) -> dict[int, int]:
    """DMA instruction → row, so that transfers on one row never overlap."""
    rows: dict[int, int] = {}
    free: list[tuple[float, int]] = []
    for index in sorted(plan.transfers, key=lambda at: (plan.start[at], at)):
        if free and free[0][0] <= plan.start[index]:
            _, row = heapq.heappop(free)
        else:
            row = len(free)
        rows[index] = row
        heapq.heappush(free, (plan.end[index], row))
    return rows


def lifetimes(core: Core, plan: Schedule, buffer: MemoryRegion) -> list[tuple[Storage, float, float]]:
    """Tiles of a memory with the nanoseconds from their first write to their last use."""
    ends: dict[int, float] = {}
    for made in core.instructions:
        for access in (*made.reads, *made.writes):
            if access.storage.buffer is buffer:
                key = id(access.storage)
                ends[key] = max(ends.get(key, 0.0), plan.end[made.index])
    return [
        (storage, plan.start[storage.first], ends[id(storage)])
        for storage in core.storages
        if storage.buffer is buffer and storage.first >= 0 and id(storage) in ends
    ]


def usage(lives: list[tuple[Storage, float, float]]) -> tuple[list[float], list[float]]:
    """Moments in nanoseconds, and bytes of a partition in use from each on."""
    changes: dict[float, float] = {}
    for storage, start, end in lives:
        changes[start] = changes.get(start, 0.0) + weight_bytes(storage)
        changes[end] = changes.get(end, 0.0) - weight_bytes(storage)
    moments, used = sorted(changes), []
    level = 0.0
    for moment in moments:
        level += changes[moment]
        used.append(level)
    return moments, used


def _core_events(number: int, core: Core, plan: Schedule) -> list[dict[str, Any]]:
    rows = dma_rows(plan)
    names = {row: name for name, row in _ROWS.items() if name in set(plan.queue)}
    names.update({_FIRST_DMA_ROW + row: f"DMA transfers {row + 1}" for row in set(rows.values())})
    events: list[dict[str, Any]] = [_meta("process_name", number, 0, f"core {number}: {core.hardware.title}")]
    events += [_meta("thread_name", number, row, name) for row, name in sorted(names.items())]
    texts = {line: text_of(line) for line in {made.line for made in core.instructions}}
    for index, made in enumerate(core.instructions):
        about: dict[str, Any] = {"line": made.line, "text": texts[made.line], "index": index}
        about["tiles"] = [f"{'x'.join(map(str, tile.shape))} {tile.dtype} {tile.buffer.value}" for tile in tiles(made)]
        transfer = plan.transfers.get(index)
        if transfer is not None:
            about |= {
                "bytes": transfer.bytes_,
                "engines": transfer.engines,
                "efficiency": round(transfer.efficiency, 3),
            }
        else:
            about["cycles"] = round(plan.cycles[index])
        events.append(
            {
                "name": made.op,
                "cat": "dma" if transfer is not None else "compute",
                "ph": "X",
                "ts": plan.start[index] * _MICROSECONDS,
                "dur": (plan.end[index] - plan.start[index]) * _MICROSECONDS,
                "pid": number,
                "tid": _ROWS[plan.queue[index]] if transfer is None else _FIRST_DMA_ROW + rows[index],
                "args": about,
            }
        )
    for buffer in (MemoryRegion.sbuf, MemoryRegion.psum):
        name = f"{buffer.value} bytes of a partition"
        for moment, used in zip(*usage(lifetimes(core, plan, buffer)), strict=True):
            events.append(
                {"name": name, "ph": "C", "ts": moment * _MICROSECONDS, "pid": number, "args": {"bytes": used}}
            )
    return events


def _meta(kind: str, process: int, thread: int, name: str) -> dict[str, Any]:
    return {"name": kind, "ph": "M", "pid": process, "tid": thread, "args": {"name": name}}
