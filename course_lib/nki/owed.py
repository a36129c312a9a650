"""Values that an instruction owes a tile: computed when somebody looks at the tile, or not at all when nobody does.

A kernel's tiles are small, and a CPU wants large operands. So fresh memory is filled when it is read before it is
written, a load is copied when something other than a matmul needs it, and a chain of matmuls whose operands lie behind
one another in HBM runs as one product. `NkiTensor.array` settles first; so does a write to memory that others are owed
from.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from course_lib.nki.dtypes import uninitialised
from course_lib.nki.pattern import restride
from course_lib.nki.storage import Storage
from course_lib.nki.tensor import NkiTensor, is_hbm

_FLOAT32 = np.dtype(np.float32)
_MOST_ROWS = 8192  # of one product; bounds the float32 copies of low-precision operands

# Instructions that write every element of dst whatever was there, so that fresh memory need not be filled first.
OVERWRITES = frozenset(
    {
        "activation",
        "dma_copy",
        "iota",
        "memset",
        "nc_transpose",
        "reciprocal",
        "tensor_copy",
        "tensor_scalar",
        "tensor_tensor",
    }
)


class Owed(Protocol):
    """What is owed to a storage."""

    def pay(self, array: np.ndarray) -> None:
        """Writes the values into the storage's array."""


class Fill:
    """Fresh memory: NaN or 4."""

    __slots__ = ()

    def pay(self, array: np.ndarray) -> None:
        array.fill(uninitialised(array.dtype))


FILL = Fill()


class Load:
    """A copy of a view of HBM into a whole tile."""

    __slots__ = ("lender", "source")

    def __init__(self, source: np.ndarray, lender: Storage) -> None:
        self.source, self.lender = source, lender

    def pay(self, array: np.ndarray) -> None:
        array[...] = self.source


class Product:
    """`region = a.T @ b` or `region += a.T @ b`, where a and b are rows of HBM that grow matmul by matmul."""

    __slots__ = ("a", "adds", "b", "ends", "region", "rows")

    def __init__(self, region: tuple[int, tuple[int, ...], tuple[int, ...]], a: np.ndarray, b: np.ndarray, adds: bool):
        self.region, self.a, self.b, self.adds = region, a, b, adds
        self.rows = a.shape[0]
        self.ends = (_end(a), _end(b))

    def extend(self, a: np.ndarray, b: np.ndarray) -> bool:
        """Takes the next matmul in, if its operands follow the last ones in memory."""
        mine, other = self.a, self.b
        if (
            _address(a) != self.ends[0]
            or _address(b) != self.ends[1]
            or a.strides != mine.strides
            or b.strides != other.strides
            or a.shape[1] != mine.shape[1]
            or a.base is not mine.base
            or b.base is not other.base
            or self.rows + a.shape[0] > _MOST_ROWS
        ):
            return False
        self.rows += a.shape[0]
        self.ends = (_end(a), _end(b))
        return True

    def pay(self, array: np.ndarray) -> None:
        offset, shape, strides = self.region
        target: np.ndarray = np.ndarray(shape, array.dtype, array, offset, strides)
        add_product(target, _rows(self.a, self.rows), _rows(self.b, self.rows), self.adds)


def add_product(target: np.ndarray, a: np.ndarray, b: np.ndarray, adds: bool) -> None:
    """`target = a.T @ b`, or `+=`, in float32."""
    a = a if a.dtype == _FLOAT32 else a.astype(_FLOAT32)
    b = b if b.dtype == _FLOAT32 else b.astype(_FLOAT32)
    if not adds and target.ndim == 2 and target.flags.c_contiguous:
        np.matmul(a.T, b, out=target)
        return
    product = (a.T @ b).reshape(target.shape)
    if adds:
        np.add(target, product, out=target)
    else:
        target[...] = product


def _address(array: np.ndarray) -> int:
    start: int = array.__array_interface__["data"][0]
    return start


def _end(array: np.ndarray) -> int:
    return int(_address(array) + array.shape[0] * array.strides[0])


def _rows(array: np.ndarray, count: int) -> np.ndarray:
    if count == array.shape[0]:
        return array
    return restride(array, (count, array.shape[1]), array.strides)


def owe_load(dst: NkiTensor, src: NkiTensor) -> bool:
    """Puts a load into a whole SBUF tile off until it is needed; False when it has to be done at once.

    HBM that other cores see, or that the caller passed in twice, can change behind the simulator's back.
    """
    lender, storage = src.storage, dst.storage
    source = src.memory
    if (
        dst.memory is not dst.base
        or src.indirection is not None
        or dst.indirection is not None
        or source.shape != dst.memory.shape
        or source.dtype != dst.memory.dtype
        or lender.shared
        or lender.aliased
        or not is_hbm(lender.buffer)
        or not storage.on_chip
    ):
        return False
    storage.owed = Load(source, lender)
    lender.lend(storage)
    return True


def owe_product(dst: NkiTensor, stationary: NkiTensor, moving: NkiTensor, adds: bool) -> bool:
    """Puts a matmul off when both operands are loads that nobody needed otherwise; False when it has to run at once."""
    left, right, storage = stationary.storage.owed, moving.storage.owed, dst.storage
    if type(left) is not Load or type(right) is not Load or dst.dtype != "float32" or dst.indirection is not None:
        return False
    if not (_plain(stationary) and _plain(moving) and dst.memory.ndim == 2):
        return False
    a, b = left.source, right.source
    memory = dst.memory
    whole = memory is dst.base
    region = (0 if whole else _address(memory) - _address(dst.base), memory.shape, memory.strides)
    held = storage.owed
    if adds and type(held) is Product and held.region == region and held.extend(a, b):
        return True
    if held is not None:
        if whole and not adds:
            storage.owed = None
        else:
            storage.settle()
    storage.owed = Product(region, a, b, adds)
    for lender in (left.lender, right.lender):
        if not lender.lent or lender.lent[-1] is not storage:
            lender.lend(storage)
    return True


def _plain(tensor: NkiTensor) -> bool:
    return tensor.memory is tensor.base and tensor.memory.ndim == 2 and tensor.dtype != "tfloat32"
