"""Reductions along the trailing free dimensions.

Source: Neuron documentation 2.32, `nki.language`: sum, max, min, mean, prod, var, all.
"""

from __future__ import annotations

import math
from typing import Any

from course_lib.nki import isa
from course_lib.nki.constants import MemoryRegion, reduce_cmd
from course_lib.nki.errors import broken_rule
from course_lib.nki.isa.rules import need_tensor
from course_lib.nki.language.elementwise import fresh
from course_lib.nki.operators import OPS
from course_lib.nki.session import current_core
from course_lib.nki.tensor import NkiTensor


def trailing_axes(function: str, x: NkiTensor, axis: Any) -> tuple[int, ...]:
    """The axes to reduce, in order.

    Raises:
        NkiValidationError: unless they are the last dimensions and leave out the partition dimension.
    """
    need_tensor(function, "x", x)
    given = tuple(axis) if isinstance(axis, tuple | list) else (axis,)
    axes = tuple(sorted(int(a) + x.ndim if int(a) < 0 else int(a) for a in given))
    if not axes or axes[0] == 0 or axes != tuple(range(x.ndim - len(axes), x.ndim)):
        raise broken_rule(
            f"{function}: axis={axis} of shape {x.shape}",
            limit="the last free dimensions, without gaps; dimension 0 is the partition dimension",
            hint="permute the free dimensions; across partitions use nisa.tensor_partition_reduce",
        )
    return axes


def _reduce(function: str, op: str, x: NkiTensor, axis: Any, dtype: Any, keepdims: bool) -> NkiTensor:
    axes = trailing_axes(function, x, axis)
    kept = x.shape[: axes[0]]
    shape = kept + ((1,) * len(axes) if keepdims or len(kept) < 2 else ())
    if not keepdims and len(kept) < 2:
        shape = (*kept, 1)
    tile = current_core().allocate(shape, dtype or x.dtype, MemoryRegion.sbuf)
    isa.tensor_reduce(dst=tile, op=OPS[op], data=x, axis=axes, keepdims=keepdims)
    return tile


def sum(x: NkiTensor, axis: Any, dtype: Any = None, keepdims: bool = False) -> NkiTensor:
    """Sum along the last dimensions; (P, 1) when nothing but the partitions is left."""
    return _reduce("nl.sum", "add", x, axis, dtype, keepdims)


def max(x: NkiTensor, axis: Any, dtype: Any = None, keepdims: bool = False) -> NkiTensor:
    """Maximum along the last dimensions."""
    return _reduce("nl.max", "maximum", x, axis, dtype, keepdims)


def min(x: NkiTensor, axis: Any, dtype: Any = None, keepdims: bool = False) -> NkiTensor:
    """Minimum along the last dimensions."""
    return _reduce("nl.min", "minimum", x, axis, dtype, keepdims)


def prod(x: NkiTensor, axis: Any, dtype: Any = None, keepdims: bool = False) -> NkiTensor:
    """Product along the last dimensions."""
    return _reduce("nl.prod", "multiply", x, axis, dtype, keepdims)


def all(x: NkiTensor, axis: Any, dtype: Any = None) -> NkiTensor:
    """1 where all elements along the last dimensions differ from zero, 0 elsewhere."""
    return _reduce("nl.all", "logical_and", x, axis, dtype, False)


def mean(x: NkiTensor, axis: Any, dtype: Any = None, keepdims: bool = False) -> NkiTensor:
    """Mean along the last dimensions, added up in float32."""
    axes = trailing_axes("nl.mean", x, axis)
    total = _reduce("nl.mean", "add", x, axis, "float32", keepdims)
    tile = fresh(total, dtype or x.dtype)
    count = math.prod(x.shape[a] for a in axes)
    isa.tensor_scalar(dst=tile, data=total, op0=OPS["multiply"], operand0=1.0 / count)
    return tile


def var(x: NkiTensor, axis: Any, dtype: Any = None, keepdims: bool = False) -> NkiTensor:
    """Variance (divided by the count) along the last dimensions, which stay with size 1 as the documentation says."""
    axes = trailing_axes("nl.var", x, axis)
    kept = x.shape[: axes[0]]
    count = math.prod(x.shape[a] for a in axes)
    shape = kept + (1,) * len(axes)
    result = current_core().allocate(shape, dtype or x.dtype, MemoryRegion.sbuf)
    rows = x if len(axes) == 1 else x.flatten_dims(axes[0], axes[-1])
    center = mean(rows, rows.ndim - 1, dtype="float32", keepdims=True)
    inner = [place for place in range(1, len(kept)) if kept[place] != 1]
    if not inner:
        spread = fresh(rows, "float32")
        isa.tensor_scalar(dst=spread, data=rows, op0=OPS["subtract"], operand0=center.reshape((center.shape[0], 1)))
    else:
        spread = fresh(rows, "float32")
        wide = center.broadcast(rows.ndim - 1, count)
        isa.tensor_tensor(dst=spread, data1=rows, data2=wide, op=OPS["subtract"])
    squares = fresh(rows, "float32")
    isa.activation(dst=squares, op=OPS["square"], data=spread)
    average = mean(squares, squares.ndim - 1, dtype="float32", keepdims=True)
    isa.tensor_copy(dst=result, src=average.reshape(shape))
    return result


def sum_of(op: str, x: NkiTensor, dst: NkiTensor, **inputs: Any) -> NkiTensor:
    """Activates every element of `x` into `dst` and adds the results up for each partition in the same instruction.

    Returns:
        (P, 1) float32 tile.
    """
    total = current_core().allocate((x.shape[0], 1), "float32", MemoryRegion.sbuf)
    isa.activation(
        dst=dst,
        op=OPS[op],
        data=x,
        reduce_op=OPS["add"],
        reduce_res=total,
        reduce_cmd=reduce_cmd.reset_reduce,
        **inputs,
    )
    return total
