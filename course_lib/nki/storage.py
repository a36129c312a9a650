"""One allocation: the memory behind a tensor and all its views, with what the machine's rules need to know about it."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from course_lib.nki.constants import MemoryRegion
from course_lib.nki.dtypes import DType

if TYPE_CHECKING:
    from course_lib.nki.owed import Owed


class Storage:
    """Memory of one tensor.

    Attributes:
        shape: shape as allocated; on chip, dimension 0 is the partition dimension.
        dtype: number format as allocated.
        buffer: memory region.
        on_chip: whether that is SBUF or PSUM.
        alive: weak reference to the array with the elements; tensors own it, so that memory goes with the last view.
        name: as given, or made up.
        line: `file.py:12`, where the kernel allocates it.
        address: (partition, byte within the partition) when the kernel places it itself, else None.
        first, last: index of the first write and of the last use, -1 before; the live range.
        owed: values that are computed when somebody looks; None when the array holds what it should.
        lent: storages that are owed values computed from this one; they are settled before it changes.
        aliased: whether its memory may change without an instruction that names it.
        written: one flag for each byte, whether it was ever written; None unless uninitialised reads are errors.
        overlaps: other placed tensors of the same core whose addresses overlap.
        clobbered: one number for each byte, 0 or the place in `clobberers` plus 1; None when nothing was overwritten.
        clobberers: who overwrote bytes of this tensor through another name.
        psum: how the matmul finds a PSUM tensor: see `psum`.
        shared: whether other cores of the launch see it.
    """

    __slots__ = (
        "address",
        "aliased",
        "alive",
        "buffer",
        "clobbered",
        "clobberers",
        "dtype",
        "first",
        "last",
        "lent",
        "line",
        "name",
        "on_chip",
        "overlaps",
        "owed",
        "psum",
        "shape",
        "shared",
        "written",
    )

    def __init__(
        self, shape: tuple[int, ...], dtype: DType, buffer: MemoryRegion, array: np.ndarray, name: str, line: str
    ) -> None:
        self.shape, self.dtype, self.buffer, self.name, self.line = shape, dtype, buffer, name, line
        self.on_chip = buffer is MemoryRegion.sbuf or buffer is MemoryRegion.psum
        self.alive = weakref.ref(array)
        self.address: tuple[int, int] | None = None
        self.first = self.last = -1
        self.owed: Owed | None = None
        # Empty tuples until they are needed: a kernel allocates thousands of tiles.
        self.lent: Sequence[Storage] = ()
        self.aliased = False
        self.written: np.ndarray | None = None
        self.overlaps: Sequence[Storage] = ()
        self.clobbered: np.ndarray | None = None
        self.clobberers: tuple[str, ...] = ()
        self.psum: Any = None
        self.shared = buffer is MemoryRegion.shared_hbm

    @property
    def partitions(self) -> int:
        """Partitions that it takes (on chip)."""
        return self.shape[0]

    @property
    def partition_bytes(self) -> int:
        """Bytes behind each of its partitions, in the device's number format."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes in the device's number format."""
        return math.prod(self.shape) * self.dtype.itemsize

    def settle(self) -> None:
        """Computes the values that it is owed."""
        owed, self.owed = self.owed, None
        array = self.alive()
        if owed is not None and array is not None:
            owed.pay(array)

    def lend(self, borrower: Storage) -> None:
        """Notes that another storage is owed values computed from this one."""
        if not isinstance(self.lent, list):
            self.lent = [borrower]
        elif self.lent[-1] is not borrower:
            self.lent.append(borrower)

    def settle_borrowers(self) -> None:
        """Computes what others are owed from this storage; its own values change next."""
        borrowers, self.lent = self.lent, ()
        for borrower in borrowers:
            if borrower.owed is not None:
                borrower.settle()

    def describe(self) -> str:
        """For messages: name, shape, format and where it was allocated."""
        text = f"{self.name} {self.shape} {self.dtype} in {self.buffer.value}"
        return f"{text} (allocated at {self.line})" if self.line else text
