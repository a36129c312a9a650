"""Accumulation registers: one float32 for each of an engine's 128 lanes, kept from one instruction to the next.

The scalar engine's serve `activation` and `activate2`, the vector engine's the reducing instructions. Before a reset
they hold garbage, which shows as NaN.

Source: Neuron documentation 2.32, `nki.isa.activation`, `tensor_scalar_reduce`, `exponential`, `select_reduce`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from course_lib.nki.constants import engine, reduce_cmd
from course_lib.nki.errors import broken_rule
from course_lib.nki.operators import Op, as_op
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import store

if TYPE_CHECKING:
    from course_lib.nki.session import Core

LANES = 128
IDENTITY = {
    "add": 0.0,
    "subtract": 0.0,
    "multiply": 1.0,
    "maximum": -np.inf,
    "minimum": np.inf,
    "abs_max": 0.0,
    "abs_min": np.inf,
}
_ACCUMULATES = (reduce_cmd.reduce, reduce_cmd.reset_reduce, reduce_cmd.load_reduce)


def registers(core: Core, on: engine) -> np.ndarray:
    """An engine's registers, to read and to change in place."""
    found = core.registers.get(on)
    if found is None:
        core.registers[on] = found = np.full(LANES, np.nan, dtype=np.float32)
    return found


def accumulates(command: reduce_cmd) -> bool:
    """Whether a command adds the instruction's result to the registers."""
    return command in _ACCUMULATES


def check_reduction(op: str, reduce_op: Any, allowed: tuple[str, ...], command: Any, commands: tuple[str, ...]) -> Op:
    """The reduction operator of an instruction, and the command's legality.

    Args:
        op: the instruction.
        reduce_op: as the kernel passed it; None is allowed while the command does not accumulate.
        allowed: names of operators; the first stands for None.
        command: as the kernel passed it.
        commands: names of the commands that the instruction has.

    Raises:
        NkiValidationError: for another operator or command.
    """
    if not isinstance(command, reduce_cmd) or command.name not in commands:
        raise broken_rule(
            f"{op}: reduce_cmd={command!r}", limit=", ".join(f"nisa.reduce_cmd.{name}" for name in commands)
        )
    if reduce_op is None and command not in _ACCUMULATES:
        reduce_op = _first(allowed)
    found = as_op(reduce_op)
    if found is None or found.name not in allowed:
        raise broken_rule(
            f"{op}: reduce_op={reduce_op!r} with reduce_cmd.{command.name}",
            limit=", ".join(f"nl.{name}" for name in allowed),
        )
    return found


def _first(allowed: tuple[str, ...]) -> Op:
    from course_lib.nki.operators import OPS

    return OPS[allowed[0]]


def reduce_free(op: Op, values: np.ndarray) -> np.ndarray:
    """Reduces each partition's values to one, shape (P,)."""
    flat = values if values.ndim == 2 else values.reshape(len(values), -1)
    if op.ufunc is not None:
        return np.asarray(op.ufunc.reduce(flat, axis=1))
    size = np.abs(flat)
    place = size.argmax(axis=1) if op.name == "abs_max" else size.argmin(axis=1)
    return np.take_along_axis(flat, place[:, None], axis=1)[:, 0]


def accumulate(
    core: Core, on: engine, command: reduce_cmd, op: Op, values: np.ndarray | None, initial: Any = None
) -> None:
    """Does what a command says to an engine's registers.

    Args:
        core, on: whose registers.
        command: reset, reduce, reset_reduce, load_reduce or idle.
        op: reduction operator.
        values: (P, ...) float32 results of the instruction.
        initial: number or (P,) array that load_reduce starts from.
    """
    if command is reduce_cmd.idle:
        return
    lanes = registers(core, on)
    if command is reduce_cmd.reset:
        lanes[:] = IDENTITY[op.name]
        return
    assert values is not None
    count = len(values)
    fresh = reduce_free(op, values)
    if command is reduce_cmd.reset_reduce:
        lanes[:count] = fresh
        lanes[count:] = IDENTITY[op.name]
        return
    assert op.compute is not None
    before = initial if command is reduce_cmd.load_reduce else lanes[:count]
    lanes[:count] = op.compute(before, fresh)


def forget(core: Core, on: engine) -> None:
    """Leaves garbage in the registers, as instructions do whose effect on them is not defined."""
    registers(core, on)[:] = np.nan


def read_out(core: Core, on: engine, dst: NkiTensor, negate: bool = False) -> None:
    """Copies the registers of the first lanes to a (P, 1) tile."""
    lanes = registers(core, on)[: dst.shape[0]].reshape(dst.shape)
    store(dst, -lanes if negate else lanes)
