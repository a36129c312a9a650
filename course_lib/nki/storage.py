"""One allocation: the memory behind a tensor and all its views, with what the machine's rules need to know about it."""

from __future__ import annotations

import math
import weakref
from typing import Any

import numpy as np

from course_lib.nki.constants import MemoryRegion
from course_lib.nki.dtypes import DType


class Storage:
    """Memory of one tensor.

    Attributes:
        shape: shape as allocated; on chip, dimension 0 is the partition dimension.
        dtype: number format as allocated.
        buffer: memory region.
        alive: weak reference to the array that holds the elements; tensors own it, so that memory goes with the last view.
        name: as given, or made up.
        line: `file.py:12`, where the kernel allocates it.
        address: (partition, byte within the partition) when the kernel places it itself, else None.
        first, last: index of the first write and of the last use, -1 before; the live range.
        written: byte-wise mask of what was ever written; None unless uninitialised reads are errors.
        overlaps: other placed tensors of the same core whose addresses overlap.
        clobbered: who overwrote this tensor's memory since it was last written; empty when nobody did.
        psum_regions: accumulation state of each region of a PSUM tensor, kept by the matmul.
        shared: whether other cores of the launch see it.
    """

    __slots__ = (
        "address",
        "alive",
        "buffer",
        "clobbered",
        "dtype",
        "first",
        "last",
        "line",
        "name",
        "overlaps",
        "psum_regions",
        "shape",
        "shared",
        "written",
    )

    def __init__(
        self, shape: tuple[int, ...], dtype: DType, buffer: MemoryRegion, array: np.ndarray, name: str, line: str
    ) -> None:
        self.shape, self.dtype, self.buffer, self.name, self.line = shape, dtype, buffer, name, line
        self.alive = weakref.ref(array)
        self.address: tuple[int, int] | None = None
        self.first = self.last = -1
        self.written: np.ndarray | None = None
        self.overlaps: list[Storage] = []
        self.clobbered = ""
        self.psum_regions: dict[Any, str] = {}
        self.shared = buffer is MemoryRegion.shared_hbm

    @property
    def on_chip(self) -> bool:
        return self.buffer is MemoryRegion.sbuf or self.buffer is MemoryRegion.psum

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

    def describe(self) -> str:
        """For messages: name, shape, format and where it was allocated."""
        text = f"{self.name} {self.shape} {self.dtype} in {self.buffer.value}"
        return f"{text} (allocated at {self.line})" if self.line else text
