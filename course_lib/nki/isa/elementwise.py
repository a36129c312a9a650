"""Element-wise instructions of the vector and GpSimd engines on one or two tiles.

Source: Neuron documentation 2.32, `nki.isa.tensor_tensor`, `reciprocal`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from course_lib.nki.constants import engine
from course_lib.nki.isa.operands import (
    alu_op,
    apply,
    in_place,
    index_tiles,
    need_direct,
    need_integers,
    need_one_sbuf_input,
    need_tile,
    store_bits,
)
from course_lib.nki.isa.rules import PSUM, need_engine, need_same_layout, need_sbuf_on_gpsimd
from course_lib.nki.operators import Op
from course_lib.nki.session import NkiInstruction, current_core
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import as_float32, raw, store

_INT32 = ("int32", "uint32")


def tensor_tensor(
    dst: NkiTensor,
    data1: NkiTensor,
    data2: NkiTensor,
    op: Any,
    engine: engine = engine.unknown,
    name: str | None = None,
) -> NkiInstruction:
    """`dst = data1 <op> data2`, element by element.

    Arithmetic happens in float32, except on the GpSimd engine with 32-bit integers throughout: that is exact, and the
    default for them as long as no tile is in PSUM.

    Args:
        dst: (P, N) tile in SBUF or PSUM.
        data1, data2: (P, N) tiles, not both in PSUM.
        op: a binary operator of `nki.language`.
        engine: vector or gpsimd; unknown lets the compiler choose.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for shapes, regions, formats or engines that the hardware does not have.
    """
    core = current_core()
    for role, tensor in (("dst", dst), ("data1", data1), ("data2", data2)):
        need_tile("tensor_tensor", role, tensor)
    found = alu_op("tensor_tensor", "op", op, core.version, binary=True)
    need_same_layout("tensor_tensor", data1, data2, "data1 and data2")
    need_same_layout("tensor_tensor", dst, data1, "dst and data1")
    need_one_sbuf_input("tensor_tensor", data1, data2, "data1 and data2")
    need_direct("tensor_tensor", "data2", data2)
    if found.bits:
        need_integers("tensor_tensor", data1=data1, data2=data2, dst=dst)
    whole = data1.dtype in _INT32 and data2.dtype in _INT32 and dst.dtype in _INT32
    on = _choose_engine(engine, found, whole, dst, data1, data2)
    about = {"elements": dst.size // dst.shape[0], "op": found.name, "operands": (data1, data2, dst)}
    reads = (data1, data2, *index_tiles(data1, data2, dst))
    handle = core.issue("tensor_tensor", on, reads, (dst,), about)
    if core.options.execute:
        if found.bits or (whole and on is _gpsimd and found.name != "power"):
            _run_integers(dst, found, raw(data1), raw(data2))
        else:
            a, b = as_float32(data1), as_float32(data2)
            if a.shape != b.shape:
                b = b.reshape(a.shape)
            out = in_place(dst, a.shape)
            done = apply(found, a, b, out=out)
            if done is not out:
                store(dst, done)
    return handle


_gpsimd = engine.gpsimd


def _run_integers(dst: NkiTensor, op: Op, a: np.ndarray, b: np.ndarray) -> None:
    assert op.compute is not None
    store_bits(dst, np.asarray(op.compute(a, b if a.shape == b.shape else b.reshape(a.shape))))


def _choose_engine(wanted: Any, op: Op, whole: bool, *tensors: NkiTensor) -> engine:
    if op.name == "power":
        need_engine("tensor_tensor with nl.power", wanted, engine.gpsimd)
        wanted = engine.gpsimd
    else:
        need_engine("tensor_tensor", wanted, engine.vector, engine.gpsimd)
    if wanted is engine.unknown:
        in_psum = any(tensor.buffer is PSUM for tensor in tensors)
        return engine.gpsimd if whole and not op.bits and not in_psum else engine.vector
    need_sbuf_on_gpsimd("tensor_tensor", wanted, *tensors)
    return wanted  # type: ignore[no-any-return]


def reciprocal(dst: NkiTensor, data: NkiTensor, name: str | None = None) -> NkiInstruction:
    """`dst = 1 / data` on the vector engine: more exact than the scalar engine's, and slower.

    Args:
        dst, data: (P, N) tiles in SBUF or PSUM.
        name: a name for the instruction.
    """
    core = current_core()
    need_tile("reciprocal", "dst", dst)
    need_tile("reciprocal", "data", data)
    need_same_layout("reciprocal", dst, data, "dst and data")
    about = {"elements": dst.size // dst.shape[0], "op": "reciprocal", "operands": (data, dst)}
    handle = core.issue("reciprocal", engine.vector, (data, *index_tiles(data, dst)), (dst,), about)
    if core.options.execute:
        values = as_float32(data)
        out = in_place(dst, values.shape)
        if out is not None:
            np.divide(1.0, values, out=out)
        else:
            store(dst, 1.0 / values)
    return handle
