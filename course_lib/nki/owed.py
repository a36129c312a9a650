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
from course_lib.nki.tensor import NkiTensor

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

    __slots__ = ("source",)

    def __init__(self, source: NkiTensor) -> None:
        self.source = source

    def pay(self, array: np.ndarray) -> None:
        array[...] = self.source.array


class Rows:
    """Rows of HBM behind one another, which matmul after matmul reads as one operand.

    Attributes:
        view: the first of them.
        lender: the memory that they lie in.
        start: bytes from its start to theirs.
        shape: (rows, columns), all together.
    """

    __slots__ = ("lender", "shape", "start", "view")

    def __init__(self, lender: Storage, view: np.ndarray, start: int, shape: tuple[int, int]) -> None:
        self.lender, self.view, self.start, self.shape = lender, view, start, shape

    @property
    def array(self) -> np.ndarray:
        return self.view if self.view.shape == self.shape else restride(self.view, self.shape, self.view.strides)

    def alike(self, other: Rows) -> bool:
        """Whether both lie in the same memory in the same way."""
        return (
            self.lender is other.lender
            and self.view.strides == other.view.strides
            and self.view.dtype == other.view.dtype
        )

    def followed_by(self, source: NkiTensor) -> bool:
        """Whether a view of HBM begins where this ends, and lies there in the same way."""
        if source.storage is not self.lender:
            return False
        mine, other = self.view, source.memory
        return (
            source.start == self.start + self.shape[0] * mine.strides[0]
            and other.shape[1] == self.shape[1]
            and other.strides == mine.strides
            and other.dtype == mine.dtype
        )

    def copy(self) -> Rows:
        """The same rows, which do not grow with these."""
        return Rows(self.lender, self.view, self.start, self.shape)


class Product:
    """`region = a.T @ b` or `region += a.T @ b`; a and b grow matmul by matmul.

    Attributes:
        region: place, shape and strides within the storage.
        whole: whether that is all of it.
    """

    __slots__ = ("a", "adds", "b", "region", "whole")

    def __init__(
        self, region: tuple[int, tuple[int, ...], tuple[int, ...]], a: Rows, b: Rows, adds: bool, whole: bool
    ) -> None:
        self.region, self.a, self.b, self.adds, self.whole = region, a, b, adds, whole

    def extend(self, a: NkiTensor, b: NkiTensor) -> bool:
        """Takes the next matmul in, if its operands, views of HBM, follow the last ones in memory."""
        mine, other = self.a, self.b
        rows = mine.shape[0] + a.memory.shape[0]
        if rows > _MOST_ROWS or not mine.followed_by(a) or not other.followed_by(b):
            return False
        mine.shape, other.shape = (rows, mine.shape[1]), (rows, other.shape[1])
        return True

    def pay(self, array: np.ndarray) -> None:
        offset, shape, strides = self.region
        target: np.ndarray = np.ndarray(shape, array.dtype, array, offset, strides)
        add_product(target, self.a.array, self.b.array, self.adds)


def add_product(target: np.ndarray, a: np.ndarray, b: np.ndarray, adds: bool) -> None:
    """`target = a.T @ b`, or `+=`, in float32."""
    a = a if a.dtype == _FLOAT32 else a.astype(_FLOAT32)
    b = b if b.dtype == _FLOAT32 else b.astype(_FLOAT32)
    if not adds and target.ndim == 2 and target.strides[1] == target.itemsize:
        np.matmul(a.T, b, out=target)
        return
    product = (a.T @ b).reshape(target.shape)
    if adds:
        np.add(target, product, out=target)
    else:
        target[...] = product


def owe_load(dst: NkiTensor, src: NkiTensor) -> bool:
    """Puts a load into a whole SBUF tile off until it is needed; False when it has to be done at once.

    HBM that other cores see, or that the caller passed in twice, can change behind the simulator's back.
    """
    lender, storage = src.storage, dst.storage
    if (
        dst.memory is not dst.base
        or src.indirection is not None
        or dst.indirection is not None
        or src.shape != dst.shape
        or src.memory.dtype != dst.memory.dtype
        or lender.shared
        or lender.aliased
        or lender.on_chip
        or not storage.on_chip
    ):
        return False
    if lender.owed is not None:
        lender.settle()
    storage.owed = Load(src)
    lender.lend(storage)
    return True


def owe_product(dst: NkiTensor, stationary: NkiTensor, moving: NkiTensor, adds: bool) -> bool:
    """Puts a matmul off when both operands are loads that nobody needed otherwise; False when it has to run at once."""
    left, right, storage = stationary.storage.owed, moving.storage.owed, dst.storage
    if type(left) is not Load or type(right) is not Load or dst.dtype != "float32" or dst.indirection is not None:
        return False
    if not (_plain(stationary) and _plain(moving) and dst.memory.ndim == 2):
        return False
    memory, held = dst.memory, storage.owed
    whole = memory is dst.base
    if adds and type(held) is Product:
        region = held.region
        here = region[0] == dst.start and region[1] == memory.shape and region[2] == memory.strides
        if here and held.extend(left.source, right.source):
            return True
    a, b = _rows(left.source), _rows(right.source)
    if held is not None:
        if whole and not adds:
            storage.owed = None
        else:
            storage.settle()
    storage.owed = Product((dst.start, memory.shape, memory.strides), a, b, adds, whole)
    lend_to(storage, a, b)
    return True


def hand_over(dst: NkiTensor, src: NkiTensor) -> bool:
    """Lets a tile that a whole product is copied to owe the product; False when there is a copy to do."""
    held = src.storage.owed
    if (
        type(held) is not Product
        or held.adds
        or not held.whole
        or src.memory is not src.base
        or dst.memory is not dst.base
        or src.storage is dst.storage
        or src.shape != dst.shape
        or dst.dtype != "float32"
        or src.dtype != "float32"
    ):
        return False
    # Copies, since the sum in PSUM may grow.
    dst.storage.owed = Product((0, dst.shape, dst.memory.strides), held.a.copy(), held.b.copy(), False, True)
    lend_to(dst.storage, held.a, held.b)
    return True


def lend_to(storage: Storage, *operands: Rows) -> None:
    """Notes that a storage is owed values computed from these."""
    for operand in operands:
        operand.lender.lend(storage)


def _rows(source: NkiTensor) -> Rows:
    memory = source.memory
    return Rows(source.storage, memory, source.start, memory.shape)


def _plain(tensor: NkiTensor) -> bool:
    return tensor.memory is tensor.base and tensor.memory.ndim == 2 and tensor.dtype != "tfloat32"
