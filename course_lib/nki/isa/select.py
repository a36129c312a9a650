"""Selections on the vector engine, with a running maximum.

Source: Neuron documentation 2.32, `nki.isa.range_select`, `select_reduce`.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from course_lib.nki.accumulators import accumulate, check_reduction, read_out
from course_lib.nki.constants import engine, nc_version, reduce_cmd
from course_lib.nki.errors import broken_rule
from course_lib.nki.isa.operands import index_tiles, need_column, need_one_sbuf_input, need_tile
from course_lib.nki.isa.rules import need_same_layout
from course_lib.nki.operators import as_op, maximum
from course_lib.nki.session import NkiInstruction, current_core
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import as_float32, raw, scalar_of, store

FP32_MIN = float(np.finfo(np.float32).min)
_RANGE_COMPARISONS = ("equal", "less", "less_equal", "greater", "greater_equal")
_COMMANDS = ("idle", "reset", "reduce", "reset_reduce")
_PREDICATES = ("int8", "uint8", "int16", "uint16", "bool")
_vector, _idle, _reset_reduce = engine.vector, reduce_cmd.idle, reduce_cmd.reset_reduce


def range_select(
    dst: NkiTensor,
    on_true_tile: NkiTensor,
    comp_op0: Any,
    comp_op1: Any,
    bound0: NkiTensor,
    bound1: NkiTensor,
    reduce_cmd: reduce_cmd = reduce_cmd.reset_reduce,
    reduce_res: NkiTensor | None = None,
    reduce_op: Any = maximum,
    range_start: int = 0,
    on_false_value: float = FP32_MIN,
    name: str | None = None,
) -> NkiInstruction:
    """`dst = on_true_tile` where `i <comp_op0> bound0` and `i <comp_op1> bound1`, else the lowest float32.

    Here i is `range_start` plus the element's number in its partition. The maximum of each partition goes to the vector
    engine's registers. NeuronCore-v3 on.

    Args:
        dst, on_true_tile: (P, N) tiles; `on_true_tile` in a float format.
        comp_op0, comp_op1: `nl.equal`, `less`, `less_equal`, `greater` or `greater_equal`.
        bound0, bound1: (P, 1) float32 tiles.
        reduce_cmd: what happens to the registers.
        reduce_res: (P, 1) tile for the registers' values; None leaves them there.
        reduce_op: `nl.maximum`.
        range_start: index of the first element, a whole number; all indices stay below 2**24.
        on_false_value: -3.4028235e+38, the only value that the hardware has.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for operators, formats, shapes or values that the hardware does not have.
    """
    core = current_core()
    if core.version < nc_version.gen3:
        raise broken_rule(
            "range_select",
            limit="from NeuronCore-v3",
            generation=core.version.name,
            hint="use nisa.iota and nisa.tensor_scalar for the mask, or nisa.affine_select",
        )
    need_tile("range_select", "dst", dst)
    need_tile("range_select", "on_true_tile", on_true_tile)
    need_same_layout("range_select", dst, on_true_tile, "dst and on_true_tile")
    count = dst.size // dst.shape[0]
    if not on_true_tile.dtype.is_float:
        raise broken_rule(f"range_select: on_true_tile is {on_true_tile.dtype}", limit="a float format")
    for role, bound in (("bound0", bound0), ("bound1", bound1)):
        if need_column("range_select", role, bound, dst.shape[0]).dtype != "float32":
            raise broken_rule(f"range_select: {role} is {bound.dtype}", limit="float32", hint="cast it first")
    first, second = (_range_comparison(role, op) for role, op in (("comp_op0", comp_op0), ("comp_op1", comp_op1)))
    if np.float32(scalar_of(on_false_value)) != np.float32(FP32_MIN):
        raise broken_rule(
            f"range_select: on_false_value={on_false_value}",
            limit=f"{FP32_MIN:.8g}, the lowest float32",
            hint="leave it out",
        )
    start = _range_start(range_start, count)
    found = check_reduction("range_select", reduce_op, ("maximum",), reduce_cmd, _COMMANDS)
    writes = _with_result("range_select", dst, reduce_res)
    reads = (on_true_tile, bound0, bound1, *index_tiles(dst, on_true_tile))
    about = {
        "elements": count,
        "op": first,
        "reduces": reduce_cmd is not _idle,
        "reads_registers": reduce_res is not None,
        "operands": (on_true_tile, bound0, bound1, dst),
    }
    handle = core.issue("range_select", _vector, reads, writes, about)
    if core.options.execute:
        index = np.arange(start, start + count, dtype=np.float32)
        low, high = (as_float32(bound).reshape(-1, 1) for bound in (bound0, bound1))
        inside = getattr(np, first)(index, low) & getattr(np, second)(index, high)
        chosen = np.where(inside, as_float32(on_true_tile).reshape(len(low), count), np.float32(FP32_MIN))
        store(dst, chosen)
        accumulate(core, _vector, reduce_cmd, found, chosen)
        if reduce_res is not None:
            read_out(core, _vector, reduce_res)
    return handle


def select_reduce(
    dst: NkiTensor,
    predicate: NkiTensor,
    on_true: NkiTensor,
    on_false: float | NkiTensor,
    reduce_res: NkiTensor | None = None,
    reduce_cmd: reduce_cmd = reduce_cmd.idle,
    reduce_op: Any = maximum,
    reverse_pred: bool = False,
    name: str | None = None,
) -> NkiInstruction:
    """`dst = on_true` where `predicate` is not zero, else `on_false`, with an optional maximum over each partition.

    Args:
        dst, on_true, predicate: tiles of one shape; `on_true` and `predicate` not both in PSUM.
        on_false: a number, or a (P, 1) tile.
        reduce_res: (P, 1) tile of a float format for the registers' values; None leaves them there.
        reduce_cmd: what happens to the vector engine's registers.
        reduce_op: `nl.maximum`.
        reverse_pred: takes `on_true` where the predicate is zero.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for shapes, regions or formats that the hardware does not have.
    """
    core = current_core()
    for role, tile in (("dst", dst), ("predicate", predicate), ("on_true", on_true)):
        need_tile("select_reduce", role, tile)
    need_same_layout("select_reduce", on_true, predicate, "on_true and predicate")
    need_same_layout("select_reduce", dst, on_true, "dst and on_true")
    need_one_sbuf_input("select_reduce", on_true, predicate, "on_true and predicate")
    if predicate.dtype not in _PREDICATES:
        raise broken_rule(f"select_reduce: predicate is {predicate.dtype}", limit="int8, uint8, int16 or uint16")
    if on_true.dtype in ("tfloat32", "int32", "uint32"):
        raise broken_rule(
            f"select_reduce: on_true is {on_true.dtype}", limit="any format but tfloat32, int32 and uint32"
        )
    column: tuple[NkiTensor, ...] = ()
    if isinstance(on_false, NkiTensor):
        column = (need_column("select_reduce", "on_false", on_false, dst.shape[0]),)
    else:
        scalar_of(on_false)
    found = check_reduction("select_reduce", reduce_op, ("maximum",), reduce_cmd, _COMMANDS)
    writes = _with_result("select_reduce", dst, reduce_res)
    reads = (on_true, predicate, *column, *index_tiles(dst, on_true, predicate))
    about = {
        "elements": dst.size // dst.shape[0],
        "op": "select",
        "reduces": reduce_cmd is not _idle,
        "reads_registers": reduce_res is not None,
        "operands": (on_true, predicate, *column, dst),
    }
    handle = core.issue("select_reduce", _vector, reads, writes, about)
    if core.options.execute:
        rows = (dst.shape[0], -1)
        chosen = raw(predicate).reshape(rows) != 0
        if reverse_pred:
            chosen = ~chosen
        false: Any = as_float32(on_false).reshape(rows) if isinstance(on_false, NkiTensor) else np.float32(on_false)
        values = np.where(chosen, as_float32(on_true).reshape(rows), false)
        store(dst, values)
        accumulate(core, _vector, reduce_cmd, found, values)
        if reduce_res is not None:
            read_out(core, _vector, reduce_res)
    return handle


def _with_result(op: str, dst: NkiTensor, result: Any) -> tuple[NkiTensor, ...]:
    if result is None:
        return (dst,)
    need_column(op, "reduce_res", result, dst.shape[0])
    if not result.dtype.is_float:
        raise broken_rule(f"{op}: reduce_res is {result.dtype}", limit="a float format")
    return (dst, result)


def _range_comparison(role: str, value: Any) -> str:
    found = as_op(value)
    if found is None or found.name not in _RANGE_COMPARISONS:
        limit = ", ".join(f"nl.{name}" for name in _RANGE_COMPARISONS)
        raise broken_rule(f"range_select: {role}={value!r}", limit=limit)
    return found.name


def _range_start(value: Any, count: int) -> int:
    try:
        start = operator.index(value)
    except TypeError:
        raise broken_rule(f"range_select: range_start={value!r}", limit="a whole number") from None
    if max(abs(start), abs(start + count - 1)) > 2**24:
        raise broken_rule(
            f"range_select: indices from {start} to {start + count - 1}",
            limit="2**24, up to which float32 holds whole numbers exactly",
        )
    return start
