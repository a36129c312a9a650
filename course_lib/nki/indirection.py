"""Indirect addressing: views whose elements are looked up when an instruction runs.

Source: Neuron documentation 2.32, `NkiTensor.ap` (scalar_offset, vector_offset), `select`, `vector_select`, `indirect`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from course_lib.nki.constants import nc_version
from course_lib.nki.errors import broken_rule

if TYPE_CHECKING:
    from course_lib.nki.tensor import NkiTensor


class Indirection:
    """How an indirect view finds its elements.

    Attributes:
        shape: shape of the view.
    """

    shape: tuple[int, ...]
    fixes_first = True  # dimension 0 is bound to the lookup

    def places(self, tensor: NkiTensor) -> tuple[np.ndarray, np.ndarray | None]:
        """Flat element numbers within the storage, in the view's shape, and a mask of those in bounds (None: all)."""
        raise NotImplementedError

    def indices(self) -> tuple[NkiTensor, ...]:
        """The tiles that are read to find the places."""
        return ()


class Lookup(Indirection):
    """One index for all partitions (`scalar`), or one for each (`vector`), times the stride of a dimension."""

    def __init__(
        self,
        shape: tuple[int, ...],
        pattern: list[list[int]],
        start: int,
        step: int,
        length: int,
        *,
        scalar: Any = None,
        vector: NkiTensor | None = None,
    ) -> None:
        self.shape, self.pattern, self.start, self.step, self.length = shape, pattern, start, step, length
        self.scalar, self.vector = scalar, vector
        self.fixes_first = vector is not None

    def indices(self) -> tuple[NkiTensor, ...]:
        if self.vector is not None:
            return (self.vector,)
        return (self.scalar,) if hasattr(self.scalar, "storage") else ()

    def places(self, tensor: NkiTensor) -> tuple[np.ndarray, np.ndarray | None]:
        if self.vector is not None:
            return self._places_by_partition(tensor)
        value = int(self.found()[0])
        places = self._walk(self.pattern) + (self.start + value * self.step)
        if not 0 <= value < self.length:
            return places, np.zeros(self.shape, dtype=bool)
        return places, self._inside(tensor, places)

    def found(self) -> np.ndarray:
        """The indices as they stand in memory now; tiles of several columns are read column by column."""
        if self.vector is not None:
            return np.asarray(self.vector.array.astype(np.int64).T.reshape(-1)[: self.shape[0]])
        value = self.scalar.array.reshape(-1)[0] if hasattr(self.scalar, "array") else self.scalar
        return np.array([int(value)], dtype=np.int64)

    def _places_by_partition(self, tensor: NkiTensor) -> tuple[np.ndarray, np.ndarray | None]:
        if tensor.on_chip:
            raise broken_rule(
                f"one index for each partition into {tensor.storage.describe()}",
                limit="vector offsets index tensors in HBM",
                hint="use nisa.nc_n_gather or nisa.local_gather within SBUF",
            )
        found = self.found()
        pairs = [[0, self.shape[0]], *self.pattern[1:]]  # each partition starts where its own index says
        apart = (-1, *[1] * (len(pairs) - 1))
        places = self._walk(pairs) + (self.start + found * self.step).reshape(apart)
        valid = (found >= 0) & (found < self.length)
        inside = self._inside(tensor, places)
        if valid.all():
            return places, inside
        mask = np.broadcast_to(valid.reshape(apart), self.shape)
        return places, mask if inside is None else mask & inside

    def _walk(self, pairs: list[list[int]]) -> np.ndarray:
        places = np.zeros(self.shape, dtype=np.int64)
        for dim, (step, count) in enumerate(pairs):
            places += (np.arange(count) * step).reshape([-1 if at == dim else 1 for at in range(len(pairs))])
        return places

    def _inside(self, tensor: NkiTensor, places: np.ndarray) -> np.ndarray | None:
        """Elements that lie in the storage and, on chip, in the partition where the pattern says; None for all."""
        total = tensor.base.nbytes // tensor.memory.itemsize
        if tensor.on_chip:
            pitch = total // tensor.root.shape[0]
            rows = (self.start // pitch) + np.arange(self.shape[0]) * (self.pattern[0][0] // pitch)
            inside = places // pitch == rows.reshape(-1, *[1] * (len(self.shape) - 1))
            return None if inside.all() else inside
        if places.min() >= 0 and places.max() < total:
            return None
        return (places >= 0) & (places < total)


def phantom(indirection: Indirection, name: str) -> np.ndarray:
    """A NumPy view with an indirect view's shape and strides and no values, for NumPy to rearrange.

    Raises:
        NkiValidationError: for tensor indirection, which has no strides.
    """
    if not isinstance(indirection, Lookup):
        raise broken_rule(
            f"a view of {name}.indirect(...)",
            limit="tensor indirection comes last",
            hint="slice first, then call indirect",
        )
    counts, steps = [count for _, count in indirection.pattern], [step for step, _ in indirection.pattern]
    return np.lib.stride_tricks.as_strided(_NOTHING, counts, steps)


def relaid(indirection: Indirection, layout: np.ndarray) -> Lookup:
    """The lookup behind a rearranged phantom."""
    assert isinstance(indirection, Lookup)
    moved = layout.__array_interface__["data"][0] - _NOTHING.__array_interface__["data"][0]
    return Lookup(
        layout.shape,
        [[step, count] for step, count in zip(layout.strides, layout.shape, strict=True)],
        indirection.start + moved,
        indirection.step,
        indirection.length,
        scalar=indirection.scalar,
        vector=indirection.vector,
    )


_NOTHING = np.zeros(1, dtype=np.int8)  # one byte to an element, so that strides count elements


class SnakeGather(Indirection):
    """Offsets along the free dimension, shared by each group of partitions.

    Offset i of a group comes from index[i % group, i // group] of the group's own rows.
    """

    def __init__(self, base: NkiTensor, index: NkiTensor, count: int, group: int) -> None:
        self.shape = (base.shape[0], count)
        self.base, self.index, self.count, self.group = base, index, count, group

    def indices(self) -> tuple[NkiTensor, ...]:
        return (self.index,)

    def places(self, tensor: NkiTensor) -> tuple[np.ndarray, np.ndarray | None]:
        partitions, count = self.shape
        offsets = self.index.array.astype(np.int64).reshape(partitions, -1)
        if count > min(self.group, partitions) * offsets.shape[1]:
            raise broken_rule(
                f"{self.base.name}.indirect: {count} offsets from an index of shape {self.index.shape}",
                limit=f"{self.group} partitions share their offsets: {self.group} for each column of the index",
                hint="pass num_elem, or widen the index",
            )
        chosen = np.empty(self.shape, dtype=np.int64)
        number = np.arange(count)
        for first in range(0, partitions, self.group):
            rows = offsets[first : first + self.group]
            if len(rows) < self.group and count > len(rows):
                raise broken_rule(
                    f"{self.base.name}.indirect: {partitions} partitions", limit=f"a multiple of {self.group}"
                )
            chosen[first : first + self.group] = rows[number % self.group, number // self.group]
        width = self.base.shape[-1]
        step = self.base.strides
        places = self.base.offset + np.arange(partitions).reshape(-1, 1) * step[0] + chosen * step[-1]
        inside = (chosen >= 0) & (chosen < width)
        return places, None if inside.all() else inside


def tensor_indirection(base: NkiTensor, index: NkiTensor, num_elem: int | None) -> NkiTensor:
    """`NkiTensor.indirect`: a gather or scatter view along the free dimension.

    Args:
        base: (P, N) tile in SBUF or PSUM.
        index: (P, K) tile of whole numbers in SBUF.
        num_elem: offsets to use; None takes as many as the index has elements.

    Raises:
        NkiValidationError: before NeuronCore-v4, or when shapes, regions or formats don't fit.
    """
    from course_lib.nki.constants import MemoryRegion
    from course_lib.nki.session import current_core
    from course_lib.nki.tensor import NkiTensor

    core = current_core()
    if core.version < nc_version.gen4:
        raise broken_rule(
            f"{base.name}.indirect(...)",
            limit="tensor indirection exists from NeuronCore-v4",
            generation=core.version.name,
            hint="use nisa.nc_n_gather or nisa.local_gather",
        )
    if base.is_indirect():
        raise broken_rule(f"{base.name}.indirect of an indirect view", limit="one indirection for each view")
    if not base.on_chip or base.ndim != 2:
        raise broken_rule(
            f"{base.name}.indirect of shape {base.shape} in {base.buffer.value}",
            limit="a (P, N) tile in SBUF or PSUM",
            hint="for HBM, use .ap(..., vector_offset=...) with nisa.dma_copy; flatten free dimensions first",
        )
    if not isinstance(index, NkiTensor) or index.buffer is not MemoryRegion.sbuf or not index.dtype.is_integer:
        raise broken_rule(f"{base.name}.indirect: index is {index!r}", limit="a tile of whole numbers in SBUF")
    if index.shape[0] != base.shape[0]:
        raise broken_rule(
            f"{base.name}.indirect: index of shape {index.shape} for {base.shape}", limit="the same partitions in both"
        )
    count = index.size if num_elem is None else int(num_elem)
    if not 1 <= count <= index.size:
        raise broken_rule(f"{base.name}.indirect: num_elem={count}", limit=f"1 to {index.size}, the index's elements")
    return NkiTensor(base.storage, base.base, base.memory, base.dtype, SnakeGather(base, index, count, 16))


def for_tensor_engine(tensor: NkiTensor) -> NkiTensor:
    """The same view as the tensor engine reads it: its offsets are shared by 32 partitions, not by 16."""
    from course_lib.nki.tensor import NkiTensor

    found = tensor.indirection
    if not isinstance(found, SnakeGather) or found.group == 32:
        return tensor
    wider = SnakeGather(found.base, found.index, found.count, 32)
    return NkiTensor(tensor.storage, tensor.base, tensor.memory, tensor.dtype, wider)


def element_places(tensor: NkiTensor) -> tuple[np.ndarray, np.ndarray | None]:
    """Flat element numbers within the storage of any view, and a mask of those in bounds (None: all)."""
    if tensor.indirection is not None:
        return tensor.indirection.places(tensor)
    places = np.full(tensor.shape, tensor.offset, dtype=np.int64)
    for dim, (step, count) in enumerate(zip(tensor.strides, tensor.shape, strict=True)):
        places += (np.arange(count) * step).reshape([-1 if at == dim else 1 for at in range(tensor.ndim)])
    return places, None
