"""NkiTensor: a view of memory with NKI's indexing rules. Views share storage; nothing is copied.

Source: Neuron documentation 2.32, class NkiTensor; "NKI access patterns" for `ap`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from course_lib.nki import addressing, indexing, views
from course_lib.nki.addressing import MAX_DIMS
from course_lib.nki.constants import MemoryRegion
from course_lib.nki.dtypes import DType
from course_lib.nki.errors import broken_rule
from course_lib.nki.indexing import DynamicSlice as DynamicSlice
from course_lib.nki.indirection import Indirection, Lookup, phantom, relaid
from course_lib.nki.objects import NKIObject as NKIObject
from course_lib.nki.pattern import is_dense
from course_lib.nki.refusals import Refusals
from course_lib.nki.storage import Storage

if TYPE_CHECKING:
    from course_lib.nki.instruction import Access, Operand


class NkiTensor(Refusals, record=False):
    """A view of one storage.

    Attributes:
        shape, dtype, ndim, size: of this view.
        buffer: memory region.
        storage: the memory behind it.
        memory: the NumPy view of the elements, when the view is direct; values that are still owed to the storage may
            be missing from it, so it serves for shapes and addresses.
        base: the array that owns the elements, contiguous and row-major; the same holds.
        indirection: how elements are looked up at run time; None for a direct view.
        box, outline: what `tracking.access_of` and `instruction.outline` found out; None before they were asked.
        views: of this one by index, see `indexing.item`.
    """

    __slots__ = (
        "_start",
        "base",
        "box",
        "buffer",
        "dtype",
        "indirection",
        "memory",
        "outline",
        "shape",
        "storage",
        "views",
    )

    def __init__(
        self,
        storage: Storage,
        root: np.ndarray,
        array: np.ndarray | None = None,
        dtype: DType | None = None,
        indirection: Indirection | None = None,
    ) -> None:
        self.storage = storage
        self.base = root
        self.memory = array = root if array is None else array
        self.dtype = storage.dtype if dtype is None else dtype
        self.buffer = storage.buffer
        self.indirection = indirection
        self.shape: tuple[int, ...] = array.shape if indirection is None else indirection.shape
        self.box: Access | None = None
        self.outline: Operand | None = None
        self._start = -1
        self.views: dict[Any, NkiTensor] | None = None

    def __repr__(self) -> str:
        return f"NkiTensor({self.name}, shape={self.shape}, dtype={self.dtype}, buffer={self.buffer.value})"

    def __str__(self) -> str:
        """For `print` while debugging: what it is, and its values, which only the simulator knows."""
        if self.indirection is not None:
            return repr(self)
        return f"{self!r}\n{np.array2string(self.array, threshold=64, edgeitems=3)}"

    @property
    def array(self) -> np.ndarray:
        """The NumPy view that an instruction reads or writes, when the view is direct."""
        if self.storage.owed is not None:
            self.storage.settle()
        return self.memory

    @property
    def root(self) -> np.ndarray:
        """The array that owns the elements, contiguous and row-major."""
        if self.storage.owed is not None:
            self.storage.settle()
        return self.base

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

    @property
    def strides(self) -> tuple[int, ...]:
        """Elements from one entry of each dimension to the next."""
        if isinstance(self.indirection, Lookup):
            return tuple(step for step, _ in self.indirection.pattern)
        return tuple(step // self.memory.itemsize for step in self.memory.strides)

    @property
    def start(self) -> int:
        """Bytes, as the simulator stores them, from the storage's start to the first element of `memory`."""
        if self._start < 0:
            here, there = self.memory.__array_interface__, self.base.__array_interface__
            self._start = 0 if self.memory is self.base else here["data"][0] - there["data"][0]
        return self._start

    @property
    def offset(self) -> int:
        """Elements from the storage's start to this view's first element (indirect: before the index is added)."""
        if isinstance(self.indirection, Lookup):
            return self.indirection.start
        return self.start // self.memory.itemsize

    def is_contiguous(self) -> bool:
        """Whether the view covers storage in order; on chip, within each partition."""
        lowest = 1 if self.on_chip else 0
        return is_dense(self.strides[lowest:], self.shape[lowest:])

    def get_pattern(self) -> list[list[int]]:
        """`[[stride, count], ...]` of this view."""
        return [[step, count] for step, count in zip(self.strides, self.shape, strict=True)]

    def is_indirect(self) -> bool:
        """Whether elements are looked up at run time."""
        return self.indirection is not None

    @property
    def _layout(self) -> np.ndarray:
        """What the view methods rearrange: the NumPy view, or a stand-in with the strides of an indirect view."""
        return self.memory if self.indirection is None else phantom(self.indirection, self.name)

    def _view(self, array: np.ndarray) -> NkiTensor:
        if array.ndim > MAX_DIMS:
            raise broken_rule(
                f"a view of {self.name} with {array.ndim} dimensions {array.shape}",
                limit=f"an access pattern has at most {MAX_DIMS} dimensions",
                hint="merge dimensions with flatten_dims, or split the work",
            )
        if self.indirection is not None:
            return NkiTensor(self.storage, self.base, self.memory, self.dtype, relaid(self.indirection, array))
        return NkiTensor(self.storage, self.base, array, self.dtype)

    def _of(self, array: np.ndarray, dtype: DType) -> NkiTensor:
        return NkiTensor(self.storage, self.base, array, dtype)

    def _looked_up(self, lookup: Lookup) -> NkiTensor:
        return NkiTensor(self.storage, self.base, self.memory, self.dtype, lookup)

    def _direct(self, what: str) -> None:
        if self.indirection is not None:
            raise broken_rule(
                f"{what} of an indirect view of {self.name}",
                limit="a view takes one run-time index only",
                hint="slice first, then select, vector_select or ap",
            )

    def _dim(self, dim: int, *, free: bool, what: str) -> int:
        wanted = dim + self.ndim if dim < 0 else dim
        if not 0 <= wanted < self.ndim:
            raise broken_rule(f"{what}: dimension {dim} of {self.shape}", limit=f"0 to {self.ndim - 1}")
        if wanted == 0 and self.indirection is not None and self.indirection.fixes_first:
            raise broken_rule(
                f"{what} on dimension 0 of an indirect view of {self.name}",
                limit="dimension 0 is where each partition looks up its own index, and stays as it is",
                hint="slice the tile of indices instead",
            )
        if free and wanted == 0 and self.on_chip:
            raise broken_rule(
                f"{what} on dimension 0 of {self.name} {self.shape} in {self.buffer.value}",
                limit="dimension 0 is the partition dimension of an on-chip tensor and stays as it is",
                hint="rearrange the free dimensions, or move data across partitions with nc_transpose or a DMA",
            )
        return wanted

    __getitem__ = indexing.item
    slice = views.slice_dim
    permute = views.permute
    broadcast = views.broadcast
    expand_dim = views.expand_dim
    squeeze_dim = views.squeeze_dim
    reshape_dim = views.reshape_dim
    flatten_dims = views.flatten_dims
    reshape = views.reshape
    rearrange = views.rearrange
    view = reinterpret_cast = views.view
    select = addressing.select
    vector_select = addressing.vector_select
    ap = addressing.ap
    indirect = addressing.indirect

    def __iter__(self) -> Iterator[NkiTensor]:
        return (self[place] for place in range(self.shape[0]))


def is_hbm(buffer: Any) -> bool:
    """Whether a region is device memory."""
    return buffer in (MemoryRegion.private_hbm, MemoryRegion.shared_hbm)
