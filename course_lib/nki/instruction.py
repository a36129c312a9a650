"""What is recorded of one instruction: enough to price it, to order it and to point at its line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from course_lib.nki.constants import engine
from course_lib.nki.storage import Storage


@dataclass(slots=True)
class Access:
    """A box of memory that an instruction reads or writes.

    Attributes:
        storage: the memory.
        first_partition, last_partition: on chip, the partitions it touches; 0 and 0 in HBM.
        first_byte, last_byte: bytes it touches within a partition (in HBM: within the storage), both inclusive.
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
class Instruction:
    """One instruction as the kernel issued it.

    Attributes:
        index: its place in program order on its core.
        op: name in `nki.isa`.
        engine: where it runs.
        reads, writes: memory boxes.
        line: `file.py:12` of the kernel.
        about: what the cost model needs: element counts, formats, operators, bytes moved; see `nki.cost`.
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
