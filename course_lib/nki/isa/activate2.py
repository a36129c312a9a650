"""Activations of NeuronCore-v4: two arithmetic steps before the function, more reductions; exp on the vector engine.

Source: Neuron documentation 2.32, `nki.isa.activate2`, `exponential`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from course_lib.nki.accumulators import accumulate, accumulates, check_reduction, forget, read_out
from course_lib.nki.constants import engine, nc_version, reduce_cmd
from course_lib.nki.errors import broken_rule
from course_lib.nki.isa.activation import (
    activation_function,
    finish_activation,
    issue_activation,
    need_gathering_places,
)
from course_lib.nki.isa.operands import (
    apply,
    broadcast,
    in_place,
    index_tiles,
    initial_operand,
    need_column,
    need_tile,
    operand,
)
from course_lib.nki.isa.rules import need_same_layout
from course_lib.nki.operators import Op, add, as_op
from course_lib.nki.session import Core, NkiInstruction, current_core
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import as_float32, store

_PAIRS = (
    ("multiply", "add"),
    ("multiply", "subtract"),
    ("multiply", "bypass"),
    ("add", "bypass"),
    ("subtract", "bypass"),
    ("bypass", "bypass"),
)
_REDUCTIONS = ("add", "maximum", "minimum", "abs_max", "abs_min")
_FLOATS = ("float8_e4m3", "float8_e5m2", "float16", "bfloat16", "float32")
_INTEGERS = ("int8", "int16", "int32", "uint8", "uint16")
_EXP_DIMS = 4


def activate2(
    dst: NkiTensor,
    op: Any,
    data: NkiTensor,
    imm0: Any,
    imm1: Any,
    op0: Any,
    op1: Any,
    relu_param: Any = 0.0,
    reverse0: bool = False,
    reverse1: bool = False,
    reduce_op: Any = None,
    reduce_res: NkiTensor | None = None,
    reduce_cmd: reduce_cmd = reduce_cmd.idle,
    name: str | None = None,
) -> NkiInstruction:
    """`dst = op((data <op0> imm0) <op1> imm1)` on the scalar engine (NeuronCore-v4), with an optional reduction.

    Args:
        dst, data: (P, N) tiles in SBUF or PSUM.
        op: an activation function.
        imm0, imm1: numbers or (P, 1) tiles of one format.
        op0, op1: one of the pairs multiply/add, multiply/subtract, multiply/bypass, add/bypass, subtract/bypass,
            bypass/bypass.
        relu_param: slope of nl.prelu for negative inputs; a number or a (P, 1) tile.
        reverse0, reverse1: put the immediate on the left.
        reduce_op: add, maximum, minimum, abs_max or abs_min.
        reduce_res: (P, 1) tile that the registers are read out to.
        reduce_cmd: idle, reset, reduce or reset_reduce.
        name: a name for the instruction.

    Raises:
        NkiValidationError: before NeuronCore-v4, or for operators and operands that the engine does not have.
    """
    core = current_core()
    _need_v4("activate2", core)
    function = activation_function("activate2", op)
    need_tile("activate2", "dst", dst)
    need_tile("activate2", "data", data)
    need_same_layout("activate2", dst, data, "dst and data")
    need_gathering_places("activate2", dst)
    steps = _steps(op0, imm0, reverse0, op1, imm1, reverse1, data)
    slope = operand("activate2", "relu_param", relu_param, data)
    found = check_reduction(
        "activate2", reduce_op, _REDUCTIONS, reduce_cmd, ("idle", "reset", "reduce", "reset_reduce")
    )
    tiles = tuple(value for value in (*(step[1] for step in steps), slope) if isinstance(value, NkiTensor))
    handle = issue_activation(core, "activate2", dst, data, tiles, function, reduce_res, reduce_cmd)
    if core.options.execute:
        values = as_float32(data)
        for step, value, reverse in steps:
            values = apply(step, values, broadcast(value, values.ndim), reverse)
        finish_activation(core, dst, values, function, broadcast(slope, values.ndim), found, reduce_res, reduce_cmd)
    return handle


def _need_v4(op: str, core: Core) -> None:
    if core.version < nc_version.gen4:
        raise broken_rule(
            f"nisa.{op}", limit="from NeuronCore-v4", generation=core.version.name, hint="use nisa.activation"
        )


def _steps(
    op0: Any, imm0: Any, reverse0: bool, op1: Any, imm1: Any, reverse1: bool, data: NkiTensor
) -> list[tuple[Op, Any, bool]]:
    first, second = as_op(op0), as_op(op1)
    if first is None or second is None or (first.name, second.name) not in _PAIRS:
        raise broken_rule(
            f"activate2: op0={op0!r}, op1={op1!r}",
            limit=", ".join(f"nl.{one} and nl.{other}" for one, other in _PAIRS),
            hint="pass nl.bypass for a step that is not needed",
        )
    steps = []
    for number, op, value, reverse in (("0", first, imm0, reverse0), ("1", second, imm1, reverse1)):
        if op.name == "bypass":
            if reverse:
                raise broken_rule(
                    f"activate2: reverse{number} with op{number}=nl.bypass", limit="an operator to reverse"
                )
            continue
        steps.append((op, operand("activate2", f"imm{number}", value, data), reverse))
    formats = {value.dtype for _, value, _ in steps if isinstance(value, NkiTensor)}
    if len(formats) > 1:
        raise broken_rule(f"activate2: imm0 and imm1 are {' and '.join(sorted(formats))}", limit="one format for both")
    return steps


def exponential(
    dst: NkiTensor,
    src: NkiTensor,
    max_value: Any = 0.0,
    reduce_res: NkiTensor | None = None,
    reduce_cmd: reduce_cmd = reduce_cmd.idle,
    reduce_init: Any = 0.0,
    name: str | None = None,
) -> NkiInstruction:
    """`dst = exp(src - max_value)` on the vector engine (NeuronCore-v4), with an optional running sum.

    Args:
        dst, src: (P, N) tiles of up to 4 dimensions in SBUF or PSUM.
        max_value: a number or a float32 (P, 1) tile.
        reduce_res: (P, 1) float tile that the registers are read out to.
        reduce_cmd: idle (the registers are then undefined), reset_reduce, reduce or load_reduce.
        reduce_init: where load_reduce starts: a number or a float32 (P, 1) tile; 0 otherwise.
        name: a name for the instruction.

    Raises:
        NkiValidationError: before NeuronCore-v4, or for formats and operands that the instruction does not have.
    """
    core = current_core()
    _need_v4("exponential", core)
    need_tile("exponential", "dst", dst)
    need_tile("exponential", "src", src)
    need_same_layout("exponential", dst, src, "dst and src")
    if max(dst.ndim, src.ndim) > _EXP_DIMS:
        raise broken_rule(f"exponential: shapes {dst.shape} and {src.shape}", limit=f"{_EXP_DIMS} dimensions")
    _check_exp_formats(dst, src, reduce_res)
    largest = operand("exponential", "max_value", max_value, src)
    commands = ("idle", "reset_reduce", "reduce", "load_reduce")
    found = check_reduction("exponential", add, ("add",), reduce_cmd, commands)
    initial = initial_operand("exponential", "reduce_init", reduce_cmd, reduce_init, src)
    tiles = tuple(value for value in (largest, initial) if isinstance(value, NkiTensor))
    writes: tuple[NkiTensor, ...] = (dst,)
    if reduce_res is not None:
        need_column("exponential", "reduce_res", reduce_res, src.shape[0])
        writes = (dst, reduce_res)
    about = {
        "elements": dst.size // dst.shape[0],
        "op": "exp",
        "reduces": accumulates(reduce_cmd),
        "reads_registers": reduce_res is not None,
        "operands": (src, *tiles, dst),
    }
    handle = core.issue("exponential", engine.vector, (src, *tiles, *index_tiles(src, dst)), writes, about)
    if core.options.execute:
        values = as_float32(src)
        out = in_place(dst, values.shape)
        done = np.subtract(values, broadcast(largest, values.ndim), out=out)
        np.exp(done, out=done)
        if done is not out:
            store(dst, done)
        if accumulates(reduce_cmd):
            accumulate(core, engine.vector, reduce_cmd, found, done, broadcast(initial, 1))
        else:
            forget(core, engine.vector)
        if reduce_res is not None:
            read_out(core, engine.vector, reduce_res)
    return handle


def _check_exp_formats(dst: NkiTensor, src: NkiTensor, reduce_res: NkiTensor | None) -> None:
    allowed: dict[str, tuple[str, ...]] = {
        "dst": (*_FLOATS, "tfloat32", *_INTEGERS),
        "src": (*_FLOATS, *_INTEGERS, "uint32"),
    }
    allowed["reduce_res"] = (*_FLOATS, "tfloat32")
    for role, tile in (("dst", dst), ("src", src), ("reduce_res", reduce_res)):
        if tile is not None and tile.dtype not in allowed[role]:
            raise broken_rule(f"exponential: {role} is {tile.dtype}", limit=", ".join(allowed[role]))
