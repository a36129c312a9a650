"""Sums of tensors by the compute logic inside the DMA engines, with or without a gather or scatter.

Source: Neuron documentation 2.32, `nki.isa.dma_compute`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from course_lib.nki.constants import dge_mode, engine, oob_mode
from course_lib.nki.dtypes import round_to, to_tfloat32
from course_lib.nki.errors import broken_rule
from course_lib.nki.indirection import Lookup, element_places
from course_lib.nki.isa.dma import dma_facts, need_dma_region, need_legal_lookups, need_oob_mode
from course_lib.nki.isa.rules import SBUF
from course_lib.nki.operators import Op
from course_lib.nki.session import NkiInstruction, current_core
from course_lib.nki.tensor import NkiTensor, is_hbm
from course_lib.nki.values import as_float32, out_of_bounds, store

MOST_SOURCES = 16
_skip = oob_mode.skip


def dma_compute(
    dst: NkiTensor,
    srcs: Sequence[NkiTensor],
    reduce_op: Any,
    scales: Sequence[float] | None = None,
    unique_indices: bool = True,
    oob_mode: oob_mode = oob_mode.error,
    name: str | None = None,
) -> NkiInstruction:
    """`dst = srcs[0] + srcs[1] + ...`, computed in float32.

    Args:
        dst: tensor in HBM or SBUF.
        srcs: 1 to 16 tensors with as many elements as `dst`. With `vector_offset` on one of two sources: a gather
            that adds to `dst` in SBUF (the other source is `dst`), or a scatter that adds to rows of `dst` in HBM (the
            other source is the data in SBUF).
        reduce_op: `nl.add`.
        scales: None, or 1.0 for each source.
        unique_indices: True: no row is addressed twice.
        oob_mode: what happens to a looked-up index out of bounds.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for operators, scales, shapes or regions that DMA compute does not have.
    """
    core = current_core()
    sources = _sources(srcs)
    need_dma_region("dma_compute", "dst", dst)
    for source in sources:
        need_dma_region("dma_compute", "srcs", source)
        if source.size != dst.size:
            raise broken_rule(
                f"dma_compute: dst has shape {dst.shape}, a source {source.shape}", limit="the same number of elements"
            )
        if source.dtype.is_packed or dst.dtype.is_packed:
            raise broken_rule("dma_compute with a packed format", limit="formats that hold one number an element")
    if not isinstance(reduce_op, Op) or reduce_op.name != "add":
        raise broken_rule(f"dma_compute: reduce_op={reduce_op!r}", limit="nl.add")
    if scales is not None and (len(scales) != len(sources) or any(scale != 1.0 for scale in scales)):
        raise broken_rule(
            f"dma_compute: scales={list(scales)} for {len(sources)} sources",
            limit="1.0 for each source, or None",
            hint="scale on chip with nisa.tensor_scalar",
        )
    need_oob_mode("dma_compute", oob_mode)
    looked_up = [tensor for tensor in (dst, *sources) if tensor.indirection is not None]
    mode = dge_mode.swdge if looked_up else dge_mode.none
    tiles = need_legal_lookups("dma_compute", mode, dst, *sources)
    scatters = _check_lookups(dst, sources, unique_indices) if looked_up else False
    about = dma_facts(dst, (*sources, dst), mode, op="add", sources=len(sources))
    about["bytes"] = sum(source.size * source.dtype.itemsize for source in sources)
    handle = core.issue("dma_compute", engine.dma, (*sources, *tiles), (dst,), about)
    if core.options.execute:
        if scatters:
            _check_unique(dst)
        if looked_up:
            _add_where_inside(dst, sources, oob_mode)
        else:
            total = as_float32(sources[0]).reshape(dst.shape)
            for source in sources[1:]:
                total = total + as_float32(source).reshape(dst.shape)
            store(dst, total)
    return handle


def _sources(srcs: Any) -> list[NkiTensor]:
    if isinstance(srcs, NkiTensor) or not isinstance(srcs, Sequence):
        raise broken_rule(f"dma_compute: srcs is {type(srcs).__name__}", limit="a list or tuple of tensors")
    if not 1 <= len(srcs) <= MOST_SOURCES:
        raise broken_rule(f"dma_compute: {len(srcs)} sources", limit=f"1 to {MOST_SOURCES}")
    return list(srcs)


def _check_lookups(dst: NkiTensor, sources: list[NkiTensor], unique: Any) -> bool:
    """Checks a gather or scatter that adds; True for a scatter."""
    vectors = [t for t in (dst, *sources) if isinstance(t.indirection, Lookup) and t.indirection.vector is not None]
    if len(vectors) != sum(tensor.indirection is not None for tensor in (dst, *sources)):
        raise broken_rule(
            "dma_compute with an address from a register or tile (scalar_offset, select)",
            limit="addresses known when the kernel is built, or vector_offset",
        )
    if unique is not True:
        raise broken_rule(f"dma_compute: unique_indices={unique}", limit="True: rows addressed twice are not supported")
    if len(sources) != 2:
        raise broken_rule(f"dma_compute with vector_offset and {len(sources)} sources", limit="exactly 2")
    first, second = sources
    if first.indirection is None or (second.indirection is not None and _matches(second, dst)):
        first, second = second, first  # now `first` is the looked-up source, or for a scatter the one like dst
    if dst.indirection is not None:
        if is_hbm(dst.buffer) and _matches(first, dst) and second.indirection is None and second.buffer is SBUF:
            return True
        raise broken_rule(
            "dma_compute: dst has vector_offset, and its sources don't fit a scatter",
            limit="one source is the same looked-up view as dst, the other is data in SBUF",
        )
    if dst.buffer is SBUF and second.indirection is None and _matches(second, dst):
        return False
    raise broken_rule(
        "dma_compute: a source has vector_offset, and dst doesn't fit a gather",
        limit="dst is in SBUF, and the other source is dst itself",
        hint="gather with nisa.dma_copy first, then add",
    )


def _matches(one: NkiTensor, other: NkiTensor) -> bool:
    if one.storage is not other.storage or one.shape != other.shape or one.dtype != other.dtype:
        return False
    a, b = one.indirection, other.indirection
    if a is None or b is None:
        return a is b and one.offset == other.offset and one.strides == other.strides
    if not isinstance(a, Lookup) or not isinstance(b, Lookup) or a.vector is None or b.vector is None:
        return False
    same_index = a.vector.storage is b.vector.storage and a.vector.offset == b.vector.offset
    return same_index and a.pattern[1:] == b.pattern[1:] and (a.start, a.step) == (b.start, b.step)


def _check_unique(dst: NkiTensor) -> None:
    places, inside = element_places(dst)
    found = places.reshape(-1) if inside is None else places[inside]
    if np.unique(found).size != found.size:
        raise broken_rule(
            "dma_compute: two rows of a scatter have the same index",
            limit="unique_indices=True promises that no row is addressed twice",
            hint="add up the rows with the same index on chip first",
        )


def _add_where_inside(dst: NkiTensor, sources: list[NkiTensor], mode: oob_mode) -> None:
    there, keep = element_places(dst)
    keep = np.ones(dst.size, dtype=bool) if keep is None else keep.reshape(-1).copy()
    total = np.zeros(dst.size, dtype=np.float32)
    for source in sources:
        here, inside = element_places(source)
        if inside is not None:
            if mode is not _skip:
                raise out_of_bounds(source, inside)
            keep &= inside.reshape(-1)
        memory = source.root.reshape(-1).view(source.array.dtype)
        total += memory[np.clip(here.reshape(-1), 0, memory.size - 1)].astype(np.float32)
    target = dst.root.reshape(-1).view(dst.array.dtype)
    values = to_tfloat32(total) if dst.dtype == "tfloat32" else total
    target[there.reshape(-1)[keep]] = round_to(values[keep], target.dtype)
