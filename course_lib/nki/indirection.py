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

    def indices(self) -> tuple[NkiTensor, ...]:
        if self.vector is not None:
            return (self.vector,)
        return (self.scalar,) if hasattr(self.scalar, "storage") else ()

    def places(self, tensor: NkiTensor) -> tuple[np.ndarray, np.ndarray | None]:
        pairs = self.pattern
        if self.vector is not None:
            found = self.vector.array.astype(np.int64).reshape(-1)[: self.shape[0]]
            pairs = [[0, self.shape[0]], *pairs[1:]]  # each partition starts where its own index says
            first = found.reshape(-1, *[1] * (len(pairs) - 1)) * self.step
        else:
            value = int(self.scalar.array.reshape(-1)[0]) if hasattr(self.scalar, "array") else int(self.scalar)
            found = np.asarray([value])
            first = np.asarray(value * self.step)
        places = np.full(self.shape, self.start, dtype=np.int64) + first
        for dim, (step, count) in enumerate(pairs):
            places += (np.arange(count) * step).reshape([-1 if at == dim else 1 for at in range(len(pairs))])
        inside = (found >= 0) & (found < self.length)
        if inside.all():
            return places, None
        mask = inside.reshape(-1, *[1] * (len(pairs) - 1)) if self.vector is not None else inside[0]
        return places, np.broadcast_to(mask, self.shape)


class SnakeGather(Indirection):
    """Offsets along the free dimension: offset i comes from index[i % group, i // group] within each partition group."""

    def __init__(self, base: NkiTensor, index: NkiTensor, count: int, group: int) -> None:
        self.shape = (base.shape[0], count)
        self.base, self.index, self.count, self.group = base, index, count, group

    def indices(self) -> tuple[NkiTensor, ...]:
        return (self.index,)

    def places(self, tensor: NkiTensor) -> tuple[np.ndarray, np.ndarray | None]:
        partitions, count = self.shape
        offsets = self.index.array.astype(np.int64)
        chosen = np.empty(self.shape, dtype=np.int64)
        number = np.arange(count)
        for first in range(0, partitions, self.group):
            rows = offsets[first : first + self.group]
            chosen[first : first + self.group] = rows[number % len(rows), number // len(rows)]
        width = self.base.shape[-1]
        step = self.base.strides
        places = self.base.offset + np.arange(partitions).reshape(-1, 1) * step[0] + chosen * step[-1]
        inside = (chosen >= 0) & (chosen < width)
        return places, None if inside.all() else inside


def tensor_indirection(base: NkiTensor, index: NkiTensor, num_elem: int | None) -> NkiTensor:
    """`NkiTensor.indirect`: a gather or scatter view along the free dimension.

    Raises:
        NkiValidationError: before NeuronCore-v4, or when shapes don't fit.
    """
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
    if index.shape[0] != base.shape[0]:
        raise broken_rule(
            f"{base.name}.indirect: index of shape {index.shape} for {base.shape}", limit="the same partitions in both"
        )
    count = index.size if num_elem is None else num_elem
    return NkiTensor(base.storage, base.root, base.array, base.dtype, SnakeGather(base, index, count, 16))
