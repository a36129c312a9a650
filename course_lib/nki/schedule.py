"""When each instruction runs: engines work side by side, each in program order, and wait for each other by semaphores.

DMA instructions start about 1300 ns after what they wait for; those of one kernel line form a queue that issues in
order, and all queues share the DMA engines of the core, first come first served. A model: it knows no arbitration in
SBUF but for the documented restrictions of NeuronCore-v2, and no contention for HBM beyond the DMA engines' own rate.
Source: NKI architecture guides and NKI performance guide 2.32.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from course_lib.catalog import NeuronCore
from course_lib.nki.constants import MemoryRegion, engine
from course_lib.nki.cost import Transfer, dma_transfer, price
from course_lib.nki.cost.operands import tiles
from course_lib.nki.dependencies import Dependencies
from course_lib.nki.instruction import Instruction

COMPUTE = ("tensor", "vector", "scalar", "gpsimd")
NO_CAUSE = -1
Found = TypeVar("Found")


@dataclass
class Schedule:
    """Start and end of every instruction of one core, in nanoseconds.

    Attributes:
        start, end: of each instruction; of a DMA, of the transfer itself.
        busy: nanoseconds that its engine is busy (a DMA: each of its engines).
        queue: `tensor`, `vector`, `scalar`, `gpsimd`, `sync`, or `dma` and the kernel's line.
        cause: the instruction whose end or issue let it start, -1 for none.
        cycles: of its engine; 0 for a DMA.
        transfers: index → cost of each DMA instruction.
        estimated: operations that no page prints a cost for.
        total: end of the last instruction.
        dma_busy: nanoseconds that the DMA engines are busy, all together.
    """

    start: list[float] = field(default_factory=list)
    end: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    queue: list[str] = field(default_factory=list)
    cause: list[int] = field(default_factory=list)
    cycles: list[float] = field(default_factory=list)
    transfers: dict[int, Transfer] = field(default_factory=dict)
    estimated: set[str] = field(default_factory=set)
    total: float = 0.0
    dma_busy: float = 0.0


def engine_ghz(name: str, core: NeuronCore) -> float:
    """Clock of an engine in cycles per nanosecond; where none is published, that of the scalar engine."""
    return {"tensor": core.tensor_ghz, "vector": core.vector_ghz, "gpsimd": core.gpsimd_ghz}.get(name, core.scalar_ghz)


def schedule(instructions: list[Instruction], core: NeuronCore) -> Schedule:
    """Places a core's instructions in time.

    Args:
        instructions: the record, in program order, `index` counting from 0.
        core: the NeuronCore's facts.
    """
    plan = Schedule()
    followers = _prepare(instructions, core, plan)
    _simulate(instructions, core, plan, followers)
    plan.total = max(plan.end, default=0.0)
    return plan


# (instruction, nanoseconds to add, whether they count from the issue rather than from the end)
Followers = list[list[tuple[int, float, bool]]]


def _prepare(instructions: list[Instruction], core: NeuronCore, plan: Schedule) -> Followers:
    """Prices every instruction and finds what waits for what."""
    needs = Dependencies(instructions, core.sbuf_partition_bytes, core.psum_partition_bytes)
    known = _Memory(core)
    followers: Followers = [[] for _ in instructions]
    previous: dict[str, int] = {}
    clocks = {kind: engine_ghz(kind.name, core) for kind in engine}
    queues = {kind: "sync" if kind is engine.unknown else kind.name for kind in engine}
    for index, instruction in enumerate(instructions):
        kind = instruction.engine
        moves = kind is engine.dma
        queue = f"dma {instruction.line}" if moves else queues[kind]
        ghz = clocks[kind]
        if moves:
            transfer = plan.transfers[index] = known(instruction, dma_transfer)
            cost, busy = 0.0, transfer.engine_ns
        else:
            cost, estimated = known(instruction, price)
            busy = cost / ghz
            if estimated:
                plan.estimated.add(instruction.op)
        plan.queue.append(queue)
        plan.cycles.append(cost)
        plan.busy.append(busy)
        after, before = needs.of(instruction, queue)
        start = core.dma_start_ns if moves else 0.0
        last = previous.get(queue, NO_CAUSE)
        for producer in after:
            delay = start
            if not moves and plan.queue[producer] in COMPUTE:
                # The access latency hides behind other work, unless the producer is the instruction just before.
                delay = core.access_cycles / ghz
                if producer == last:
                    delay += core.dependent_cycles / ghz
            followers[producer].append((index, delay, False))
        for earlier in before:
            if moves or plan.queue[earlier] != queue:
                followers[earlier].append((index, start, False))
        if last != NO_CAUSE:
            gap = plan.transfers[last].issue_ns if moves else 0.0
            followers[last].append((index, gap, moves))
        previous[queue] = index
    return followers


class _Memory:
    """Prices that were worked out before: kernels repeat the same few instructions."""

    def __init__(self, core: NeuronCore) -> None:
        self._core = core
        self._found: dict[Any, Any] = {}

    def __call__(self, instruction: Instruction, rule: Callable[[Instruction, NeuronCore], Found]) -> Found:
        about = instruction.about
        facts = [value for name, value in about.items() if name != "operands"]
        shapes = [(one.shape, one.strides, one.dtype, one.buffer, one.indirect) for one in tiles(instruction)]
        key = (instruction.op, instruction.engine, len(instruction.writes), *shapes, *facts)
        try:
            known = self._found.get(key)
            if known is None:
                known = self._found[key] = rule(instruction, self._core)
        except TypeError:  # a fact that cannot be hashed
            return rule(instruction, self._core)
        return known


def _simulate(instructions: list[Instruction], core: NeuronCore, plan: Schedule, followers: Followers) -> None:
    """Runs the instructions in the order in which they become ready."""
    count = len(instructions)
    plan.start, plan.end = [0.0] * count, [0.0] * count
    plan.cause = [NO_CAUSE] * count
    waiting = [0] * count
    ready = [core.dma_start_ns if index in plan.transfers else 0.0 for index in range(count)]
    for list_ in followers:
        for follower, _, _ in list_:
            waiting[follower] += 1
    heap = [(ready[index], index) for index in range(count) if not waiting[index]]
    heapq.heapify(heap)
    free = [(0.0, NO_CAUSE)] * core.dma_engines
    ports = _Ports(core)
    while heap:
        moment, index = heapq.heappop(heap)
        transfer = plan.transfers.get(index)
        if transfer is not None:
            start, end, holder = _transfer(free, transfer, moment, index)
            if holder != NO_CAUSE:
                plan.cause[index] = holder
            plan.dma_busy += transfer.engines * transfer.engine_ns
        else:
            start = ports.wait(plan.queue[index], instructions[index], moment, plan.busy[index])
            end = start + plan.busy[index]
        plan.start[index], plan.end[index] = start, end
        for follower, delay, from_issue in followers[index]:
            # A queue of DMAs issues the next one while this one is still under way.
            earliest = (moment if from_issue else end) + delay
            if earliest > ready[follower] or plan.cause[follower] == NO_CAUSE:
                ready[follower] = max(earliest, ready[follower])
                plan.cause[follower] = index
            waiting[follower] -= 1
            if not waiting[follower]:
                heapq.heappush(heap, (ready[follower], follower))


def _transfer(free: list[tuple[float, int]], transfer: Transfer, moment: float, index: int) -> tuple[float, float, int]:
    """Takes the engines that are free first.

    Returns:
        When the first of them starts, when the last ends, and which transfer that one had to wait for, -1 for none.
    """
    free.sort()
    last, holder = free[transfer.engines - 1]
    for place in range(transfer.engines):
        since = free[place][0]
        free[place] = ((since if since > moment else moment) + transfer.engine_ns, index)
    begin = free[0][0] - transfer.engine_ns
    return begin, max(last, moment) + transfer.engine_ns, holder if last > moment else NO_CAUSE


class _Ports:
    """Memories that pairs of engines of NeuronCore-v2 reach one at a time."""

    def __init__(self, core: NeuronCore) -> None:
        self._pairs = []
        for text in core.shared_ports:
            one, other, memory = text.split()
            self._pairs.append(({one, other}, MemoryRegion(memory)))
        self._free: list[dict[str, float]] = [{} for _ in self._pairs]

    def wait(self, queue: str, instruction: Instruction, moment: float, busy: float) -> float:
        """When an instruction that is ready at `moment` gets its memories; notes that it holds them."""
        if not self._pairs:
            return moment
        held = [
            place
            for place, (engines, memory) in enumerate(self._pairs)
            if queue in engines
            and any(access.storage.buffer is memory for access in (*instruction.reads, *instruction.writes))
        ]
        start = moment
        for place in held:
            for other, until in self._free[place].items():
                if other != queue:
                    start = max(start, until)
        for place in held:
            self._free[place][queue] = start + busy
        return start
