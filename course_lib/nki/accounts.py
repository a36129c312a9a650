"""A schedule added up: what each engine and each line of the kernel costs."""

from __future__ import annotations

from dataclasses import dataclass

from course_lib.nki.schedule import COMPUTE, Schedule, engine_ghz
from course_lib.nki.session import Core
from course_lib.nki.source import text_of
from course_lib.nki.verdict import critical_path


@dataclass(frozen=True)
class EngineUse:
    """One engine's share of a run.

    Attributes:
        cycles: that it was busy; 0 for the DMA engines, which have no published clock.
        seconds: that it was busy (the DMA engines: on average).
        busy: the same as a fraction of the kernel's time.
        instructions: that ran on it.
    """

    cycles: float
    seconds: float
    busy: float
    instructions: int


@dataclass(frozen=True)
class LineCost:
    """What one line of the kernel costs.

    Attributes:
        line: `file.py:12`.
        operations: names of the instructions that it issues.
        instructions: how many.
        cycles: of its compute engines, together.
        seconds: that its instructions keep their engine busy (the DMA engines: on average, as in `EngineUse`).
        critical_seconds: its part of the chain of instructions that makes the kernel as long as it is, waits included.
        hbm_bytes: that it moves over HBM.
        text: the line itself; empty when its file is not at hand.
    """

    line: str
    operations: tuple[str, ...]
    instructions: int
    cycles: float
    seconds: float
    critical_seconds: float
    hbm_bytes: int
    text: str


def engine_use(core: Core, plan: Schedule) -> dict[str, EngineUse]:
    """Engine → use; the four compute engines always, the others when something ran on them."""
    cycles: dict[str, float] = {name: 0.0 for name in COMPUTE}
    counts: dict[str, int] = {name: 0 for name in COMPUTE}
    for queue, cost in zip(plan.queue, plan.cycles, strict=True):
        name = "dma" if queue.startswith("dma") else queue
        cycles[name] = cycles.get(name, 0.0) + cost
        counts[name] = counts.get(name, 0) + 1
    use = {}
    for name, count in counts.items():
        if name == "dma":
            busy = plan.dma_busy / core.hardware.dma_engines
        else:
            busy = cycles[name] / engine_ghz(name, core.hardware)
        use[name] = EngineUse(cycles[name], busy * 1e-9, busy / plan.total if plan.total else 0.0, count)
    return use


def line_costs(core: Core, plan: Schedule) -> list[LineCost]:
    """Cost of each kernel line, the most critical first."""
    instructions = core.instructions
    critical: dict[str, float] = {}
    reached = 0.0
    for index in critical_path(plan):
        line = instructions[index].line
        critical[line] = critical.get(line, 0.0) + max(0.0, plan.end[index] - reached)
        reached = max(reached, plan.end[index])
    gathered: dict[str, list[int]] = {}
    for index, made in enumerate(instructions):
        gathered.setdefault(made.line, []).append(index)
    costs = []
    for line, places in gathered.items():
        moved = [plan.transfers[place] for place in places if place in plan.transfers]
        busy = sum(plan.busy[place] for place in places if place not in plan.transfers)
        busy += sum(transfer.engine_ns * transfer.engines for transfer in moved) / core.hardware.dma_engines
        costs.append(
            LineCost(
                line=line,
                operations=tuple(sorted({instructions[place].op for place in places})),
                instructions=len(places),
                cycles=sum(plan.cycles[place] for place in places),
                seconds=busy * 1e-9,
                critical_seconds=critical.get(line, 0.0) * 1e-9,
                hbm_bytes=sum(transfer.hbm_read + transfer.hbm_written for transfer in moved),
                text=text_of(line),
            )
        )
    return sorted(costs, key=lambda cost: (cost.critical_seconds, cost.seconds), reverse=True)
