"""Reductions along the free dimensions (vector engine) and across partitions (GpSimd engine).

Source: Neuron documentation 2.32, `nki.isa.tensor_reduce`, `tensor_partition_reduce`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from course_lib.nki.constants import engine
from course_lib.nki.errors import broken_rule
from course_lib.nki.isa.operands import index_tiles, need_integers, need_tile, store_bits
from course_lib.nki.isa.rules import PSUM
from course_lib.nki.operators import OPS, Op, as_op
from course_lib.nki.session import NkiInstruction, current_core
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import as_float32, raw, store


def tensor_reduce(
    dst: NkiTensor,
    op: Any,
    data: NkiTensor,
    axis: Any,
    negate: bool = False,
    keepdims: bool = False,
    name: str | None = None,
) -> NkiInstruction:
    """`dst = op` over the last free dimensions of `data`, on the vector engine; arithmetic in float32.

    Args:
        dst: (P, M) tile, M = product of the free dimensions that are kept.
        op: an operator that may reduce, on bits or arithmetic.
        data: (P, ...) tile in SBUF or PSUM.
        axis: dimension or dimensions, the last ones; never 0.
        negate: multiply the result by -1 (arithmetic operators).
        keepdims: whether the result's shape keeps the reduced dimensions as 1; the values are the same.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for other axes, operators or shapes.
    """
    core = current_core()
    need_tile("tensor_reduce", "dst", dst)
    need_tile("tensor_reduce", "data", data)
    found = as_op(op)
    if found is None or not found.reducible:
        raise broken_rule(
            f"tensor_reduce: op={op!r}", limit=", ".join(f"nl.{each.name}" for each in OPS.values() if each.reducible)
        )
    first = _first_axis(axis, data)
    if found.bits:
        need_integers("tensor_reduce", data=data, dst=dst)
        if negate:
            raise broken_rule(f"tensor_reduce: negate with op=nl.{found.name}", limit="arithmetic operators")
    kept = math.prod(data.shape[1:first])
    if dst.shape[0] != data.shape[0] or dst.size != dst.shape[0] * kept:
        raise broken_rule(
            f"tensor_reduce: dst has shape {dst.shape}, data {data.shape} reduced over axis={axis}",
            limit=f"{data.shape[0]} partitions with {kept} element{'s' if kept > 1 else ''} each",
        )
    about = {"elements": data.size // data.shape[0], "op": found.name, "operands": (data, dst)}
    handle = core.issue("tensor_reduce", engine.vector, (data, *index_tiles(data, dst)), (dst,), about)
    if core.options.execute:
        values = raw(data) if found.bits else as_float32(data)
        assert found.ufunc is not None
        if first == values.ndim - 1:
            done = np.asarray(found.ufunc.reduce(values, axis=-1))
        else:
            done = np.asarray(found.ufunc.reduce(values.reshape(*values.shape[:first], -1), axis=-1))
        if found.bits:
            store_bits(dst, done)
        else:
            store(dst, np.negative(done, dtype=np.float32) if negate else done)
    return handle


def _first_axis(axis: Any, data: NkiTensor) -> int:
    """The first of the reduced dimensions, which must be the last of the tile."""
    if type(axis) is int and axis in (-1, len(data.shape) - 1) and len(data.shape) > 1:
        return len(data.shape) - 1
    try:
        wanted = sorted({int(each) + (data.ndim if int(each) < 0 else 0) for each in np.atleast_1d(axis)})
    except (TypeError, ValueError):
        raise broken_rule(f"tensor_reduce: axis={axis!r}", limit="a dimension or a tuple of dimensions") from None
    if wanted and wanted[0] == 0:
        raise broken_rule(
            f"tensor_reduce: axis={axis} of {data.name} {data.shape} includes the partition dimension",
            limit="free dimensions only",
            hint="nisa.nc_transpose first, nisa.nc_matmul with ones, or nisa.tensor_partition_reduce",
        )
    # Dimensions of size 1 behind the reduced ones change nothing.
    last = data.ndim
    while last > 1 and last - 1 not in wanted and data.shape[last - 1] == 1:
        last -= 1
    if not wanted or wanted != list(range(wanted[0], last)):
        raise broken_rule(
            f"tensor_reduce: axis={axis} of {data.name} with shape {data.shape}",
            limit=f"the last free dimensions without a gap, up to {data.ndim - 1}",
            hint="permute the free dimensions so that the reduced ones come last",
        )
    return wanted[0]


_PARTITION = ("add", "average", "maximum", "bitwise_or", "bitwise_and")


def tensor_partition_reduce(dst: NkiTensor, op: Any, data: NkiTensor, name: str | None = None) -> NkiInstruction:
    """`dst = op` over the partitions of `data`, on the GpSimd engine.

    Args:
        dst: (1, N) tile in SBUF.
        op: add, average, maximum, bitwise_or or bitwise_and.
        data: (P, N) tile in SBUF.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for other operators, shapes and places.
    """
    core = current_core()
    need_tile("tensor_partition_reduce", "dst", dst)
    need_tile("tensor_partition_reduce", "data", data)
    found = as_op(op)
    if found is None or found.name not in _PARTITION:
        raise broken_rule(f"tensor_partition_reduce: op={op!r}", limit=", ".join(f"nl.{each}" for each in _PARTITION))
    for role, tile in (("dst", dst), ("data", data)):
        if tile.buffer is PSUM:
            raise broken_rule(
                f"tensor_partition_reduce: {role} {tile.name} is in PSUM",
                limit="GpSimd reaches SBUF only",
                hint="copy it to SBUF with nisa.tensor_copy",
            )
    if dst.shape[0] != 1 or dst.size != data.size // data.shape[0]:
        raise broken_rule(
            f"tensor_partition_reduce: dst has shape {dst.shape}, data {data.shape}",
            limit=f"one partition with {data.size // data.shape[0]} elements",
        )
    if found.bits:
        need_integers("tensor_partition_reduce", data=data, dst=dst)
    about = {"elements": data.size // data.shape[0], "op": found.name, "operands": (data, dst)}
    reads = (data, *index_tiles(data, dst))
    handle = core.issue("tensor_partition_reduce", engine.gpsimd, reads, (dst,), about)
    if core.options.execute:
        _reduce_partitions(dst, found, data)
    return handle


def _reduce_partitions(dst: NkiTensor, op: Op, data: NkiTensor) -> None:
    if op.bits:
        assert op.ufunc is not None
        store_bits(dst, np.asarray(op.ufunc.reduce(raw(data), axis=0)))
        return
    values = as_float32(data)
    if op.name == "average":
        store(dst, np.mean(values, axis=0))
    else:
        store(dst, np.max(values, axis=0) if op.name == "maximum" else np.sum(values, axis=0))
