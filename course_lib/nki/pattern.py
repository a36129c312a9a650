"""Access patterns: a list of [stride, count] pairs laid over a storage, checked to stay inside it.

Source: Neuron documentation 2.32, "NKI access patterns".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from course_lib.nki.errors import NkiValidationError, broken_rule

if TYPE_CHECKING:
    from course_lib.nki.tensor import NkiTensor


def is_dense(strides: Sequence[int], shape: Sequence[int]) -> bool:
    """Whether dimensions with these strides, in elements, lie in memory in order and without gaps."""
    expected = 1
    for step, count in zip(reversed(strides), reversed(shape), strict=True):
        if count != 1 and step != expected:
            return False
        expected *= count
    return True


class BeyondStorage(NkiValidationError):
    """An access pattern leaves its storage."""


def strided(tensor: NkiTensor, pattern: list[list[int]], start: int) -> np.ndarray:
    """The NumPy view for a pattern.

    Args:
        tensor: gives storage and number format.
        pattern: [[stride, count], ...] in elements of the tensor's format.
        start: first element, counted from the storage's start.

    Raises:
        BeyondStorage: when the pattern leaves the storage, or on chip its partition.
        NkiValidationError: when it skips partitions.
    """
    storage, itemsize = tensor.storage, tensor.memory.itemsize
    flat = tensor.base.reshape(-1).view(tensor.memory.dtype)
    if storage.on_chip and pattern[0][1] > 1:
        pattern = [[_partition_step(tensor, pattern[0][0], flat.size // storage.shape[0]), pattern[0][1]], *pattern[1:]]
    lowest = highest = start
    for step, count in pattern:
        if count < 1:
            error = broken_rule(
                f"the access pattern {pattern} of {storage.describe()}",
                limit="each count is 1 or more",
                hint="leave the instruction out when there is nothing left to do",
            )
            raise BeyondStorage(str(error))
        reach = step * (count - 1)
        lowest, highest = lowest + min(reach, 0), highest + max(reach, 0)
    if lowest < 0 or highest >= flat.size:
        error = broken_rule(
            f"the access pattern {pattern} from element {start} reaches elements {lowest} to {highest} "
            f"of {storage.describe()}",
            limit=f"0 to {flat.size - 1}",
            hint="strides count elements of the storage, row by row; the first pair steps through partitions",
        )
        raise BeyondStorage(str(error))
    if storage.on_chip:
        _stay_in_partition(tensor, pattern, start, flat.size // storage.shape[0])
    return restride(flat[start:], [count for _, count in pattern], [step * itemsize for step, _ in pattern])


def _partition_step(tensor: NkiTensor, step: int, pitch: int) -> int:
    """The step between partitions: a kernel that knows a part of a tile alone gives that part's own width for it."""
    return pitch if step == math.prod(tensor.shape[1:]) else step


def restride(array: np.ndarray, shape: Sequence[int], strides: Sequence[int]) -> np.ndarray:
    """A view with another shape and other strides in bytes, for every format.

    NumPy's as_strided rebuilds the dtype from its name, and float8_e5m2's name means nothing to it.
    """
    if array.dtype.kind == "f" and array.itemsize == 1:
        return np.lib.stride_tricks.as_strided(array.view(np.uint8), shape, strides).view(array.dtype)
    return np.lib.stride_tricks.as_strided(array, shape, strides)


def _stay_in_partition(tensor: NkiTensor, pattern: list[list[int]], start: int, pitch: int) -> None:
    """On chip the free dimensions address one partition's memory and cannot run over into the next."""
    step, count = pattern[0]
    if count > 1 and step != pitch:
        raise broken_rule(
            f"the access pattern {pattern} steps from partition to partition by {step} elements",
            limit=f"{pitch}, the elements behind one partition of {tensor.storage.describe()}",
            hint=f"begin the pattern with [{pitch}, {math.prod(tensor.shape[:1])}]",
        )
    within = start % pitch
    low = within + sum(min(s * (n - 1), 0) for s, n in pattern[1:])
    high = within + sum(max(s * (n - 1), 0) for s, n in pattern[1:])
    if low < 0 or high >= pitch:
        error = broken_rule(
            f"the access pattern {pattern} from element {start} reaches elements {low} to {high} of a partition",
            limit=f"0 to {pitch - 1}: the free dimensions stay within one partition of {tensor.storage.describe()}",
        )
        raise BeyondStorage(str(error))
