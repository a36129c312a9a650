"""Moves between registers and memory.

Source: Neuron documentation 2.32, `nki.isa.register_alloc`, `register_move`, `register_load`, `register_store`.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from course_lib.nki.constants import engine
from course_lib.nki.errors import broken_rule
from course_lib.nki.isa.rules import PSUM, need_tensor
from course_lib.nki.registers import VirtualRegister
from course_lib.nki.session import NkiInstruction, current_core
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import raw, store


def register_alloc(x: int | None = None) -> VirtualRegister:
    """A fresh register.

    Args:
        x: a whole number to start with; None leaves it unset.
    """
    current_core()
    made = VirtualRegister()
    if x is not None:
        made.set(_whole("register_alloc", x))
    return made


def register_move(dst: VirtualRegister, src: Any) -> NkiInstruction:
    """`dst = src`, where `src` is a whole number or another register."""
    core = current_core()
    _need_register("register_move", "dst", dst)
    handle = core.issue("register_move", engine.sync, (), (), {"operands": (), "elements": 1})
    if not isinstance(src, VirtualRegister):
        dst.set(_whole("register_move", src))
    elif src.unknown:
        dst.set(None, src.unknown)
    else:
        dst.set(src.value)
    return handle


def register_load(dst: VirtualRegister, src: NkiTensor) -> NkiInstruction:
    """Reads one element (up to 32 bits) of a tensor in SBUF or HBM into a register."""
    core = current_core()
    _need_register("register_load", "dst", dst)
    _need_one_element("register_load", "src", src)
    handle = core.issue("register_load", engine.sync, (src,), (), {"operands": (src,), "elements": 1})
    if core.options.execute:
        value = raw(src).reshape(-1)[0]
        dst.set(float(value) if src.dtype.is_float else int(value))
    else:
        dst.set(None, f"a register was loaded from {src.storage.describe()} and its value is asked for")
    return handle


def register_store(dst: NkiTensor, src: VirtualRegister) -> NkiInstruction:
    """Writes a register to one element of a tensor in SBUF or HBM."""
    core = current_core()
    _need_register("register_store", "src", src)
    _need_one_element("register_store", "dst", dst)
    handle = core.issue("register_store", engine.sync, (), (dst,), {"operands": (dst,), "elements": 1})
    if core.options.execute:
        store(dst, np.asarray(src.value).reshape(1))
    return handle


def _whole(op: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise broken_rule(
            f"{op}: {value!r} of type {type(value).__name__}",
            limit="a whole number known when the kernel is built",
            hint="nisa.register_load reads a value from a tensor",
        ) from None


def _need_register(op: str, role: str, value: Any) -> None:
    if not isinstance(value, VirtualRegister):
        raise broken_rule(
            f"{op}: {role} is {type(value).__name__}", limit="a register", hint="make one with nisa.register_alloc()"
        )


def _need_one_element(op: str, role: str, tensor: Any) -> None:
    if need_tensor(op, role, tensor).size != 1:
        raise broken_rule(f"{op}: {role} has shape {tensor.shape}", limit="exactly one element: (1,) or (1, 1)")
    if tensor.buffer is PSUM:
        raise broken_rule(f"{op}: {role} {tensor.name} is in psum", limit="SBUF or HBM", hint="use nisa.tensor_copy")
    if tensor.dtype.is_packed:
        raise broken_rule(f"{op}: {role} is {tensor.dtype}", limit="a plain format of up to 32 bits")
