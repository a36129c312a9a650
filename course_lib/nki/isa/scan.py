"""Scans along the free dimensions on the vector engine: each element depends on the one before it.

Source: Neuron documentation 2.32, `nki.isa.tensor_tensor_scan`, `tensor_scalar_cumulative`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course_lib.nki.accumulators import IDENTITY, check_reduction, registers
from course_lib.nki.constants import engine, reduce_cmd
from course_lib.nki.errors import broken_rule
from course_lib.nki.isa.operands import (
    alu_op,
    apply,
    broadcast,
    index_tiles,
    initial_operand,
    need_direct,
    need_one_sbuf_input,
    need_tile,
    operand,
)
from course_lib.nki.isa.rules import need_same_layout
from course_lib.nki.operators import Op
from course_lib.nki.session import NkiInstruction, current_core
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import as_float32, store

_CUMULATIVE = ("add", "subtract", "multiply", "maximum", "minimum")
_CUMULATIVE_FORMATS = (
    "bfloat16",
    "float16",
    "float32",
    "float8_e4m3",
    "float8_e4m3fn",
    "float8_e5m2",
    "uint8",
    "uint16",
    "int8",
    "int16",
)


def tensor_tensor_scan(
    dst: NkiTensor,
    data0: NkiTensor,
    data1: NkiTensor,
    initial: Any,
    op0: Any,
    op1: Any,
    reverse0: bool = False,
    reverse1: bool = False,
    name: str | None = None,
) -> NkiInstruction:
    """`r[i] = (data0[i] <op0> r[i-1]) <op1> data1[i]` along each partition, in float32.

    Args:
        dst, data0, data1: (P, N) tiles; data0 and data1 are not both in PSUM.
        initial: r[-1]: a number or a (P, 1) tile.
        op0, op1: binary arithmetic operators.
        reverse0: compute `r[i-1] <op0> data0[i]`.
        reverse1: compute `data1[i] <op1> ...`.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for other operators, shapes or places.
    """
    core = current_core()
    for role, tile in (("dst", dst), ("data0", data0), ("data1", data1)):
        need_tile("tensor_tensor_scan", role, tile)
    need_same_layout("tensor_tensor_scan", data0, data1, "data0 and data1")
    need_same_layout("tensor_tensor_scan", dst, data0, "dst and data0")
    need_one_sbuf_input("tensor_tensor_scan", data0, data1, "data0 and data1")
    first = alu_op("tensor_tensor_scan", "op0", op0, core.version, binary=True, bits=False)
    second = alu_op("tensor_tensor_scan", "op1", op1, core.version, binary=True, bits=False)
    start = operand("tensor_tensor_scan", "initial", initial, data0)
    tiles = (start,) if isinstance(start, NkiTensor) else ()
    about = {
        "elements": dst.size // dst.shape[0],
        "op": first.name,
        "op0": first.name,
        "op1": second.name,
        "operands": (data0, data1, *tiles, dst),
    }
    reads = (data0, data1, *tiles, *index_tiles(data0, data1, dst))
    handle = core.issue("tensor_tensor_scan", engine.vector, reads, (dst,), about)
    if core.options.execute:
        partitions = data0.shape[0]
        a = as_float32(data0).reshape(partitions, -1)
        b = as_float32(data1).reshape(partitions, -1)
        state = np.broadcast_to(broadcast(start, 1), (partitions,)).astype(np.float32)
        done = _scan(a, b, state, first, second, reverse0, reverse1)
        store(dst, done.reshape(dst.shape))
    return handle


def _scan(
    a: np.ndarray, b: np.ndarray, state: np.ndarray, first: Op, second: Op, reverse0: bool, reverse1: bool
) -> np.ndarray:
    if first.name == "multiply" and second.name == "add" and (a == 1.0).all():
        # A running sum, which NumPy adds up in the same order.
        head = state[:, None] + b[:, :1]
        return np.add.accumulate(np.concatenate([head, b[:, 1:]], axis=1), axis=1, dtype=np.float32)
    # Time runs along the rows, so that each step works on contiguous memory for all partitions at once.
    left, right = np.ascontiguousarray(a.T), np.ascontiguousarray(b.T)
    result = np.empty_like(left)
    if first.name in _CUMULATIVE and second.name in _CUMULATIVE:
        assert first.ufunc is not None
        assert second.ufunc is not None
        _scan_in_place(left, right, state, result, first.ufunc, second.ufunc, reverse0, reverse1)
    else:
        for x, y, out in zip(left, right, result, strict=True):
            state = apply(second, apply(first, x, state, reverse0), y, reverse1)
            out[:] = state
    return result.T


def _scan_in_place(
    left: np.ndarray,
    right: np.ndarray,
    state: np.ndarray,
    result: np.ndarray,
    first: Callable[..., Any],
    second: Callable[..., Any],
    reverse0: bool,
    reverse1: bool,
) -> None:
    between = np.empty_like(state)
    for x, y, out in zip(left, right, result, strict=True):
        if reverse0:
            first(state, x, out=between)
        else:
            first(x, state, out=between)
        if reverse1:
            second(y, between, out=out)
        else:
            second(between, y, out=out)
        state = out


def tensor_scalar_cumulative(
    dst: NkiTensor,
    src: NkiTensor,
    op0: Any,
    op1: Any,
    imm0: Any,
    imm1: Any = None,
    reduce_cmd: reduce_cmd = reduce_cmd.reset_reduce,
    name: str | None = None,
) -> NkiInstruction:
    """`reg = (src[i] <op0> imm0) <op1> reg; dst[i] = reg` along each partition.

    Args:
        dst, src: (P, N) tiles of 8-bit, 16-bit or float32 elements.
        op0: an arithmetic operator.
        op1: add, subtract, multiply, maximum or minimum.
        imm0: a number or a (P, 1) tile.
        imm1: where load_reduce starts: a number or a float32 (P, 1) tile.
        reduce_cmd: reset_reduce starts from op1's identity, reduce from the vector engine's registers, load_reduce from
            imm1.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for other operators, formats or commands.
    """
    core = current_core()
    for role, tile in (("dst", dst), ("src", src)):
        need_tile("tensor_scalar_cumulative", role, tile)
        if tile.dtype not in _CUMULATIVE_FORMATS:
            raise broken_rule(f"tensor_scalar_cumulative: {role} is {tile.dtype}", limit=", ".join(_CUMULATIVE_FORMATS))
    need_same_layout("tensor_scalar_cumulative", dst, src, "dst and src")
    first = alu_op("tensor_scalar_cumulative", "op0", op0, core.version, bits=False)
    commands = ("reset_reduce", "reduce", "load_reduce")
    second = check_reduction("tensor_scalar_cumulative", op1, _CUMULATIVE, reduce_cmd, commands)
    left = 0.0 if first.inputs == 1 else operand("tensor_scalar_cumulative", "imm0", imm0, src)
    initial = initial_operand("tensor_scalar_cumulative", "imm1", reduce_cmd, imm1, src)
    need_direct("tensor_scalar_cumulative", "imm0", left)
    tiles = tuple(value for value in (left, initial) if isinstance(value, NkiTensor))
    about = {
        "elements": dst.size // dst.shape[0],
        "op": first.name,
        "op0": first.name,
        "op1": second.name,
        "reduces": True,
        "operands": (src, *tiles, dst),
    }
    reads = (src, *tiles, *index_tiles(src, dst))
    handle = core.issue("tensor_scalar_cumulative", engine.vector, reads, (dst,), about)
    if core.options.execute:
        partitions = src.shape[0]
        lanes = registers(core, engine.vector)
        if reduce_cmd is _reset_reduce:
            lanes[:] = IDENTITY[second.name]
        elif reduce_cmd is _load_reduce:
            lanes[:partitions] = broadcast(initial, 1)
        values = as_float32(src)
        values = apply(first, values, broadcast(left, values.ndim)).reshape(partitions, -1)
        done = _accumulate(second, values, lanes[:partitions])
        lanes[:partitions] = done[:, -1]
        store(dst, done.reshape(dst.shape))
    return handle


_reset_reduce, _load_reduce = reduce_cmd.reset_reduce, reduce_cmd.load_reduce


def _accumulate(op: Op, values: np.ndarray, state: np.ndarray) -> np.ndarray:
    assert op.ufunc is not None
    head = op.ufunc(values[:, :1], state[:, None])
    if op.name != "subtract":
        return np.asarray(op.ufunc.accumulate(np.concatenate([head, values[:, 1:]], axis=1), axis=1))
    # r[i] = x[i] - r[i-1]: with the sign of every second element turned, a running sum.
    signs = np.where(np.arange(values.shape[1]) % 2, -1, 1).astype(np.float32)
    turned = np.concatenate([head, values[:, 1:]], axis=1) * signs
    return np.asarray(np.add.accumulate(turned, axis=1) * signs)
