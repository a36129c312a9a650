"""Methods of NkiTensor that compute addresses: explicit access patterns, and indices that are known at run time only.

Source: Neuron documentation 2.32, class NkiTensor; "NKI access patterns".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from course_lib.nki.dtypes import as_dtype
from course_lib.nki.errors import broken_rule
from course_lib.nki.indirection import Lookup, tensor_indirection
from course_lib.nki.pattern import BeyondStorage, strided

MAX_DIMS = 5

if TYPE_CHECKING:
    from course_lib.nki.tensor import NkiTensor


def select(tensor: NkiTensor, dim: int, index: Any) -> NkiTensor:
    """One entry of a dimension, which is removed; `index` is an integer, a register or a (1, 1) tile."""
    dim = tensor._dim(dim, free=False, what="select")
    if isinstance(index, int | np.integer):
        if not -tensor.shape[dim] <= index < tensor.shape[dim]:
            raise broken_rule(
                f"select({dim}, {index}) of {tensor.name} with shape {tensor.shape}",
                limit=f"0 to {tensor.shape[dim] - 1}",
            )
        array = tensor._layout[(slice(None),) * dim + (int(index),)]
        while array.ndim < (2 if tensor.on_chip else 1):
            array = array[..., np.newaxis]
        return tensor._view(array)
    tensor._direct("a dynamic select")
    tensor._dim(dim, free=True, what="a dynamic select")
    pattern = [[step, count] for place, (step, count) in enumerate(tensor.get_pattern()) if place != dim]
    while len(pattern) < (2 if tensor.on_chip else 1):
        pattern.append([1, 1])
    shape = tuple(count for _, count in pattern)
    lookup = Lookup(shape, pattern, tensor.offset, tensor.strides[dim], tensor.shape[dim], scalar=index)
    return tensor._looked_up(lookup)


def vector_select(tensor: NkiTensor, dim: int, vector_offset: NkiTensor) -> NkiTensor:
    """Each partition takes its own entry of `dim`, given by a (P, 1) tile; dimension 0 of the result is P."""
    tensor._direct("vector_select")
    dim = tensor._dim(dim, free=False, what="vector_select")
    if dim != 0 or tensor.on_chip:
        raise broken_rule(
            f"vector_select({dim}, ...) of {tensor.name} {tensor.shape} in {tensor.buffer.value}",
            limit="dimension 0 of a tensor in HBM",
            hint="gather within a partition with nisa.nc_n_gather",
        )
    rest = [(step, count) for place, (step, count) in enumerate(tensor.get_pattern()) if place != dim]
    partitions = vector_offset.shape[0]
    pattern = [[0, partitions], *[list(pair) for pair in rest]]
    shape = tuple(count for _, count in pattern)
    lookup = Lookup(shape, pattern, tensor.offset, tensor.strides[dim], tensor.shape[dim], vector=vector_offset)
    return tensor._looked_up(lookup)


def ap(
    tensor: NkiTensor,
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
    tensor._direct("ap")
    base = tensor if dtype is None or as_dtype(dtype) == tensor.dtype else _recast(tensor, dtype)
    pairs = [[int(step), int(count)] for step, count in pattern]
    if len(pairs) > MAX_DIMS:
        raise broken_rule(f"the access pattern {pairs}", limit=f"at most {MAX_DIMS} [stride, count] pairs")
    start = base.offset + (offset or 0)
    if vector_offset is not None and (tensor.on_chip or indirect_dim != 0):
        raise broken_rule(
            f"ap(vector_offset=..., indirect_dim={indirect_dim}) of {tensor.name} in {tensor.buffer.value}",
            limit="vector offsets index dimension 0 of a tensor in HBM",
            hint="gather within a partition with nisa.nc_n_gather",
        )
    if scalar_offset is None and vector_offset is None:
        try:
            return base._view(strided(base, pairs, start))
        except BeyondStorage as error:
            from course_lib.nki.out_of_reach import OutOfReach

            return OutOfReach(base, tuple(count for _, count in pairs), error)
    if scalar_offset is not None and vector_offset is not None:
        raise broken_rule("ap with scalar_offset and vector_offset", limit="one of the two")
    shape = tuple(count for _, count in pairs)
    step, length = base.strides[indirect_dim], base.shape[indirect_dim]
    lookup = Lookup(shape, pairs, start, step, length, scalar=scalar_offset, vector=vector_offset)
    return base._looked_up(lookup)


def _recast(tensor: NkiTensor, dtype: Any) -> NkiTensor:
    """This view's start, read as another format: what `ap(dtype=...)` lays its pattern on."""
    if tensor.is_contiguous() or tensor.memory.strides[-1] == tensor.memory.itemsize:
        return tensor.view(dtype)
    whole = tensor._of(tensor.base, tensor.storage.dtype).view(dtype)
    byte = tensor.offset * tensor.memory.itemsize
    if byte % whole.memory.itemsize:
        raise broken_rule(
            f"ap(dtype={dtype}) of {tensor.name} from byte {byte}", limit=f"a multiple of {whole.memory.itemsize}"
        )
    start = byte // whole.memory.itemsize
    return tensor._of(whole.memory.reshape(-1)[start:].reshape(1, -1), whole.dtype)


def indirect(tensor: NkiTensor, index: NkiTensor, num_elem: int | None = None) -> NkiTensor:
    """Gather or scatter along the free dimension by offsets that lie in SBUF (NeuronCore-v4)."""
    return tensor_indirection(tensor, index, num_elem)
