"""A tile combined with one number, and each partition's results reduced on the way, on the vector engine.

Source: Neuron documentation 2.32, `nki.isa.tensor_scalar_reduce`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from course_lib.nki.accumulators import accumulate, check_reduction, read_out
from course_lib.nki.constants import engine, reduce_cmd
from course_lib.nki.errors import broken_rule
from course_lib.nki.isa.operands import (
    alu_op,
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
from course_lib.nki.session import NkiInstruction, current_core
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import as_float32, store

_REDUCTIONS = ("add", "multiply", "maximum", "minimum")


def tensor_scalar_reduce(
    dst: NkiTensor,
    data: NkiTensor,
    op0: Any,
    operand0: Any,
    reduce_op: Any,
    reduce_res: NkiTensor | None = None,
    reverse0: bool = False,
    reduce_cmd: reduce_cmd = reduce_cmd.reset_reduce,
    reduce_init: Any = None,
    reduce_res_negate: bool = False,
    name: str | None = None,
) -> NkiInstruction:
    """`dst = data <op0> operand0`, and `reduce_op` over each partition's results into the vector engine's registers.

    Args:
        dst, data: (P, N) tiles in SBUF or PSUM.
        op0: an arithmetic operator.
        operand0: a number or a (P, 1) tile; None or 0 for an operator of one input.
        reduce_op: add, multiply, maximum or minimum.
        reduce_res: (P, 1) tile that the registers are read out to.
        reverse0: not supported by the hardware interface yet.
        reduce_cmd: reset_reduce, reduce or load_reduce.
        reduce_init: where load_reduce starts: a number or a float32 (P, 1) tile.
        reduce_res_negate: negate what is read out; the registers keep their sign.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for operators, operands or commands that the instruction does not have.
    """
    core = current_core()
    need_tile("tensor_scalar_reduce", "dst", dst)
    need_tile("tensor_scalar_reduce", "data", data)
    need_same_layout("tensor_scalar_reduce", dst, data, "dst and data")
    if reverse0:
        raise broken_rule(
            "tensor_scalar_reduce: reverse0=True",
            limit="not supported yet",
            hint="use nisa.tensor_scalar(reverse0=True)",
        )
    found = alu_op("tensor_scalar_reduce", "op0", op0, core.version, bits=False)
    if found.inputs == 2:
        left = operand("tensor_scalar_reduce", "operand0", operand0, data)
    elif operand0 is None or (not isinstance(operand0, NkiTensor) and operand0 == 0):
        left = 0.0
    else:
        raise broken_rule(f"tensor_scalar_reduce: operand0={operand0!r} with op0=nl.{found.name}", limit="None or 0")
    commands = ("reset_reduce", "reduce", "load_reduce")
    reduction = check_reduction("tensor_scalar_reduce", reduce_op, _REDUCTIONS, reduce_cmd, commands)
    initial = initial_operand("tensor_scalar_reduce", "reduce_init", reduce_cmd, reduce_init, data)
    tiles = tuple(value for value in (left, initial) if isinstance(value, NkiTensor))
    writes: tuple[NkiTensor, ...] = (dst,)
    if reduce_res is not None:
        need_column("tensor_scalar_reduce", "reduce_res", reduce_res, data.shape[0])
        writes = (dst, reduce_res)
    about = {
        "elements": dst.size // dst.shape[0],
        "op": found.name,
        "op0": found.name,
        "reduce_op": reduction.name,
        "reduces": True,
        "reads_registers": reduce_res is not None,
        "operands": (data, *tiles, dst),
    }
    handle = core.issue("tensor_scalar_reduce", engine.vector, (data, *tiles, *index_tiles(data, dst)), writes, about)
    if core.options.execute:
        values = as_float32(data)
        out = in_place(dst, values.shape)
        start = np.copy(broadcast(initial, 1)) if isinstance(initial, NkiTensor) else initial
        done = apply(found, values, broadcast(left, values.ndim), out=out)
        if done is not out:
            store(dst, done)
        accumulate(core, engine.vector, reduce_cmd, reduction, done, start)
        if reduce_res is not None:
            read_out(core, engine.vector, reduce_res, reduce_res_negate)
    return handle
