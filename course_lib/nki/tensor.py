"""NkiTensor: a view of memory with NKI's indexing rules. Views share storage; nothing is copied.

Source: Neuron documentation 2.32, class NkiTensor; "NKI access patterns" for `ap`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from course_lib.nki.constants import MemoryRegion
from course_lib.nki.dtypes import DType, as_dtype
from course_lib.nki.errors import broken_rule
from course_lib.nki.indirection import Indirection, Lookup
from course_lib.nki.pattern import strided
from course_lib.nki.rearrange import plan_rearrange
from course_lib.nki.storage import Storage

MAX_DIMS = 5


class NKIObject:
    """Base class for kernels' configuration objects, as in the official package."""

    def __init__(self, **kwargs: Any) -> None:
        for name, value in kwargs.items():
            setattr(self, name, value)


class DynamicSlice:
    """`nl.ds(start, size)`: a slice by start and size."""

    __slots__ = ("size", "start")

    def __init__(self, start: Any, size: int) -> None:
        self.start, self.size = start, size

    def __repr__(self) -> str:
        return f"nl.ds({self.start}, {self.size})"


class NkiTensor(NKIObject):
    """A view of one storage.

    Attributes:
        shape, dtype, ndim, size: of this view.
        buffer: memory region.
        storage: the memory behind it.
        array: the NumPy view that an instruction reads or writes, when the view is direct.
        root: the array that owns the elements, contiguous and row-major.
        indirection: how elements are looked up at run time; None for a direct view.
    """

    __slots__ = ("array", "buffer", "dtype", "indirection", "root", "shape", "storage")

    def __init__(
        self,
        storage: Storage,
        root: np.ndarray,
        array: np.ndarray | None = None,
        dtype: DType | None = None,
        indirection: Indirection | None = None,
    ) -> None:
        self.storage = storage
        self.root = root
        self.array = array = root if array is None else array
        self.dtype = storage.dtype if dtype is None else dtype
        self.buffer = storage.buffer
        self.indirection = indirection
        self.shape: tuple[int, ...] = array.shape if indirection is None else indirection.shape

    def __repr__(self) -> str:
        return f"NkiTensor({self.name}, shape={self.shape}, dtype={self.dtype}, buffer={self.buffer.value})"

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
        return tuple(step // self.array.itemsize for step in self.array.strides)

    @property
    def offset(self) -> int:
        """Elements from the storage's start to this view's first element."""
        start = self.array.__array_interface__["data"][0] - self.root.__array_interface__["data"][0]
        return int(start) // self.array.itemsize

    def is_contiguous(self) -> bool:
        """Whether the view covers storage in order; on chip, within each partition."""
        expected = 1
        lowest = 1 if self.on_chip else 0
        for dim in range(self.ndim - 1, lowest - 1, -1):
            if self.shape[dim] != 1:
                if self.strides[dim] != expected:
                    return False
                expected *= self.shape[dim]
        return True

    def get_pattern(self) -> list[list[int]]:
        """`[[stride, count], ...]` of this view."""
        return [[step, count] for step, count in zip(self.strides, self.shape, strict=True)]

    def is_indirect(self) -> bool:
        """Whether elements are looked up at run time."""
        return self.indirection is not None

    # Views below; each returns a new tensor on the same storage.

    def _view(self, array: np.ndarray) -> NkiTensor:
        if array.ndim > MAX_DIMS:
            raise broken_rule(
                f"a view of {self.name} with {array.ndim} dimensions {array.shape}",
                limit=f"an access pattern has at most {MAX_DIMS} dimensions",
                hint="merge dimensions with flatten_dims, or split the work",
            )
        return NkiTensor(self.storage, self.root, array, self.dtype)

    def _direct(self, what: str) -> None:
        if self.indirection is not None:
            raise broken_rule(
                f"{what} of an indirect view of {self.name}",
                limit="a view that looks elements up at run time cannot be indexed again",
                hint="slice first, then select or ap with an offset",
            )

    def _dim(self, dim: int, *, free: bool, what: str) -> int:
        wanted = dim + self.ndim if dim < 0 else dim
        if not 0 <= wanted < self.ndim:
            raise broken_rule(f"{what}: dimension {dim} of {self.shape}", limit=f"0 to {self.ndim - 1}")
        if free and wanted == 0 and self.on_chip:
            raise broken_rule(
                f"{what} on dimension 0 of {self.name} {self.shape} in {self.buffer.value}",
                limit="dimension 0 is the partition dimension of an on-chip tensor and stays as it is",
                hint="rearrange the free dimensions, or move data across partitions with nc_transpose or a DMA",
            )
        return wanted

    def __getitem__(self, key: Any) -> NkiTensor:
        self._direct("indexing")
        keys = list(key) if isinstance(key, tuple) else [key]
        if any(index is Ellipsis for index in keys):
            at = next(place for place, index in enumerate(keys) if index is Ellipsis)
            keys[at : at + 1] = [slice(None)] * (self.ndim - len(keys) + 1)
        if len(keys) > self.ndim:
            raise broken_rule(f"{len(keys)} indices for {self.name} with shape {self.shape}", limit=f"{self.ndim}")
        plain: list[Any] = []
        for dim, index in enumerate(keys):
            plain.append(self._index(dim, index))
        array = self.array[tuple(plain)]
        if 0 in array.shape:
            raise broken_rule(
                f"the index {key!r} selects nothing from {self.name} with shape {self.shape}",
                limit="a tile has at least one element in each dimension",
            )
        lowest = 2 if self.on_chip else 1
        while array.ndim < lowest:
            array = array[..., np.newaxis]
        return NkiTensor(self.storage, self.root, array, self.dtype)

    def _index(self, dim: int, index: Any) -> Any:
        length = self.shape[dim]
        if isinstance(index, DynamicSlice):
            start = int(index.start)
            if start < 0 or start + index.size > length:
                raise broken_rule(
                    f"{index!r} on dimension {dim} of {self.name} with shape {self.shape}",
                    limit=f"start 0 or more, start + size at most {length}",
                    hint="shorten the last tile: nl.ds(start, min(size, length - start))",
                )
            return slice(start, start + index.size)
        if isinstance(index, slice):
            if index.step is not None and index.step < 1:
                raise broken_rule(f"step {index.step} on dimension {dim} of {self.name}", limit="1 or more")
            return index
        if isinstance(index, NkiTensor):
            raise broken_rule(
                f"{self.name} indexed by a tensor",
                limit="plain indices are integers, slices and nl.ds",
                hint="use .select(dim, index), .vector_select(dim, offsets) or .ap(..., vector_offset=...)",
            )
        try:
            place = int(index)
        except (TypeError, ValueError):
            raise broken_rule(
                f"the index {index!r} on dimension {dim} of {self.name}", limit="integers, slices, nl.ds and ..."
            ) from None
        if not -length <= place < length:
            raise broken_rule(
                f"index {place} on dimension {dim} of {self.name} with shape {self.shape}",
                limit=f"{-length} to {length - 1}",
            )
        place %= length
        return slice(place, place + 1) if dim == 0 and self.on_chip else place

    def __setitem__(self, key: Any, value: Any) -> None:
        raise broken_rule(
            f"assignment to {self.name}[{key!r}]",
            limit="memory changes through instructions alone",
            hint="write nisa.tensor_copy(dst=tile[...], src=...), nisa.memset(dst=tile[...], value=...) or "
            "nisa.dma_copy(dst=hbm[...], src=tile)",
        )

    def slice(self, dim: int, start: int, end: int, step: int = 1) -> NkiTensor:
        """Slice one dimension: 0 <= start < end <= shape[dim], step >= 1."""
        self._direct("slicing")
        dim = self._dim(dim, free=False, what="slice")
        if not 0 <= start < end <= self.shape[dim] or step < 1:
            raise broken_rule(
                f"slice({dim}, {start}, {end}, {step}) of {self.name} with shape {self.shape}",
                limit=f"0 <= start < end <= {self.shape[dim]} and step >= 1",
            )
        return self._view(self.array[(slice(None),) * dim + (slice(start, end, step),)])

    def select(self, dim: int, index: Any) -> NkiTensor:
        """One entry of a dimension, which is removed; `index` is an integer, a register or a (1, 1) tile."""
        self._direct("select")
        dim = self._dim(dim, free=False, what="select")
        if isinstance(index, int | np.integer):
            if not -self.shape[dim] <= index < self.shape[dim]:
                raise broken_rule(
                    f"select({dim}, {index}) of {self.name} with shape {self.shape}",
                    limit=f"0 to {self.shape[dim] - 1}",
                )
            array = self.array[(slice(None),) * dim + (int(index),)]
            while array.ndim < (2 if self.on_chip else 1):
                array = array[..., np.newaxis]
            return self._view(array)
        self._dim(dim, free=True, what="a dynamic select")
        rest = self.array[(slice(None),) * dim + (0,)]
        pattern = [[step, count] for place, (step, count) in enumerate(self.get_pattern()) if place != dim] or [[1, 1]]
        return NkiTensor(
            self.storage,
            self.root,
            self.array,
            self.dtype,
            Lookup(tuple(rest.shape) or (1,), pattern, self.offset, self.strides[dim], self.shape[dim], scalar=index),
        )

    def vector_select(self, dim: int, vector_offset: NkiTensor) -> NkiTensor:
        """Each partition takes its own entry of `dim`, given by a (P, 1) tile; dimension 0 of the result is P."""
        self._direct("vector_select")
        dim = self._dim(dim, free=False, what="vector_select")
        rest = [(step, count) for place, (step, count) in enumerate(self.get_pattern()) if place != dim]
        partitions = vector_offset.shape[0]
        pattern = [[0, partitions], *[list(pair) for pair in rest]]
        shape = tuple(count for _, count in pattern)
        return NkiTensor(
            self.storage,
            self.root,
            self.array,
            self.dtype,
            Lookup(shape, pattern, self.offset, self.strides[dim], self.shape[dim], vector=vector_offset),
        )

    def permute(self, dims: Sequence[int]) -> NkiTensor:
        """Reorder dimensions; on chip the partition dimension stays first."""
        self._direct("permute")
        if sorted(dims) != list(range(self.ndim)):
            raise broken_rule(f"permute({tuple(dims)}) of {self.ndim} dimensions", limit="each dimension once")
        if self.on_chip and dims[0] != 0:
            self._dim(0, free=True, what=f"permute({tuple(dims)})")
        return self._view(self.array.transpose(tuple(dims)))

    def broadcast(self, dim: int, size: int) -> NkiTensor:
        """Repeat a dimension of size 1 without copying."""
        self._direct("broadcast")
        dim = self._dim(dim, free=True, what="broadcast")
        if self.shape[dim] != 1:
            raise broken_rule(
                f"broadcast of dimension {dim} of {self.name} with shape {self.shape}", limit="its size must be 1"
            )
        shape = (*self.shape[:dim], size, *self.shape[dim + 1 :])
        return self._view(
            np.lib.stride_tricks.as_strided(
                self.array, shape, (*self.array.strides[:dim], 0, *self.array.strides[dim + 1 :])
            )
        )

    def expand_dim(self, dim: int) -> NkiTensor:
        """Insert a dimension of size 1."""
        self._direct("expand_dim")
        place = dim + self.ndim + 1 if dim < 0 else dim
        if self.on_chip and place == 0:
            self._dim(0, free=True, what="expand_dim")
        return self._view(np.expand_dims(self.array, place))

    def squeeze_dim(self, dim: int) -> NkiTensor:
        """Remove a dimension of size 1."""
        self._direct("squeeze_dim")
        dim = self._dim(dim, free=True, what="squeeze_dim")
        if self.shape[dim] != 1:
            raise broken_rule(f"squeeze_dim({dim}) of shape {self.shape}", limit="its size must be 1")
        return self._view(np.squeeze(self.array, dim))

    def reshape_dim(self, dim: int, shape: Sequence[int]) -> NkiTensor:
        """Split one dimension; one entry of `shape` may be -1."""
        self._direct("reshape_dim")
        dim = self._dim(dim, free=len(shape) != 1, what="reshape_dim")
        sizes = list(shape)
        if sizes.count(-1) == 1:
            known = -math.prod(sizes)
            sizes[sizes.index(-1)] = self.shape[dim] // known if known and self.shape[dim] % known == 0 else 0
        if math.prod(sizes) != self.shape[dim] or min(sizes, default=0) < 1:
            raise broken_rule(
                f"reshape_dim({dim}, {tuple(shape)}) of shape {self.shape}",
                limit=f"the product must be {self.shape[dim]}",
            )
        return self._reshaped((*self.shape[:dim], *sizes, *self.shape[dim + 1 :]))

    def flatten_dims(self, start_dim: int, end_dim: int) -> NkiTensor:
        """Merge dimensions start..end (inclusive), which must be contiguous."""
        self._direct("flatten_dims")
        start = self._dim(start_dim, free=True, what="flatten_dims")
        end = self._dim(end_dim, free=False, what="flatten_dims")
        merged = math.prod(self.shape[start : end + 1])
        return self._reshaped((*self.shape[:start], merged, *self.shape[end + 1 :]))

    def reshape(self, shape: Sequence[int]) -> NkiTensor:
        """Another shape of the same elements, without copying."""
        self._direct("reshape")
        sizes = tuple(int(size) for size in shape)
        if sizes.count(-1) == 1:
            known = -math.prod(sizes)
            sizes = tuple(self.size // known if size == -1 and known else size for size in sizes)
        if math.prod(sizes) != self.size:
            raise broken_rule(
                f"reshape of {self.name} from {self.shape} to {tuple(shape)}", limit=f"{self.size} elements in both"
            )
        if self.on_chip and sizes[0] != self.shape[0]:
            self._dim(0, free=True, what=f"reshape from {self.shape} to {sizes}")
        return self._reshaped(sizes)

    def _reshaped(self, shape: tuple[int, ...]) -> NkiTensor:
        try:
            array = self.array.reshape(shape, copy=False)
        except ValueError:
            raise broken_rule(
                f"reshape of the strided view {self.shape} (strides {self.strides}) of {self.name} to {shape}",
                limit="the elements must lie in memory so that no copy is needed",
                hint="copy the view to a fresh tile first (nisa.tensor_copy), or reshape before slicing",
            ) from None
        return self._view(array)

    def rearrange(
        self, src_pattern: Sequence[Any], dst_pattern: Sequence[Any], fixed_sizes: dict[str, int] | None = None
    ) -> NkiTensor:
        """Split, reorder and merge dimensions by name, e.g. ('b', ('h', 'w')) to ('b', 'w', 'h') with {'h': 4}."""
        split, order, merged = plan_rearrange(self.shape, src_pattern, dst_pattern, fixed_sizes or {})
        return self._split(split).permute(order)._split(merged)

    def _split(self, shape: tuple[int, ...]) -> NkiTensor:
        return self if shape == self.shape else self._reshaped(shape)

    def view(self, dtype: Any) -> NkiTensor:
        """The same bytes read as another format; the last dimension shrinks or grows."""
        self._direct("view")
        target = as_dtype(dtype)
        if self.array.itemsize != self.dtype.itemsize:
            raise broken_rule(
                f"{self.name} viewed as {target}",
                limit="with NKI_PRECISE_FP=0 low-precision formats are stored as float32, so their bytes don't exist",
                hint="run this kernel with NKI_PRECISE_FP=1",
            )
        array = self.array
        if target.itemsize != self.dtype.itemsize:
            if array.ndim and array.shape[-1] > 1 and array.strides[-1] != array.itemsize:
                raise broken_rule(
                    f"view({target}) of {self.name}", limit="the last dimension must be contiguous in memory"
                )
            if array.shape[-1] * self.dtype.itemsize % target.itemsize:
                raise broken_rule(
                    f"view({target}) of {self.name} with shape {self.shape} {self.dtype}",
                    limit=f"the last dimension's bytes must be a multiple of {target.itemsize}",
                )
        return NkiTensor(self.storage, self.root, array.view(target.numpy), target)

    reinterpret_cast = view

    def ap(
        self,
        pattern: Sequence[Sequence[int]],
        offset: int | None = None,
        scalar_offset: Any = None,
        vector_offset: NkiTensor | None = None,
        indirect_dim: int = 0,
        dtype: Any = None,
    ) -> NkiTensor:
        """An explicit access pattern `[[stride, count], ...]` in elements, from this view's start.

        Args:
            pattern: outermost first; on chip the first pair steps through partitions.
            offset: elements added to the view's own start.
            scalar_offset: register or (1, 1) tile, times the stride of `indirect_dim`, added for all partitions.
            vector_offset: (P, 1) tile, times that stride, added for each partition.
            indirect_dim: which dimension of this tensor the looked-up index counts.
            dtype: read the storage as this format.
        """
        self._direct("ap")
        base = self if dtype is None else self.view(dtype)
        pairs = [[int(step), int(count)] for step, count in pattern]
        start = base.offset + (offset or 0)
        if scalar_offset is None and vector_offset is None:
            return base._view(strided(base, pairs, start))
        if scalar_offset is not None and vector_offset is not None:
            raise broken_rule("ap with scalar_offset and vector_offset", limit="one of the two")
        shape = tuple(count for _, count in pairs)
        step, length = base.strides[indirect_dim], base.shape[indirect_dim]
        lookup = Lookup(shape, pairs, start, step, length, scalar=scalar_offset, vector=vector_offset)
        return NkiTensor(base.storage, base.root, base.array, base.dtype, lookup)

    def indirect(self, index: NkiTensor, num_elem: int | None = None) -> NkiTensor:
        """Gather or scatter along the free dimension by offsets that lie in SBUF (NeuronCore-v4)."""
        from course_lib.nki.indirection import tensor_indirection

        return tensor_indirection(self, index, num_elem)


def is_hbm(buffer: Any) -> bool:
    """Whether a region is device memory."""
    return buffer in (MemoryRegion.private_hbm, MemoryRegion.shared_hbm)
