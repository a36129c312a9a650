"""Indices of a tensor: integers, slices and `nl.ds`, with the messages for everything else.

Source: Neuron documentation 2.32, class NkiTensor and "Indexing".
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from course_lib.nki.errors import broken_rule

if TYPE_CHECKING:
    from course_lib.nki.tensor import NkiTensor


_MOST_VIEWS = 4096  # that a tensor remembers


class DynamicSlice:
    """`nl.ds(start, size)`: a slice by start and size."""

    __slots__ = ("size", "start")

    def __init__(self, start: Any, size: int) -> None:
        self.start, self.size = start, size

    def __repr__(self) -> str:
        return f"nl.ds({self.start}, {self.size})"


def index_name(key: Any) -> tuple[Any, ...] | None:
    """An index by value, equal for equal indices; None for one with other parts than whole numbers and plain slices.

    A register counts among the others: what it holds can change.
    """
    name: list[Any] = []
    for part in key if type(key) is tuple else (key,):
        if type(part) is slice:
            start, stop = part.start, part.stop
            if part.step is not None or not (
                (start is None or type(start) is int) and (stop is None or type(stop) is int)
            ):
                return None
            name.append((start, stop))
        elif type(part) is int:
            name.append(part)
        else:
            return None
    return tuple(name)


_PATTERNS = (
    "regular patterns are slices, nl.ds(start, size) or .ap([[stride, count], ...]); to look rows up, load their "
    "numbers into a tile and use .ap(..., vector_offset=tile) or .vector_select"
)


def _short(index: Any) -> str:
    """An index in words: an array by its shape, a slice as it is written."""
    if hasattr(index, "shape"):
        return f"{type(index).__name__} of shape {tuple(index.shape)}"
    if isinstance(index, slice):
        return ":".join("" if part is None else str(part) for part in (index.start, index.stop))
    return repr(index)


def plain_index(tensor: NkiTensor, dim: int, index: Any) -> Any:
    """An index of one dimension as NumPy takes it.

    Raises:
        NkiValidationError: for an index out of range or of a kind that NKI does not have.
    """
    if type(index) is slice and index.step is None:
        return index
    length = tensor.shape[dim]
    if isinstance(index, DynamicSlice):
        if hasattr(index.start, "storage"):
            raise broken_rule(
                f"{index!r}: the start is a tile",
                limit="nl.ds takes a number or a register",
                hint="load it with nisa.register_load, or use .ap(..., scalar_offset=tile, indirect_dim=...)",
            )
        start = int(index.start)
        if start < 0 or start + index.size > length:
            raise broken_rule(
                f"{index!r} on dimension {dim} of {tensor.name} with shape {tensor.shape}",
                limit=f"start 0 or more, start + size at most {length}",
                hint="shorten the last tile: nl.ds(start, min(size, length - start))",
            )
        return slice(start, start + index.size)
    if isinstance(index, slice):
        if index.step is not None and index.step < 1:
            raise broken_rule(f"step {index.step} on dimension {dim} of {tensor.name}", limit="1 or more")
        return index
    if hasattr(index, "storage"):
        raise broken_rule(
            f"{tensor.name} indexed by a tensor",
            limit="plain indices are integers, slices and nl.ds",
            hint="use .select(dim, index), .vector_select(dim, offsets) or .ap(..., vector_offset=...)",
        )
    try:
        place = operator.index(index)
    except TypeError:
        raise broken_rule(
            f"the index {_short(index)} on dimension {dim} of {tensor.name}",
            limit="whole numbers, slices, nl.ds and Ellipsis",
            hint="use // for whole quotients" if isinstance(index, float) else _PATTERNS,
        ) from None
    if not -length <= place < length:
        raise broken_rule(
            f"index {place} on dimension {dim} of {tensor.name} with shape {tensor.shape}",
            limit=f"{-length} to {length - 1}",
        )
    place %= length
    return slice(place, place + 1) if dim == 0 and tensor.on_chip else place


def item(tensor: NkiTensor, key: Any) -> NkiTensor:
    """`tensor[key]`. Loops take the same slices again and again, so what is found out about a view is kept with it."""
    name = index_name(key)
    if name is None:
        return _indexed(tensor, key)
    views = tensor.views
    if views is None:
        views = tensor.views = {}
    found = views.get(name)
    if found is None:
        found = _sliced(tensor, key) if tensor.indirection is None else _indexed(tensor, key)
        # Neither the tensor itself, which would live for ever, nor a view of nothing, whose error names this line.
        if found is not tensor and type(found) is type(tensor) and len(views) < _MOST_VIEWS:
            views[name] = found
    return found


def _sliced(tensor: NkiTensor, key: Any) -> NkiTensor:
    """The usual case: a plain slice or a number within range for each dimension."""
    if type(key) is not tuple or len(key) != len(tensor.shape) or (type(key[0]) is int and tensor.storage.on_chip):
        return _indexed(tensor, key)
    for part, length in zip(key, tensor.shape, strict=True):
        if type(part) is int and not 0 <= part < length:
            return _indexed(tensor, key)
    array = tensor.memory[key]
    if array.ndim < 2 or 0 in array.shape:
        return _indexed(tensor, key)
    return tensor if array.shape == tensor.shape else tensor._of(array, tensor.dtype)


def _indexed(tensor: NkiTensor, key: Any) -> NkiTensor:
    keys = list(key) if isinstance(key, tuple) else [key]
    if any(index is Ellipsis for index in keys):
        at = next(place for place, index in enumerate(keys) if index is Ellipsis)
        keys[at : at + 1] = [slice(None)] * (tensor.ndim - len(keys) + 1)
    if len(keys) > tensor.ndim:
        raise broken_rule(f"{len(keys)} indices for {tensor.name} with shape {tensor.shape}", limit=f"{tensor.ndim}")
    plain: list[Any] = []
    for dim, index in enumerate(keys):
        plain.append(plain_index(tensor, dim, index))
    if tensor.indirection is not None and plain and plain[0] != slice(None):
        tensor._dim(0, free=False, what="indexing")
    try:
        array = tensor._layout[tuple(plain)]
    except TypeError:
        raise broken_rule(
            f"the index {', '.join(map(_short, keys))} of {tensor.name}",
            limit="slices of whole numbers",
            hint="use // for whole quotients",
        ) from None
    if 0 in array.shape:
        from course_lib.nki.out_of_reach import OutOfReach

        error = broken_rule(
            f"the index {key!r} selects nothing from {tensor.name} with shape {tensor.shape}",
            limit="an instruction needs at least one element in each dimension",
            hint="leave the instruction out when there is nothing left to do",
        )
        return OutOfReach(tensor, array.shape, error)
    if array.shape == tensor.shape:
        return tensor  # `tile[...]` and its like: the same elements, recognised as all of them
    lowest = 2 if tensor.on_chip else 1
    while array.ndim < lowest:
        array = array[..., np.newaxis]
    if tensor.indirection is not None:
        return tensor._view(array)
    return tensor._of(array, tensor.dtype)
