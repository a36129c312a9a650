"""Instructions that combine a tile with one number, or one number for each partition.

Arithmetic happens in float32. The exception is address arithmetic, where data, operand tiles and result are all 32-bit
integers and the result is exact.

Source: Neuron documentation 2.32, `nki.isa.tensor_scalar`, `scalar_tensor_tensor`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from course_lib.nki.constants import engine, nc_version
from course_lib.nki.errors import broken_rule
from course_lib.nki.isa.operands import (
    alu_op,
    apply,
    broadcast,
    broadcast_bits,
    in_place,
    index_tiles,
    need_direct,
    need_integers,
    need_one_sbuf_input,
    need_tile,
    operand,
    store_bits,
)
from course_lib.nki.isa.rules import PSUM, need_engine, need_same_layout, need_sbuf_on_gpsimd
from course_lib.nki.operators import Op, as_op, bypass
from course_lib.nki.session import NkiInstruction, current_core
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import as_float32, raw, store

_INT32 = ("int32", "uint32")
_EXACT = ("add", "subtract", "multiply", "maximum", "minimum", "bypass")
_SCALAR_ENGINE = (("multiply", "add"), ("multiply", "bypass"), ("add", "bypass"))


def tensor_scalar(
    dst: NkiTensor,
    data: NkiTensor,
    op0: Any,
    operand0: Any,
    reverse0: bool = False,
    op1: Any = None,
    operand1: Any = None,
    reverse1: bool = False,
    engine: engine = engine.unknown,
    name: str | None = None,
) -> NkiInstruction:
    """`dst = (data <op0> operand0) <op1> operand1`, each operand broadcast along the free dimensions.

    Args:
        dst, data: (P, N) tiles in SBUF or PSUM.
        op0, op1: operators, both on bits or both arithmetic; op1 may be left out.
        operand0, operand1: numbers or (P, 1) tiles; None or 0 for an operator of one input.
        reverse0, reverse1: put the operand on the left.
        engine: vector; scalar for multiply, add or both (any arithmetic on NeuronCore-v4); gpsimd for rsqrt.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for operators, operands, formats or engines that the hardware does not have.
    """
    core = current_core()
    need_tile("tensor_scalar", "dst", dst)
    need_tile("tensor_scalar", "data", data)
    need_same_layout("tensor_scalar", dst, data, "dst and data")
    first, left = _stage("0", op0, operand0, data, core.version)
    second, right = _stage("1", op1, operand1, data, core.version)
    bits = first.bits or second.bits
    if bits:
        for op in (first, second):
            if not op.bits and op is not bypass:
                raise broken_rule(
                    f"tensor_scalar: op0={first!r} and op1={second!r}",
                    limit="both operators on bits, or both arithmetic",
                    hint="use two instructions",
                )
        need_integers("tensor_scalar", data=data, dst=dst)
    tiles = tuple(value for value in (left, right) if isinstance(value, NkiTensor))
    on = _choose_engine(engine, first, second, bits, core.version, dst, data, *tiles)
    about = {
        "elements": dst.size // dst.shape[0],
        "op": first.name,
        "op0": first.name,
        "op1": second.name,
        "operands": (data, *tiles, dst),
    }
    handle = core.issue("tensor_scalar", on, (data, *tiles, *index_tiles(data, dst)), (dst,), about)
    if core.options.execute:
        if bits:
            _run_bits(dst, data, first, left, reverse0, second, right, reverse1)
        elif tiles and _is_address(dst, data, first, second, left, right):
            _run_exact(dst, data, first, left, reverse0, second, right, reverse1)
        else:
            values = as_float32(data)
            out, dims = in_place(dst, values.shape), values.ndim
            if second is bypass:
                done = apply(first, values, broadcast(left, dims), reverse0, out)
            else:
                done = apply(first, values, broadcast(left, dims), reverse0)
                done = apply(second, done, broadcast(right, dims), reverse1, out)
            if done is not out:
                store(dst, done)
    return handle


def _stage(number: str, op: Any, value: Any, data: NkiTensor, version: nc_version) -> tuple[Op, Any]:
    """An operator and its operand; no operator is bypass."""
    if op is None or as_op(op) is bypass:
        return bypass, 0.0
    found = alu_op("tensor_scalar", f"op{number}", op, version)
    if found.inputs == 1:
        if value is not None and (isinstance(value, NkiTensor) or value != 0):
            raise broken_rule(
                f"tensor_scalar: operand{number}={value!r} with op{number}=nl.{found.name}",
                limit=f"None or 0: nl.{found.name} has one input",
            )
        return found, 0
    if value is None:
        raise broken_rule(
            f"tensor_scalar: op{number}=nl.{found.name} without operand{number}", limit="a number or a (P, 1) tile"
        )
    return found, operand("tensor_scalar", f"operand{number}", value, data, bits=found.bits)


def _choose_engine(wanted: Any, first: Op, second: Op, bits: bool, version: nc_version, *tiles: NkiTensor) -> engine:
    need_engine("tensor_scalar", wanted, engine.vector, engine.scalar, engine.gpsimd)
    root = "rsqrt" in (first.name, second.name)
    if wanted is engine.unknown:
        return engine.gpsimd if root and all(tile.buffer is not PSUM for tile in tiles) else engine.vector
    if bits and wanted is not engine.vector:
        raise broken_rule(
            f"tensor_scalar: op0={first!r} with engine={wanted.name}", limit="bit operators run on the vector engine"
        )
    if wanted is engine.gpsimd and not root:
        raise broken_rule(
            f"tensor_scalar: op0={first!r} with engine=gpsimd",
            limit="GpSimd runs tensor_scalar for nl.rsqrt only",
            hint="leave engine out, or use nisa.engine.vector",
        )
    if wanted is engine.scalar and version < nc_version.gen4 and (first.name, second.name) not in _SCALAR_ENGINE:
        raise broken_rule(
            f"tensor_scalar: op0={first!r}, op1={second!r} with engine=scalar",
            limit="multiply and add, multiply alone, or add alone",
            generation=version.name,
            hint="use nisa.engine.vector",
        )
    need_sbuf_on_gpsimd("tensor_scalar", wanted, *tiles)
    return wanted  # type: ignore[no-any-return]


def _run_bits(
    dst: NkiTensor, data: NkiTensor, first: Op, left: Any, reverse0: bool, second: Op, right: Any, reverse1: bool
) -> None:
    values = raw(data)
    for op, value, reverse in ((first, left, reverse0), (second, right, reverse1)):
        if op.bits:
            values = apply(op, values, broadcast_bits(value, values) if op.inputs == 2 else None, reverse)
    store_bits(dst, values)


def _is_address(dst: NkiTensor, data: NkiTensor, first: Op, second: Op, left: Any, right: Any) -> bool:
    if data.dtype not in _INT32 or dst.dtype not in _INT32:
        return False
    if first.name not in _EXACT or second.name not in _EXACT:
        return False
    return all(
        value.dtype in _INT32 if isinstance(value, NkiTensor) else float(value).is_integer() for value in (left, right)
    )


def _run_exact(
    dst: NkiTensor, data: NkiTensor, first: Op, left: Any, reverse0: bool, second: Op, right: Any, reverse1: bool
) -> None:
    values = raw(data).astype(np.int64)
    for op, value, reverse in ((first, left, reverse0), (second, right, reverse1)):
        wide = broadcast_bits(value, values) if isinstance(value, NkiTensor) else np.int64(value)
        values = apply(op, values, wide, reverse)
    store_bits(dst, values)


def scalar_tensor_tensor(
    dst: NkiTensor,
    data: NkiTensor,
    op0: Any,
    operand0: Any,
    op1: Any,
    operand1: NkiTensor,
    reverse0: bool = False,
    reverse1: bool = False,
    name: str | None = None,
) -> NkiInstruction:
    """`dst = (data <op0> operand0) <op1> operand1` with a number for operand0 and a tile for operand1.

    Args:
        dst, data: (P, N) tiles; data and operand1 are not both in PSUM.
        op0, op1: arithmetic operators.
        operand0: a number or a (P, 1) tile.
        operand1: (P, N) tile.
        reverse0, reverse1: put the operand on the left.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for bit operators, other shapes and places.
    """
    core = current_core()
    for role, tile in (("dst", dst), ("data", data), ("operand1", operand1)):
        need_tile("scalar_tensor_tensor", role, tile)
    need_same_layout("scalar_tensor_tensor", dst, data, "dst and data")
    need_same_layout("scalar_tensor_tensor", data, operand1, "data and operand1")
    need_one_sbuf_input("scalar_tensor_tensor", data, operand1, "data and operand1")
    need_direct("scalar_tensor_tensor", "operand1", operand1)
    first = alu_op("scalar_tensor_tensor", "op0", op0, core.version, bits=False)
    second = alu_op("scalar_tensor_tensor", "op1", op1, core.version, binary=True, bits=False)
    left = 0 if first.inputs == 1 else operand("scalar_tensor_tensor", "operand0", operand0, data)
    tiles = (left, operand1) if isinstance(left, NkiTensor) else (operand1,)
    about = {
        "elements": dst.size // dst.shape[0],
        "op": first.name,
        "op0": first.name,
        "op1": second.name,
        "operands": (data, *tiles, dst),
    }
    reads = (data, *tiles, *index_tiles(data, operand1, dst))
    handle = core.issue("scalar_tensor_tensor", engine.vector, reads, (dst,), about)
    if core.options.execute:
        values, other = as_float32(data), as_float32(operand1)
        if other.shape != values.shape:
            other = other.reshape(values.shape)
        between = apply(first, values, broadcast(left, values.ndim), reverse0)
        out = in_place(dst, values.shape)
        done = apply(second, between, other, reverse1, out)
        if done is not out:
            store(dst, done)
    return handle
