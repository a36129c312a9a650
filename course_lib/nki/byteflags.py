"""A small number for each byte of a storage, kept once for all rows as long as they are alike.

A row is what lies behind one index of dimension 0; on chip, a partition. Most instructions treat all partitions alike,
so what is known about 128 of them usually fits into the bytes of one.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from course_lib.nki.tensor import NkiTensor


_lock = threading.RLock()  # the cores of a launch write to the same HBM, each on its own thread


class ByteFlags:
    """The numbers of one storage.

    Args:
        rows: sizes of dimension 0.
        nbytes: bytes of the storage on the device.
        value: what every byte begins with.

    Attributes:
        whole: the number that all bytes have, None when they may differ.
    """

    __slots__ = ("_array", "_nbytes", "_rows", "whole")

    def __init__(self, rows: int, nbytes: int, value: int = 0) -> None:
        self._rows, self._nbytes = rows, nbytes
        self.fill(value)

    def fill(self, value: int) -> None:
        """Gives all bytes one number."""
        with _lock:
            self.whole: int | None = value
            self._array: np.ndarray | None = None

    def of(self, tensor: NkiTensor) -> np.ndarray:
        """The numbers of a direct view, with one more dimension: the bytes of each element.

        Returns:
            A view; dimension 0 has one entry instead of all while the rows are alike.
        """
        memory, base = tensor.memory, tensor.base
        with _lock:
            known = self._array
            if known is None:
                known = np.full(self._nbytes // self._rows, self.whole, dtype=np.uint8)
            rows = None
            if len(known) < self._nbytes:
                if memory.shape[0] == self._rows and memory.strides[0] == base.strides[0]:
                    rows = 1
                else:
                    known = np.tile(known, self._rows)
            self._array = known
        return bytes_of(known, tensor, rows)

    def set(self, tensor: NkiTensor, value: int) -> None:
        """Gives the bytes of a direct view one number."""
        with _lock:
            if tensor.memory is tensor.base:
                self.fill(value)
            elif self.whole != value:
                self.of(tensor)[...] = value
                self.whole = None

    def set_places(self, itemsize: int, places: np.ndarray, value: int) -> None:
        """Gives the bytes of single elements one number."""
        with _lock:
            self.elements(itemsize)[places.reshape(-1)] = value

    def elements(self, itemsize: int) -> np.ndarray:
        """All numbers, to read and to change: a row for each element of the storage."""
        known = self._array
        if known is None:
            known = np.full(self._nbytes, self.whole, dtype=np.uint8)
        elif len(known) < self._nbytes:
            known = np.tile(known, self._rows)
        self._array, self.whole = known, None
        return known.reshape(-1, itemsize)


def bytes_of(flags: np.ndarray, tensor: NkiTensor, rows: int | None = None) -> np.ndarray:
    """The part of `flags`, one entry for each byte of the storage on the device, that belongs to a direct view.

    Args:
        flags: of the whole storage; of its first row when `rows` is 1.
        tensor: the view.
        rows: how much of dimension 0, None for all of it.

    Returns:
        A view with one more dimension than the tensor: the bytes of each element.
    """
    memory = tensor.memory
    size, stored = tensor.dtype.itemsize, memory.itemsize
    strides = tuple(step // stored * size for step in memory.strides)
    shape = memory.shape if rows is None else (rows, *memory.shape[1:])
    return np.ndarray((*shape, size), flags.dtype, flags, tensor.start // stored * size, (*strides, 1))
