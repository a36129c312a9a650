"""Transposes on chip, by the tensor engine or by the vector engine.

Source: Neuron documentation 2.32, `nki.isa.nc_transpose`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from course_lib.nki.constants import engine, nc_version
from course_lib.nki.errors import broken_rule
from course_lib.nki.isa.operands import index_tiles
from course_lib.nki.isa.rules import PSUM, SBUF, need_engine, need_on_chip, need_tensor
from course_lib.nki.session import NkiInstruction, current_core
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import as_float32, raw, store

_CACHE_LINE = 64  # bytes
_MOST = {engine.tensor: 128, engine.vector: 32}


def nc_transpose(
    dst: NkiTensor, data: NkiTensor, engine: engine = engine.unknown, name: str | None = None
) -> NkiInstruction:
    """`dst = data.T`, with the free dimensions of `data` flattened.

    Args:
        dst: (F, P) tile in the format of `data`: in PSUM for the tensor engine, in SBUF or PSUM for the vector engine.
        data: (P, F) tile: up to 128 x 128 in SBUF for the tensor engine, up to 32 x 32 for the vector engine.
        engine: tensor or vector; unknown takes the one that fits the shape and the regions.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for shapes, formats or regions that the engine does not have.
    """
    core = current_core()
    need_on_chip("nc_transpose", "dst", need_tensor("nc_transpose", "dst", dst))
    need_on_chip("nc_transpose", "data", need_tensor("nc_transpose", "data", data))
    rows, columns = data.shape[0], math.prod(data.shape[1:])
    if dst.shape[0] != columns or math.prod(dst.shape[1:]) != rows:
        raise broken_rule(
            f"nc_transpose: dst has shape {dst.shape} for data {data.shape}", limit=f"({columns}, {rows})"
        )
    if dst.dtype != data.dtype:
        raise broken_rule(
            f"nc_transpose: dst is {dst.dtype}, data is {data.dtype}",
            limit="the same format",
            hint="cast with nisa.tensor_copy when you copy the result",
        )
    on = _engine(engine, dst, data, rows, columns)
    about = {"elements": columns, "partitions": rows, "operands": (data, dst)}
    handle = core.issue("nc_transpose", on, (data, *index_tiles(dst, data)), (dst,), about)
    if core.options.execute:
        if on is _tensor and core.version is nc_version.gen2 and data.dtype.is_float:
            values = _through_identity(as_float32(data).reshape(rows, columns).copy())
        else:
            values = _turned(raw(data).reshape(rows, columns))
        store(dst, values.reshape(dst.shape))
    return handle


_tensor, _vector, _unknown = engine.tensor, engine.vector, engine.unknown


def _engine(wanted: Any, dst: NkiTensor, data: NkiTensor, rows: int, columns: int) -> engine:
    need_engine("nc_transpose", wanted, _tensor, _vector)
    reaches = data.buffer is SBUF and dst.buffer is PSUM  # as the tensor engine needs it
    on = wanted
    if on is _unknown:
        on = _vector if max(rows, columns) <= 32 else _tensor
    most = _MOST[on]
    if max(rows, columns) > most:
        raise broken_rule(
            f"nc_transpose of {rows} x {columns} on the {on.name} engine",
            limit=f"{most} x {most}",
            hint="transpose tile by tile" if on is _tensor else "use the tensor engine, up to 128 x 128",
        )
    if on is _tensor and not reaches:
        raise broken_rule(
            f"nc_transpose of {rows} x {columns} on the tensor engine from {data.buffer.value} to {dst.buffer.value}",
            limit="from SBUF to PSUM",
            hint="copy with nisa.tensor_copy before or after; up to 32 x 32 the vector engine takes SBUF and PSUM",
        )
    return on  # type: ignore[no-any-return]


def _turned(values: np.ndarray) -> np.ndarray:
    """The transpose, as a view of a copy.

    The copy's rows don't lie a power of two apart: a column of a tile would fall into a few sets of the CPU's cache.
    """
    rows, columns = values.shape
    apart = np.empty((rows, columns + _CACHE_LINE // values.itemsize), values.dtype)[:, :columns]
    apart[...] = values
    return apart.T


def _through_identity(values: np.ndarray) -> np.ndarray:
    """On NeuronCore-v2 the transpose is a product with the identity: NaN and infinity spread along their row."""
    if np.isfinite(values).all():
        return values.T
    return values.T @ np.eye(len(values), dtype=np.float32)
