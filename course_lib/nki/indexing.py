"""Indices of a tensor: integers, slices and `nl.ds`, with the messages for everything else.

Source: Neuron documentation 2.32, class NkiTensor and "Indexing".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from course_lib.nki.errors import broken_rule

if TYPE_CHECKING:
    from course_lib.nki.tensor import NkiTensor


class DynamicSlice:
    """`nl.ds(start, size)`: a slice by start and size."""

    __slots__ = ("size", "start")

    def __init__(self, start: Any, size: int) -> None:
        self.start, self.size = start, size

    def __repr__(self) -> str:
        return f"nl.ds({self.start}, {self.size})"


def is_plain_slice(index: Any) -> bool:
    """Whether an index is a slice without a step."""
    return type(index) is slice and index.step is None


def plain_index(tensor: NkiTensor, dim: int, index: Any) -> Any:
    """An index of one dimension as NumPy takes it.

    Raises:
        NkiValidationError: for an index out of range or of a kind that NKI does not have.
    """
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
        place = int(index)
    except (TypeError, ValueError):
        raise broken_rule(
            f"the index {index!r} on dimension {dim} of {tensor.name}", limit="integers, slices, nl.ds and ..."
        ) from None
    if not -length <= place < length:
        raise broken_rule(
            f"index {place} on dimension {dim} of {tensor.name} with shape {tensor.shape}",
            limit=f"{-length} to {length - 1}",
        )
    place %= length
    return slice(place, place + 1) if dim == 0 and tensor.on_chip else place
