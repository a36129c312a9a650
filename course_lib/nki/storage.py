"""One allocation: the memory behind a tensor and all its views, with what the machine's rules need to know about it."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from course_lib.nki.byteflags import ByteFlags
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
        line: `file.py:12`, where the kernel allocates it.
        partition_bytes: bytes behind each of its partitions, in the device's number format.
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

    # Kernels allocate thousands of tiles, and most of them keep most of these.
    address: tuple[int, int] | None = None
    first = -1
    last = -1
    owed: Owed | None = None
    lent: Sequence[Storage] = ()
    aliased = False
    written: ByteFlags | None = None
    overlaps: Sequence[Storage] = ()
    clobbered: np.ndarray | None = None
    clobberers: tuple[str, ...] = ()
    psum: Any = None
    shared = False

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: DType,
        buffer: MemoryRegion,
        array: np.ndarray,
        name: str,
        line: str,
        number: int = 0,
    ) -> None:
        self.shape, self.dtype, self.buffer, self.line = shape, dtype, buffer, line
        self._name, self._number = name, number
        self.on_chip = buffer is MemoryRegion.sbuf or buffer is MemoryRegion.psum
        self.alive = weakref.ref(array)
        self.partition_bytes = math.prod(shape[1:]) * dtype.itemsize

    @property
    def name(self) -> str:
        """As given, or made up from the region and a number."""
        return self._name or f"{self.buffer.value}_{self._number}"

    @property
    def partitions(self) -> int:
        """Partitions that it takes (on chip)."""
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes in the device's number format."""
        return self.shape[0] * self.partition_bytes

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
