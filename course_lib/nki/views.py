"""Methods of NkiTensor that rearrange a view: slices, permutations, reshapes, other formats. Nothing is copied.

Source: Neuron documentation 2.32, class NkiTensor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from course_lib.nki.dtypes import as_dtype
from course_lib.nki.errors import broken_rule
from course_lib.nki.pattern import restride
from course_lib.nki.rearrange import plan_rearrange

if TYPE_CHECKING:
    from course_lib.nki.tensor import NkiTensor


def slice_dim(tensor: NkiTensor, dim: int, start: int, end: int, step: int = 1) -> NkiTensor:
    """Slice one dimension: 0 <= start < end <= shape[dim], step >= 1."""
    dim = tensor._dim(dim, free=False, what="slice")
    if not 0 <= start < end <= tensor.shape[dim] or step < 1:
        raise broken_rule(
            f"slice({dim}, {start}, {end}, {step}) of {tensor.name} with shape {tensor.shape}",
            limit=f"0 <= start < end <= {tensor.shape[dim]} and step >= 1",
        )
    return tensor._view(tensor._layout[(slice(None),) * dim + (slice(start, end, step),)])


def permute(tensor: NkiTensor, dims: Sequence[int]) -> NkiTensor:
    """Reorder dimensions; on chip the partition dimension stays first."""
    if sorted(dims) != list(range(tensor.ndim)):
        raise broken_rule(f"permute({tuple(dims)}) of {tensor.ndim} dimensions", limit="each dimension once")
    if dims[0] != 0:
        tensor._dim(0, free=True, what=f"permute({tuple(dims)})")
    return tensor._view(tensor._layout.transpose(tuple(dims)))


def broadcast(tensor: NkiTensor, dim: int, size: int) -> NkiTensor:
    """Repeat a dimension of size 1 without copying."""
    dim = tensor._dim(dim, free=True, what="broadcast")
    if tensor.shape[dim] != 1:
        raise broken_rule(
            f"broadcast of dimension {dim} of {tensor.name} with shape {tensor.shape}", limit="its size must be 1"
        )
    shape = (*tensor.shape[:dim], size, *tensor.shape[dim + 1 :])
    layout = tensor._layout
    return tensor._view(restride(layout, shape, (*layout.strides[:dim], 0, *layout.strides[dim + 1 :])))


def expand_dim(tensor: NkiTensor, dim: int) -> NkiTensor:
    """Insert a dimension of size 1."""
    place = dim + tensor.ndim + 1 if dim < 0 else dim
    if place == 0:
        tensor._dim(0, free=True, what="expand_dim")
    return tensor._view(np.expand_dims(tensor._layout, place))


def squeeze_dim(tensor: NkiTensor, dim: int) -> NkiTensor:
    """Remove a dimension of size 1."""
    dim = tensor._dim(dim, free=True, what="squeeze_dim")
    if tensor.shape[dim] != 1:
        raise broken_rule(f"squeeze_dim({dim}) of shape {tensor.shape}", limit="its size must be 1")
    return tensor._view(np.squeeze(tensor._layout, dim))


def reshape_dim(tensor: NkiTensor, dim: int, shape: Sequence[int]) -> NkiTensor:
    """Split one dimension; one entry of `shape` may be -1."""
    dim = tensor._dim(dim, free=len(shape) != 1, what="reshape_dim")
    sizes = list(shape)
    if sizes.count(-1) == 1:
        known = -math.prod(sizes)
        sizes[sizes.index(-1)] = tensor.shape[dim] // known if known and tensor.shape[dim] % known == 0 else 0
    if math.prod(sizes) != tensor.shape[dim] or min(sizes, default=0) < 1:
        raise broken_rule(
            f"reshape_dim({dim}, {tuple(shape)}) of shape {tensor.shape}",
            limit=f"the product must be {tensor.shape[dim]}",
        )
    return _reshaped(tensor, (*tensor.shape[:dim], *sizes, *tensor.shape[dim + 1 :]))


def flatten_dims(tensor: NkiTensor, start_dim: int, end_dim: int) -> NkiTensor:
    """Merge dimensions start..end (inclusive), which must be contiguous."""
    start = tensor._dim(start_dim, free=True, what="flatten_dims")
    end = tensor._dim(end_dim, free=False, what="flatten_dims")
    merged = math.prod(tensor.shape[start : end + 1])
    return _reshaped(tensor, (*tensor.shape[:start], merged, *tensor.shape[end + 1 :]))


def reshape(tensor: NkiTensor, shape: Sequence[int], *more: int) -> NkiTensor:
    """Another shape of the same elements, without copying."""
    if isinstance(shape, int):
        raise broken_rule(f"reshape({shape}, ...)", limit="one tuple of sizes", hint="reshape((rows, columns))")
    sizes = tuple(int(size) for size in shape)
    if sizes.count(-1) == 1:
        known = -math.prod(sizes)
        sizes = tuple(tensor.size // known if size == -1 and known else size for size in sizes)
    if math.prod(sizes) != tensor.size:
        raise broken_rule(
            f"reshape of {tensor.name} from {tensor.shape} to {tuple(shape)}", limit=f"{tensor.size} elements in both"
        )
    if sizes[0] != tensor.shape[0]:
        tensor._dim(0, free=True, what=f"reshape from {tensor.shape} to {sizes}")
    return _reshaped(tensor, sizes)


def _reshaped(tensor: NkiTensor, shape: tuple[int, ...]) -> NkiTensor:
    try:
        array = tensor._layout.reshape(shape, copy=False)
    except ValueError:
        raise broken_rule(
            f"reshape of the strided view {tensor.shape} (strides {tensor.strides}) of {tensor.name} to {shape}",
            limit="the elements must lie in memory so that no copy is needed",
            hint="copy the view to a fresh tile first (nisa.tensor_copy), or reshape before slicing",
        ) from None
    return tensor._view(array)


def rearrange(
    tensor: NkiTensor, src_pattern: Sequence[Any], dst_pattern: Sequence[Any], fixed_sizes: dict[str, int] | None = None
) -> NkiTensor:
    """Split, reorder and merge dimensions by name, e.g. ('b', ('h', 'w')) to ('b', 'w', 'h') with {'h': 4}."""
    split, order, merged = plan_rearrange(tensor.shape, src_pattern, dst_pattern, fixed_sizes or {})
    return _split(_split(tensor, split).permute(order), merged)


def _split(tensor: NkiTensor, shape: tuple[int, ...]) -> NkiTensor:
    return tensor if shape == tensor.shape else _reshaped(tensor, shape)


def view(tensor: NkiTensor, dtype: Any) -> NkiTensor:
    """The same bytes read as another format; the last dimension shrinks or grows."""
    tensor._direct("view")
    target = as_dtype(dtype)
    if target == tensor.dtype:
        return tensor
    if tensor.memory.itemsize != tensor.dtype.itemsize:
        raise broken_rule(
            f"{tensor.name} viewed as {target}",
            limit="with NKI_PRECISE_FP=0 low-precision formats are stored as float32, so their bytes don't exist",
            hint="run this kernel with NKI_PRECISE_FP=1",
        )
    array = tensor.memory
    if target.itemsize != tensor.dtype.itemsize:
        if array.ndim and array.shape[-1] > 1 and array.strides[-1] != array.itemsize:
            raise broken_rule(
                f"view({target}) of {tensor.name}", limit="the last dimension must be contiguous in memory"
            )
        if array.shape[-1] * tensor.dtype.itemsize % target.itemsize:
            raise broken_rule(
                f"view({target}) of {tensor.name} with shape {tensor.shape} {tensor.dtype}",
                limit=f"the last dimension's bytes must be a multiple of {target.itemsize}",
            )
    return tensor._of(array.view(target.numpy), target)
