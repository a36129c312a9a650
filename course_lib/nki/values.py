"""Values in and out of tiles: what an instruction reads, how its result is rounded, and where it is stored.

Compute engines cast to float32, compute, and cast to the destination's format; bit operators and exact integer paths
work on the stored integers.

Source: Neuron documentation 2.32, "Supported Math Operators for NKI ISA".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from course_lib.nki.dtypes import round_to, to_tfloat32
from course_lib.nki.errors import broken_rule
from course_lib.nki.tensor import NkiTensor

_FLOAT32 = np.dtype(np.float32)


def raw(tensor: NkiTensor) -> np.ndarray:
    """A tile's stored values: the view itself, or a gathered copy for an indirect view.

    Raises:
        NkiValidationError: for an index out of bounds.
    """
    if tensor.indirection is None:
        return tensor.array
    places, inside = tensor.indirection.places(tensor)
    if inside is not None:
        raise out_of_bounds(tensor, inside)
    gathered: np.ndarray = tensor.root.reshape(-1).view(tensor.array.dtype)[places]
    return gathered


def as_float32(tensor: NkiTensor) -> np.ndarray:
    """A tile's values as an engine computes with them; do not write to the result."""
    values = raw(tensor)
    return values if values.dtype == _FLOAT32 else values.astype(_FLOAT32)


def store(tensor: NkiTensor, values: np.ndarray) -> None:
    """Writes a result: rounds to the tile's format; the shapes may differ as long as partitions and counts agree."""
    if tensor.dtype == "tfloat32":
        values = to_tfloat32(np.ascontiguousarray(values, dtype=_FLOAT32))
    target = tensor.array
    rounded = round_to(values, target.dtype)
    if tensor.indirection is None:
        target[...] = rounded if rounded.shape == target.shape else rounded.reshape(target.shape)
        return
    places, inside = tensor.indirection.places(tensor)
    if inside is not None:
        raise out_of_bounds(tensor, inside)
    tensor.root.reshape(-1).view(target.dtype)[places] = rounded.reshape(places.shape)


def out_of_bounds(tensor: NkiTensor, inside: np.ndarray) -> Exception:
    """The error for an index that leaves a tensor."""
    place = tuple(int(at) for at in np.unravel_index(int(np.argmin(inside)), inside.shape))
    return broken_rule(
        f"an index for element {place} of an indirect view leaves {tensor.storage.describe()}",
        limit="indices from 0 to the size of the indexed dimension, less 1",
        hint="check the indices, or pass oob_mode=nisa.oob_mode.skip to nisa.dma_copy",
    )


def scalar_of(value: Any) -> float:
    """A compile-time constant operand.

    Raises:
        NkiValidationError: for anything but a number.
    """
    if isinstance(value, bool | int | float | np.number):
        return float(value)
    raise broken_rule(f"operand {value!r} of type {type(value).__name__}", limit="a number or a tile of shape (P, 1)")
