"""Matrix products and transposes on the tensor engine.

Source: Neuron documentation 2.32, `nki.language`: matmul, transpose.
"""

from __future__ import annotations

import math
from typing import Any

from course_lib.nki import isa
from course_lib.nki.constants import MemoryRegion, engine
from course_lib.nki.errors import broken_rule
from course_lib.nki.isa.rules import need_tensor
from course_lib.nki.language.memory import copy
from course_lib.nki.session import current_core
from course_lib.nki.tensor import NkiTensor


def matmul(x: NkiTensor, y: NkiTensor, transpose_x: bool = False) -> NkiTensor:
    """`x @ y`, or `x.T @ y` when `x` is transposed already; the result is a float32 tile in PSUM.

    Args:
        x: (M, K) tile in SBUF, both at most 128; with `transpose_x`, (K, M).
        y: (K, N) tile in SBUF.
        transpose_x: the tensor engine contracts along partitions, so that (M, K) costs one more transpose.
    """
    need_tensor("nl.matmul", "x", x)
    need_tensor("nl.matmul", "y", y)
    stationary = x if transpose_x else copy(transpose(x))
    shape = (math.prod(stationary.shape[1:]), *y.shape[1:])
    result = current_core().allocate(shape, "float32", MemoryRegion.psum)
    isa.nc_matmul(dst=result, stationary=stationary, moving=y)
    return result


def transpose(x: NkiTensor, dtype: Any = None) -> NkiTensor:
    """A tile with partitions and free dimension swapped, in PSUM; in SBUF when a cast is asked for.

    Args:
        x: (P, N) tile, N at most 128.
        dtype: format of the result; that of `x` when None.
    """
    need_tensor("nl.transpose", "x", x)
    if x.ndim != 2:
        raise broken_rule(f"nl.transpose of shape {x.shape}", limit="two dimensions", hint="flatten_dims first")
    data = copy(x) if x.buffer is MemoryRegion.psum else x
    result = current_core().allocate(x.shape[::-1], x.dtype, MemoryRegion.psum)
    isa.nc_transpose(dst=result, data=data, engine=engine.tensor)
    return result if dtype is None or dtype == x.dtype else copy(result, dtype)
