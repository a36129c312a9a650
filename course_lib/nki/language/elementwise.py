"""Element-wise functions: what `nl.exp(x)` and `nl.add(x, y)` issue. Each is set as the `call` of its operator.

Two tiles need equal shapes; a (P, 1) tile or a number goes with any tile of P partitions. `divide`, `mod` and `fmod`
run in the official simulator and have no instruction on the hardware; here they are built from those that it has.

Source: Neuron documentation 2.32, `nki.language`, math functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from course_lib.nki import isa
from course_lib.nki.constants import MemoryRegion, engine
from course_lib.nki.dtypes import DType, as_dtype
from course_lib.nki.errors import broken_rule
from course_lib.nki.isa.rules import need_tensor
from course_lib.nki.language.memory import copy
from course_lib.nki.operators import OPS, Op
from course_lib.nki.session import current_core
from course_lib.nki.tensor import NkiTensor

_BY_ACTIVATION = (
    "abs",
    "exp",
    "log",
    "sqrt",
    "tanh",
    "sigmoid",
    "relu",
    "gelu",
    "gelu_apprx_sigmoid",
    "gelu_apprx_tanh",
    "gelu_dx",
    "gelu_apprx_sigmoid_dx",
    "silu",
    "silu_dx",
    "softplus",
    "mish",
    "erf",
    "erf_dx",
    "sign",
    "square",
)
_BINARY = (
    "add",
    "subtract",
    "multiply",
    "maximum",
    "minimum",
    "abs_max",
    "abs_min",
    "power",
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "left_shift",
    "right_shift",
    "logical_and",
    "logical_or",
    "logical_xor",
)
_INTEGERS = {"bool": 0, "uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "uint32": 3, "int32": 3}


def fresh(like: NkiTensor, dtype: Any = None) -> NkiTensor:
    """A tile in SBUF with the shape of another, in its format unless another is given."""
    return current_core().allocate(like.shape, dtype or like.dtype, MemoryRegion.sbuf)


def promoted(x: DType, y: DType) -> DType:
    """The format of a result of two tiles: the float one, then the wider one, then the first."""
    if x == y or (x.is_float and not y.is_float):
        return x
    if y.is_float and not x.is_float:
        return y
    if x.is_float and y.is_float and x.itemsize == y.itemsize:
        return as_dtype("float32")  # float16 and bfloat16 each hold numbers that the other cannot
    rank = (x.itemsize, y.itemsize) if x.is_float else (_INTEGERS.get(x, 3), _INTEGERS.get(y, 3))
    return y if rank[1] > rank[0] else x


def activate(op: Op, x: NkiTensor, dtype: Any = None) -> NkiTensor:
    """One activation instruction."""
    need_tensor(f"nl.{op.name}", "x", x)
    tile = fresh(x, dtype)
    isa.activation(dst=tile, op=op, data=x)
    return tile


def binary(op: Op, x: Any, y: Any, dtype: Any = None) -> NkiTensor:
    """One vector instruction on two tiles of one shape, or on a tile and a number or (P, 1) tile.

    Raises:
        NkiValidationError: for two numbers, or shapes that need another kind of broadcast.
    """
    name = f"nl.{op.name}"
    if isinstance(x, NkiTensor) and isinstance(y, NkiTensor):
        fmt = dtype or promoted(x.dtype, y.dtype)
        if x.shape == y.shape:
            tile = fresh(x, fmt)
            isa.tensor_tensor(dst=tile, data1=x, data2=y, op=op)
            return tile
        if x.shape[0] == y.shape[0] and math.prod(y.shape[1:]) == 1:
            return _with_scalar(op, x, _operand(op, y, x), False, fmt)
        if x.shape[0] == y.shape[0] and math.prod(x.shape[1:]) == 1:
            return _with_scalar(op, y, _operand(op, x, y), True, fmt)
        raise broken_rule(
            f"{name}: shapes {x.shape} and {y.shape}",
            limit="equal shapes, or one of them (P, 1) with the same partitions",
            hint="repeat the smaller tile with nl.broadcast_to(x, shape)",
        )
    if isinstance(x, NkiTensor):
        return _with_scalar(op, x, y, False, dtype or x.dtype)
    if isinstance(y, NkiTensor):
        return _with_scalar(op, y, x, True, dtype or y.dtype)
    raise broken_rule(
        f"{name}({x!r}, {y!r})", limit="at least one operand is a tile", hint="compute numbers with plain Python"
    )


def _with_scalar(op: Op, tile: NkiTensor, operand: Any, reverse: bool, dtype: Any) -> NkiTensor:
    result = fresh(tile, dtype)
    isa.tensor_scalar(dst=result, data=tile, op0=op, operand0=operand, reverse0=reverse)
    return result


def _operand(op: Op, column: NkiTensor, data: NkiTensor) -> NkiTensor:
    """A (P, 1) tile as tensor_scalar takes it: float32 for arithmetic."""
    if op.bits or column.dtype == "float32" or (column.dtype.is_integer and data.dtype.is_integer):
        return column
    return copy(column, dtype="float32")


def _rsqrt(x: NkiTensor, dtype: Any = None) -> NkiTensor:
    """1 / sqrt(x) on the GpSimd engine, which is more precise than the scalar engine and does not reach PSUM."""
    need_tensor("nl.rsqrt", "x", x)
    if x.buffer is MemoryRegion.psum:
        raise broken_rule(
            f"nl.rsqrt: x {x.name} is in psum",
            limit="nl.rsqrt runs on the GpSimd engine, which reaches SBUF only",
            hint="nl.copy it to SBUF first, or call nisa.activation(op=nl.rsqrt)",
        )
    tile = fresh(x, dtype)
    isa.tensor_scalar(dst=tile, data=x, op0=OPS["rsqrt"], operand0=0.0, engine=engine.gpsimd)
    return tile


def _reciprocal(x: NkiTensor, dtype: Any = None) -> NkiTensor:
    need_tensor("nl.reciprocal", "x", x)
    tile = fresh(x, dtype)
    isa.reciprocal(dst=tile, data=x)
    return tile


def _negative(x: NkiTensor, dtype: Any = None) -> NkiTensor:
    return binary(OPS["multiply"], need_tensor("nl.negative", "x", x), -1.0, dtype)


def _invert(x: NkiTensor, dtype: Any = None) -> NkiTensor:
    """Exclusive or with all ones."""
    need_tensor("nl.invert", "x", x)
    ones = (1 << (8 * x.dtype.itemsize)) - 1
    return binary(OPS["bitwise_xor"], x, ones if x.dtype.startswith("u") else -1, dtype)


def _logical_not(x: NkiTensor, dtype: Any = None) -> NkiTensor:
    """Exclusive or with 1, so that it suits zeros and ones."""
    return binary(OPS["logical_xor"], need_tensor("nl.logical_not", "x", x), 1, dtype)


def _divide(x: Any, y: Any, dtype: Any = None) -> NkiTensor:
    """x times the reciprocal of y."""
    if not isinstance(y, NkiTensor):
        if not isinstance(x, NkiTensor):
            return binary(OPS["divide"], x, y)
        return _scaled(x, y, dtype)
    fmt = dtype or (promoted(x.dtype, y.dtype) if isinstance(x, NkiTensor) else y.dtype)
    return binary(OPS["multiply"], x, _reciprocal(y, "float32"), fmt)


def _scaled(x: NkiTensor, y: Any, dtype: Any) -> NkiTensor:
    """x over a number, as a multiplication by the number's reciprocal (infinite for zero)."""
    with np.errstate(divide="ignore"):
        inverse = float(np.float32(1.0) / np.float32(y))
    return binary(OPS["multiply"], x, inverse, dtype)


