"""Copies and fills within the chip.

Source: Neuron documentation 2.32, `nki.isa.tensor_copy`, `memset`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from course_lib.nki.constants import engine, nc_version
from course_lib.nki.errors import broken_rule
from course_lib.nki.isa.rules import (
    need_engine,
    need_on_chip,
    need_same_layout,
    need_sbuf_on_gpsimd,
    need_tensor,
)
from course_lib.nki.owed import hand_over
from course_lib.nki.session import NkiInstruction, current_core
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import raw, store


def tensor_copy(
    dst: NkiTensor, src: NkiTensor, engine: engine = engine.unknown, name: str | None = None
) -> NkiInstruction:
    """`dst = src` within SBUF and PSUM, with a cast where the formats differ.

    Args:
        dst, src: (P, N) tiles.
        engine: vector, scalar (not on NeuronCore-v2) or gpsimd (SBUF only).
        name: a name for the instruction.
    """
    core = current_core()
    need_on_chip("tensor_copy", "dst", need_tensor("tensor_copy", "dst", dst))
    need_on_chip("tensor_copy", "src", need_tensor("tensor_copy", "src", src))
    need_same_layout("tensor_copy", dst, src, "dst and src")
    on = _copy_engine(engine, core.version, dst, src)
    about = {"elements": dst.size // dst.shape[0], "operands": (src, dst)}
    handle = core.issue("tensor_copy", on, (src,), (dst,), about)
    if core.options.execute and not hand_over(dst, src):
        store(dst, raw(src))
    return handle


def _copy_engine(wanted: Any, version: nc_version, dst: NkiTensor, src: NkiTensor) -> engine:
    need_engine("tensor_copy", wanted, engine.vector, engine.scalar, engine.gpsimd)
    if wanted is engine.scalar and version is nc_version.gen2:
        raise broken_rule(
            "tensor_copy on the scalar engine",
            limit="not on NeuronCore-v2",
            generation="gen2",
            hint="use nisa.activation(op=nl.copy, ...)",
        )
    need_sbuf_on_gpsimd("tensor_copy", wanted, dst, src)
    return engine.vector if wanted is engine.unknown else wanted


def memset(dst: NkiTensor, value: Any, engine: engine = engine.unknown, name: str | None = None) -> NkiInstruction:
    """Fills a tile with a constant.

    Args:
        dst: tile in SBUF or PSUM.
        value: the number; packed formats take 0 alone.
        engine: vector or gpsimd.
        name: a name for the instruction.
    """
    core = current_core()
    need_on_chip("memset", "dst", need_tensor("memset", "dst", dst))
    need_engine("memset", engine, _vector, _gpsimd)
    if isinstance(value, NkiTensor) or not isinstance(value, bool | int | float | np.number):
        raise broken_rule(f"memset: value is {value!r}", limit="a number known when the kernel is built")
    if dst.dtype.is_packed and value != 0:
        raise broken_rule(f"memset: value {value} for {dst.dtype}", limit="packed formats take 0 only")
    if dst.dtype.is_integer and float(value) != int(value):
        raise broken_rule(
            f"memset: value {value} for {dst.dtype}", limit="a whole number", hint="use a float format for this tile"
        )
    on = _vector if engine is _unknown else engine
    need_sbuf_on_gpsimd("memset", on, dst)
    handle = core.issue(
        "memset", on, (), (dst,), {"elements": dst.size // dst.shape[0], "value": value, "operands": (dst,)}
    )
    if core.options.execute:
        if dst.indirection is None:
            dst.array[...] = value
        else:
            store(dst, np.full(dst.shape, value, dtype=np.float32))
    return handle


_vector, _gpsimd, _unknown = engine.vector, engine.gpsimd, engine.unknown
