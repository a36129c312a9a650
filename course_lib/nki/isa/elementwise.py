"""Element-wise instructions of the vector and GpSimd engines on two tiles.

Source: Neuron documentation 2.32, `nki.isa.tensor_tensor`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from course_lib.nki.constants import engine
from course_lib.nki.errors import broken_rule
from course_lib.nki.isa.rules import (
    PSUM,
    need_engine,
    need_on_chip,
    need_same_layout,
    need_sbuf_on_gpsimd,
    need_tensor,
)
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
        need_on_chip("tensor_tensor", role, need_tensor("tensor_tensor", role, tensor))
    if not isinstance(op, Op) or op.inputs != 2 or op.compute is None:
        raise broken_rule(f"tensor_tensor: op={op!r}", limit="a binary operator such as nl.add")
    need_same_layout("tensor_tensor", data1, data2, "data1 and data2")
    need_same_layout("tensor_tensor", dst, data1, "dst and data1")
    if data1.buffer is PSUM and data2.buffer is PSUM:
        raise broken_rule(
            "tensor_tensor: data1 and data2 are both in PSUM",
            limit="at most one input in PSUM",
            hint="copy one of them to SBUF with nisa.tensor_copy",
        )
    exact = data1.dtype in _INT32 and data2.dtype in _INT32 and dst.dtype in _INT32
    on = _choose_engine(engine, op, exact, dst, data1, data2)
    about = {"elements": dst.size // dst.shape[0], "op": op.name, "operands": (data1, data2, dst)}
    handle = core.issue("tensor_tensor", on, (data1, data2), (dst,), about)
    if core.options.execute:
        if op.bits or exact:
            a, b = raw(data1), raw(data2)
        else:
            a, b = as_float32(data1), as_float32(data2)
        if a.shape != b.shape:
            b = b.reshape(a.shape)
        target = dst.array
        if dst.indirection is None and target.dtype == a.dtype == np.float32 and target.shape == a.shape:
            op.compute(a, b, out=target, casting="unsafe")
        else:
            store(dst, np.asarray(op.compute(a, b)))
    return handle


def _choose_engine(wanted: Any, op: Op, exact: bool, *tensors: NkiTensor) -> engine:
    need_engine("tensor_tensor", wanted, engine.vector, engine.gpsimd)
    if wanted is engine.unknown:
        in_psum = any(tensor.buffer is PSUM for tensor in tensors)
        wanted = engine.gpsimd if op.name == "power" or (exact and not in_psum) else engine.vector
    need_sbuf_on_gpsimd("tensor_tensor", wanted, *tensors)
    return wanted  # type: ignore[no-any-return]
