"""Which instruction waits for which: reads after writes, writes after reads or writes, from the bytes that they touch.

Only the last accesses that still matter are kept for each piece of memory, so long kernels stay cheap. Tiles without
an address take turns in SBUF and PSUM: a new one waits for the oldest dead ones to make room, which is what limits how
far loads run ahead.
"""

from __future__ import annotations

import heapq
from typing import Any

from course_lib.nki.capacity import weight_bytes
from course_lib.nki.constants import MemoryRegion
from course_lib.nki.instruction import Access, Instruction
from course_lib.nki.storage import Storage

Box = tuple[int, int, int, int]  # first and last row, first and last byte
NOBODY = -1
_EVERYWHERE = (-1, -1)
_MOST_CELLS = 64


def _locate(access: Access) -> tuple[Any, Box]:
    """The memory that an access belongs to and its box there; tiles with addresses share one memory."""
    storage = access.storage
    box = (access.first_partition, access.last_partition, access.first_byte, access.last_byte)
    if storage.address is None:
        return id(storage), box
    partition, byte = storage.address
    return storage.buffer, (box[0] + partition, box[1] + partition, box[2] + byte, box[3] + byte)


def _overlap(a: Box, b: Box) -> bool:
    return a[2] <= b[3] and b[2] <= a[3] and a[0] <= b[1] and b[0] <= a[1]


def _covers(a: Box, b: Box) -> bool:
    return a[2] <= b[2] and b[3] <= a[3] and a[0] <= b[0] and b[1] <= a[1]


class _Cell:
    """The accesses that still matter in one part of a memory."""

    __slots__ = ("reads", "writes")

    def __init__(self) -> None:
        self.reads: dict[Box, dict[Any, int]] = {}
        self.writes: dict[Box, int] = {}


