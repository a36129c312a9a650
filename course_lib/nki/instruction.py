"""What is recorded of one instruction: enough to price it, to order it and to point at its line."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from course_lib.nki.constants import MemoryRegion, engine
from course_lib.nki.dtypes import DType
from course_lib.nki.pattern import is_dense
from course_lib.nki.storage import Storage
from course_lib.nki.tensor import NkiTensor


@dataclass(slots=True)
class Access:
    """A box of memory that an instruction reads or writes.

    Attributes:
        storage: the memory.
        first_partition, last_partition: the partitions it touches; in HBM, rows of the innermost dimension.
        first_byte, last_byte: bytes it touches within a partition (a row), both inclusive.
    """

    storage: Storage
    first_partition: int
    last_partition: int
    first_byte: int
    last_byte: int

    def overlaps(self, other: Access) -> bool:
        """Whether the two touch common bytes."""
        return (
            self.storage is other.storage
            and self.first_byte <= other.last_byte
            and other.first_byte <= self.last_byte
            and self.first_partition <= other.last_partition
            and other.first_partition <= self.last_partition
        )


@dataclass(slots=True)
class Operand:
    """What a record keeps of a tile: everything but its values, with `NkiTensor`'s names.

    Attributes:
        shape, dtype, strides, buffer, storage: as of the tensor; strides in elements.
        indirect: whether its elements were looked up.
    """

    shape: tuple[int, ...]
    dtype: DType
    strides: tuple[int, ...]
    buffer: MemoryRegion
    storage: Storage
    indirect: bool

    @property
    def name(self) -> str:
        return self.storage.name

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def on_chip(self) -> bool:
        return self.storage.on_chip

    def is_indirect(self) -> bool:
        """Whether its elements were looked up at run time."""
        return self.indirect

    def is_contiguous(self) -> bool:
        """Whether it covers storage in order; on chip, within each partition."""
        lowest = 1 if self.on_chip else 0
        return is_dense(self.strides[lowest:], self.shape[lowest:])


def outline(tensor: NkiTensor) -> Operand:
    """A tensor without its memory."""
    known = tensor.outline
    if known is None:
        memory, looked_up = tensor.memory, tensor.indirection is not None
        size = memory.itemsize
        strides = tuple([step // size for step in memory.strides])
        known = Operand(tensor.shape, tensor.dtype, strides, tensor.buffer, tensor.storage, looked_up)
        tensor.outline = known
    return known


@dataclass(slots=True)
class Instruction:
    """One instruction as the kernel issued it.

    Attributes:
        index: its place in program order on its core.
        op: name in `nki.isa`.
        engine: where it runs.
        reads, writes: memory boxes.
        line: `file.py:12` of the kernel.
        about: what the cost model needs: element counts, formats, operators; "operands" holds an
            `Operand` for each tile, inputs first and the result last. See `nki.cost`.
        depends_on: further instructions to wait for (`NkiInstruction.depends_on`).
    """

    index: int
    op: str
    engine: engine
    reads: tuple[Access, ...]
    writes: tuple[Access, ...]
    line: str
    about: dict[str, Any] = field(default_factory=dict)
    depends_on: list[int] = field(default_factory=list)
