"""softmax and rms_norm, each as the few instructions that a kernel would use.

Source: Neuron documentation 2.32, `nki.language.softmax`, `rms_norm`.
"""

from __future__ import annotations

from typing import Any

from course_lib.nki import isa
from course_lib.nki.constants import MemoryRegion
from course_lib.nki.errors import broken_rule
from course_lib.nki.language.elementwise import fresh
from course_lib.nki.language.reductions import max as maximum_of
from course_lib.nki.language.reductions import sum as total_of
from course_lib.nki.language.reductions import sum_of, trailing_axes
from course_lib.nki.operators import OPS
from course_lib.nki.session import current_core
from course_lib.nki.tensor import NkiTensor


def softmax(x: NkiTensor, axis: Any = -1, dtype: Any = None) -> NkiTensor:
    """exp(x - max) over its sum, along the last dimensions; computed in float32.

    Args:
        x: (P, ...) tile.
        axis: the last dimension, or the last few.
        dtype: format of the result; that of `x` when None.
    """
    axes = trailing_axes("nl.softmax", x, axis)
    result = fresh(x, dtype)
    if axes[0] == 1:
        _softmax_rows(_rows(x), _rows(result))
        return result
    merged = x if len(axes) == 1 else x.flatten_dims(axes[0], axes[-1])
    last, count = merged.ndim - 1, merged.shape[-1]
    shifted, powers = fresh(merged, "float32"), fresh(merged, "float32")
    largest = maximum_of(merged, last, dtype="float32", keepdims=True).broadcast(last, count)
    isa.tensor_tensor(dst=shifted, data1=merged, data2=largest, op=OPS["subtract"])
    isa.activation(dst=powers, op=OPS["exp"], data=shifted)
    total = total_of(powers, last, dtype="float32", keepdims=True)
    inverse = fresh(total)
    isa.reciprocal(dst=inverse, data=total)
    target = result if len(axes) == 1 else result.flatten_dims(axes[0], axes[-1])
    isa.tensor_tensor(dst=target, data1=powers, data2=inverse.broadcast(last, count), op=OPS["multiply"])
    return result


def _rows(x: NkiTensor) -> NkiTensor:
    return x if x.ndim == 2 else x.flatten_dims(1, x.ndim - 1)


def _softmax_rows(x: NkiTensor, result: NkiTensor) -> None:
    """One maximum, one activation that adds up as well, one reciprocal, one scaling."""
    lowest = current_core().allocate((x.shape[0], 1), "float32", MemoryRegion.sbuf)
    isa.tensor_reduce(dst=lowest, op=OPS["maximum"], data=x, axis=1, negate=True)
    powers = fresh(x, "float32")
    total = sum_of("exp", x, powers, bias=lowest)
    inverse = fresh(total)
    isa.reciprocal(dst=inverse, data=total)
    isa.tensor_scalar(dst=result, data=powers, op0=OPS["multiply"], operand0=inverse)


def rms_norm(
    x: NkiTensor,
    w: NkiTensor,
    axis: Any,
    n: int,
    epsilon: float = 1e-6,
    dtype: Any = None,
    compute_dtype: Any = None,
) -> NkiTensor:
    """x over its root mean square along the last dimensions, times the weights.

    Args:
        x: (P, ...) tile.
        w: weights of the same shape.
        axis: all free dimensions.
        n: how many elements the mean divides by.
        epsilon: added to the mean of squares.
        dtype: format of the result; that of `x` when None.
        compute_dtype: format of the squares; float32 when None.
    """
    axes = trailing_axes("nl.rms_norm", x, axis)
    if axes[0] != 1:
        raise broken_rule(
            f"nl.rms_norm: axis={axis} of shape {x.shape}", limit="all free dimensions", hint="loop over dimension 1"
        )
    result = fresh(x, dtype)
    rows, weights, target = _rows(x), _rows(w), _rows(result)
    squares = sum_of("square", rows, fresh(rows, compute_dtype or "float32"))
    shifted = fresh(squares)
    isa.tensor_scalar(
        dst=shifted, data=squares, op0=OPS["multiply"], operand0=1.0 / n, op1=OPS["add"], operand1=epsilon
    )
    inverse = fresh(squares)
    isa.activation(dst=inverse, op=OPS["rsqrt"], data=shifted)
    isa.scalar_tensor_tensor(
        dst=target, data=rows, op0=OPS["multiply"], operand0=inverse, op1=OPS["multiply"], operand1=weights
    )
    return result