class _Memory:
    """One memory, cut into cells of the size of its first access, so that far-apart accesses never meet.

    Most tiles are read and written as a whole and need no cells: as long as every access covers the same box, the last
    writer and the readers since say everything.
    """

    __slots__ = ("_bytes", "_cells", "_first", "_homes", "_readers", "_rows", "_whole", "_writer")

    def __init__(self, first: Box) -> None:
        self._first, self._whole = first, True
        self._writer = NOBODY
        self._readers: dict[Any, int] = {}

    def _cut(self) -> None:
        """Goes over to cells, at the first access with another box."""
        first = self._first
        self._whole = False
        self._rows, self._bytes = first[1] - first[0] + 1, first[3] - first[2] + 1
        self._cells: dict[tuple[int, int], _Cell] = {}
        self._homes: dict[Box, list[tuple[int, int]]] = {}
        for place in self._home(first):
            cell = self._cell(place)
            if self._writer != NOBODY:
                cell.writes[first] = self._writer
            if self._readers:
                cell.reads[first] = dict(self._readers)

    def _home(self, box: Box) -> list[tuple[int, int]]:
        known = self._homes.get(box)
        if known is None:
            known = self._homes[box] = self._places(box)
        return known

    def _places(self, box: Box) -> list[tuple[int, int]]:
        rows = range(box[0] // self._rows, box[1] // self._rows + 1)
        columns = range(box[2] // self._bytes, box[3] // self._bytes + 1)
        if len(rows) * len(columns) > _MOST_CELLS:
            return [_EVERYWHERE]
        return [(row, column) for row in rows for column in columns]

    def _near(self, home: list[tuple[int, int]]) -> list[_Cell]:
        cells = self._cells
        if home[0] == _EVERYWHERE:
            return list(cells.values())
        near = [cells[place] for place in home if place in cells]
        if _EVERYWHERE in cells:
            near.append(cells[_EVERYWHERE])
        return near

    def _cell(self, place: tuple[int, int]) -> _Cell:
        cell = self._cells.get(place)
        if cell is None:
            cell = self._cells[place] = _Cell()
        return cell

    def read(self, box: Box, index: int, queue: Any, after: set[int]) -> None:
        if self._whole:
            if box == self._first:
                if self._writer != NOBODY:
                    after.add(self._writer)
                self._readers[queue] = index
                return
            self._cut()
        home = self._home(box)
        for cell in self._near(home):
            for other, writer in cell.writes.items():
                if _overlap(box, other):
                    after.add(writer)
        for place in home:
            self._cell(place).reads.setdefault(box, {})[queue] = index

    def write(self, box: Box, index: int, before: set[int]) -> None:
        if self._whole:
            if box == self._first:
                if self._writer != NOBODY:
                    before.add(self._writer)
                if self._readers:
                    before.update(self._readers.values())
                    self._readers = {}
                self._writer = index
                return
            self._cut()
        home = self._home(box)
        for cell in self._near(home):
            if cell.writes:
                hit = [other for other in cell.writes if _overlap(box, other)]
                for other in hit:
                    before.add(cell.writes[other])
                    if _covers(box, other):
                        del cell.writes[other]
            if cell.reads:
                hit = [other for other in cell.reads if _overlap(box, other)]
                for other in hit:
                    before.update(cell.reads[other].values())
                    if _covers(box, other):
                        del cell.reads[other]
        for place in home:
            self._cell(place).writes[box] = index


class _Room:
    """SBUF or PSUM as a ring: dead tiles make room for new ones, oldest first."""

    def __init__(self, partition_bytes: float) -> None:
        self._free = partition_bytes
        self._living: list[tuple[int, int, int, float, Storage]] = []
        self._taken = 0  # breaks ties: one instruction may write two tiles that die together
        self._fence: set[int] = set()

    def take(self, storage: Storage, index: int, users: dict[int, dict[Any, int]], before: set[int]) -> None:
        """Finds room for a tile that is first written by instruction `index`."""
        need = weight_bytes(storage)
        freed: set[int] = set()
        while self._free < need and self._living and self._living[0][0] < index:
            _, _, _, weight, dead = heapq.heappop(self._living)
            self._free += weight
            freed.update(users.pop(id(dead), {}).values())
        if freed:
            self._fence = freed
        before.update(self._fence)
        self._free -= need
        heapq.heappush(self._living, (storage.last, index, self._taken, need, storage))
        self._taken += 1


class Dependencies:
    """Goes through a core's instructions in program order and says for each which earlier ones it waits for.

    Args:
        instructions: the core's record.
        sbuf_bytes, psum_bytes: room behind one partition.
    """

    def __init__(self, instructions: list[Instruction], sbuf_bytes: int, psum_bytes: int) -> None:
        self._memories: dict[Any, _Memory] = {}
        self._users: dict[int, dict[Any, int]] = {}
        placed = {MemoryRegion.sbuf: 0, MemoryRegion.psum: 0}
        written: set[Any] = set()
        for instruction in instructions:
            for access in instruction.writes:
                storage = access.storage
                written.add(id(storage) if storage.address is None else storage.buffer)
                if storage.address is not None:
                    end = storage.address[1] + storage.partition_bytes
                    placed[storage.buffer] = max(placed[storage.buffer], end)
        self._written = written  # what is never written, such as an input in HBM, orders nothing
        self._rooms = {
            MemoryRegion.sbuf: _Room(sbuf_bytes - placed[MemoryRegion.sbuf]),
            MemoryRegion.psum: _Room(psum_bytes - placed[MemoryRegion.psum]),
        }

    def of(self, instruction: Instruction, queue: Any) -> tuple[set[int], set[int]]:
        """What an instruction waits for; call it for each instruction, in order.

        Args:
            instruction: the next one.
            queue: where it runs; instructions of one queue run in order.

        Returns:
            Instructions whose results it reads, and instructions that must have ended for any other reason.
        """
        index = instruction.index
        after: set[int] = set()
        before = set(instruction.depends_on)
        memories, users = self._memories, self._users
        for access in instruction.reads:
            storage = access.storage
            memory, box = _locate(access)
            if memory in self._written:
                known = memories.get(memory)
                if known is None:
                    known = memories[memory] = _Memory(box)
                known.read(box, index, queue, after)
            if storage.on_chip:
                users.setdefault(id(storage), {})[queue] = index
        for access in instruction.writes:
            storage = access.storage
            memory, box = _locate(access)
            on_chip = storage.on_chip
            if on_chip and storage.first == index and storage.address is None:
                self._rooms[storage.buffer].take(storage, index, users, before)
            known = memories.get(memory)
            if known is None:
                known = memories[memory] = _Memory(box)
            known.write(box, index, before)
            if on_chip:
                users.setdefault(id(storage), {})[queue] = index
        before.discard(index)
        after.discard(index)
        return after, before - after if after else before
