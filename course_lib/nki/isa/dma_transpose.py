"""Transposes by the DMA engines, between HBM and SBUF or within SBUF, with or without a gather.

Source: Neuron documentation 2.32, `nki.isa.dma_transpose`, "DGE reference".
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from course_lib.nki.constants import dge_mode, engine, nc_version, oob_mode
from course_lib.nki.errors import broken_rule
from course_lib.nki.indirection import Lookup
from course_lib.nki.isa.dma import (
    dma_facts,
    move_inside,
    need_dma_region,
    need_legal_lookups,
    need_oob_mode,
    need_priority,
    numbered_mode,
)
from course_lib.nki.isa.rules import SBUF, need_buffer
from course_lib.nki.session import NkiInstruction, current_core
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import raw, store

_AXES = {2: (1, 0), 3: (2, 1, 0), 4: (3, 1, 2, 0)}


def dma_transpose(
    dst: NkiTensor,
    src: NkiTensor,
    axes: tuple[int, ...] | None = None,
    priority: int | None = None,
    dge_mode: Any = dge_mode.unknown,
    oob_mode: oob_mode = oob_mode.error,
    name: str | None = None,
) -> NkiInstruction:
    """`dst = src` with the first and the last dimension swapped.

    Args:
        dst: tile in SBUF, of the same format.
        src: tensor of 2 to 4 dimensions in HBM or SBUF; with `vector_offset`, rows are gathered first.
        axes: (1, 0), (2, 1, 0) or (3, 1, 2, 0); None takes the one for the number of dimensions.
        priority: 0 to 3 (NeuronCore-v4).
        dge_mode: hwdge for direct transposes from NeuronCore-v3, swdge for gathers.
        oob_mode: what happens to a looked-up index out of bounds; skip only when there are such indices.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for shapes, regions, formats or modes that DMA does not have.
    """
    core = current_core()
    if type(dge_mode) is int:
        dge_mode = numbered_mode("dma_transpose", dge_mode)
    need_dma_region("dma_transpose", "src", src)
    need_dma_region("dma_transpose", "dst", dst)
    need_buffer("dma_transpose", "dst", dst, SBUF, "copy it to HBM with nisa.dma_copy afterwards")
    order = _order(axes, src)
    _check_shapes(dst, src, order)
    need_oob_mode("dma_transpose", oob_mode)
    if oob_mode is _skip and src.indirection is None:
        raise broken_rule("dma_transpose: oob_mode.skip", limit="only when src looks its rows up")
    if priority is not None:
        need_priority("dma_transpose", priority, core.version)
    tiles = need_legal_lookups("dma_transpose", dge_mode, dst, src)
    found = src.indirection
    gathers = isinstance(found, Lookup) and found.vector is not None
    if isinstance(found, Lookup) and found.vector is not None:
        _check_gather(src, found.vector, core.version)
    else:
        _check_direct(src, dge_mode, core.version)
    about = dma_facts(dst, (src, dst), dge_mode, transpose=True, gathers=gathers)
    handle = core.issue("dma_transpose", engine.dma, (src, *tiles), (dst,), about)
    if core.options.execute:
        if oob_mode is _skip:
            move_inside(dst, src, order)
        else:
            # Within SBUF source and destination may be the same memory.
            store(dst, np.ascontiguousarray(raw(src).transpose(order)))
    return handle


_skip = oob_mode.skip


def _order(axes: Any, src: NkiTensor) -> tuple[int, ...]:
    known = _AXES.get(src.ndim)
    if known is None:
        raise broken_rule(
            f"dma_transpose: src has shape {src.shape}",
            limit="2, 3 or 4 dimensions",
            hint="merge or split dimensions with reshape or .ap",
        )
    if axes is not None and tuple(axes) != known:
        raise broken_rule(
            f"dma_transpose: axes={tuple(axes)} for {src.ndim} dimensions",
            limit=f"{known}: the first and the last dimension change places",
            hint="reorder the others with .permute or .ap",
        )
    return known


def _check_shapes(dst: NkiTensor, src: NkiTensor, order: tuple[int, ...]) -> None:
    wanted = tuple(src.shape[axis] for axis in order)
    if dst.shape[0] != wanted[0] or math.prod(dst.shape[1:]) != math.prod(wanted[1:]):
        raise broken_rule(
            f"dma_transpose: dst has shape {dst.shape} for src {src.shape}", limit=f"{wanted}, src with axes {order}"
        )
    if dst.dtype != src.dtype:
        raise broken_rule(
            f"dma_transpose from {src.dtype} to {dst.dtype}",
            limit="the same format on both sides",
            hint="cast with nisa.tensor_copy afterwards",
        )


def _check_direct(src: NkiTensor, mode: Any, version: nc_version) -> None:
    if mode is dge_mode.swdge and src.indirection is None:
        raise broken_rule(
            "dma_transpose: dge_mode.swdge without vector_offset",
            limit="a direct transpose takes nisa.dge_mode.unknown or nisa.dge_mode.hwdge",
        )
    if mode is not dge_mode.hwdge:
        return
    first, last = src.shape[0], src.shape[-1]
    if version < nc_version.gen3:
        raise broken_rule("dma_transpose: dge_mode.hwdge", limit="from NeuronCore-v3", generation=version.name)
    if src.ndim == 2 and first != 16:
        raise _hardware(f"src has shape {src.shape}", "16 rows for a source of two dimensions")
    if src.ndim > 2 and (first not in (1, 2, 4, 8, 16) or first * src.shape[-2] % 16):
        raise _hardware(
            f"src has shape {src.shape}",
            "a first dimension of 1, 2, 4, 8 or 16, and a multiple of 16 when multiplied by the last but one",
        )
    if last > 128:
        raise _hardware(f"src has shape {src.shape}", "a last dimension of at most 128")
    if src.dtype.itemsize != 2:
        raise _hardware(f"src is {src.dtype}", "formats of 2 bytes")


def _hardware(what: str, limit: str) -> Exception:
    return broken_rule(f"dma_transpose with dge_mode.hwdge: {what}", limit=limit, hint="leave dge_mode out")


def _check_gather(src: NkiTensor, indices: NkiTensor, version: nc_version) -> None:
    rows, partitions = src.shape[0], indices.shape[0]
    if version < nc_version.gen3:
        raise broken_rule("dma_transpose with vector_offset", limit="from NeuronCore-v3", generation=version.name)
    rules = (
        (src.ndim == 4 and 1 not in src.shape[1:3], f"src has shape {src.shape}", "dimension 1 or 2 must have size 1"),
        (src.shape[-1] > 128, f"src has shape {src.shape}", "a last dimension of at most 128"),
        (src.dtype.itemsize != 2, f"src is {src.dtype}", "formats of 2 bytes"),
        (rows % 16 != 0, f"src has {rows} rows", "a multiple of 16"),
        (indices.ndim != 2, f"indices have shape {indices.shape}", "two dimensions"),
        (
            indices.size < rows,
            f"indices have shape {indices.shape}",
            f"one index for each of {rows} rows",
        ),
        (
            partitions % 16 != 0 or not 16 <= partitions <= 128,
            f"indices have shape {indices.shape}",
            "16 to 128 partitions, a multiple of 16",
        ),
        (
            indices.ndim == 2 and indices.shape[1] > 1 and partitions != 128,
            f"indices have shape {indices.shape}",
            "128 partitions when there are several columns",
        ),
        (indices.dtype != "uint32", f"indices are {indices.dtype}", "uint32"),
    )
    for broken, what, limit in rules:
        if broken:
            raise broken_rule(f"dma_transpose with vector_offset: {what}", limit=limit)