def where(condition: NkiTensor, x: Any, y: Any, dtype: Any = None) -> NkiTensor:
    """Elements of `x` where the condition holds (is not zero), of `y` elsewhere.

    Args:
        condition: tile.
        x, y: tiles of the condition's shape, or numbers.
        dtype: format of the result; that of `x` (or of `y`, when `x` is a number) when None.
    """
    need_tensor("nl.where", "condition", condition)
    tiles = [value for value in (x, y) if isinstance(value, NkiTensor)]
    fmt = dtype or (tiles[0].dtype if tiles else condition.dtype)
    result = fresh(condition, fmt)
    if isinstance(y, NkiTensor):
        isa.tensor_copy(dst=result, src=y)
    else:
        isa.memset(dst=result, value=y)
    chosen = copy(x, fmt) if isinstance(x, NkiTensor) and x.dtype != fmt else x
    mask = binary(OPS["not_equal"], condition, 0, "uint8")
    isa.tensor_copy_predicated(dst=result, src=chosen, predicate=mask)
    return result


def dropout(x: NkiTensor, rate: Any, dtype: Any = None) -> NkiTensor:
    """Sets elements to zero with probability `rate`, a number or a (P, 1) tile; the others keep their value."""
    need_tensor("nl.dropout", "x", x)
    tile = fresh(x)
    isa.dropout(dst=tile, data=x, prob=rate)
    return tile if dtype is None or dtype == x.dtype else copy(tile, dtype)


def _bind(function: Callable[..., Any], op: Op) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(op, *args, **kwargs)

    return call


for _name in _BY_ACTIVATION:
    OPS[_name].call = _bind(activate, OPS[_name])
for _name in _BINARY:
    OPS[_name].call = _bind(binary, OPS[_name])
OPS["rsqrt"].call = _rsqrt
OPS["reciprocal"].call = _reciprocal
OPS["negative"].call = _negative
OPS["invert"].call = _invert
OPS["logical_not"].call = _logical_not
OPS["divide"].call = _divide
OPS["copy"].call = copy
