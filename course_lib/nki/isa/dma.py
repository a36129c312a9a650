"""Copies between HBM and SBUF by the DMA engines.

Source: Neuron documentation 2.32, `nki.isa.dma_copy`, "DGE reference".
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from course_lib.nki.constants import dge_mode, engine, nc_version, oob_mode
from course_lib.nki.dtypes import round_to, to_tfloat32
from course_lib.nki.errors import broken_rule
from course_lib.nki.indirection import Lookup, element_places
from course_lib.nki.isa.rules import PSUM, SBUF, need_tensor
from course_lib.nki.mosaic import owe_store
from course_lib.nki.owed import owe_load
from course_lib.nki.session import NkiInstruction, current_core
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import as_float32, raw, store

_dma, _unknown_engine = engine.dma, engine.unknown
_unknown_mode = dge_mode.unknown


def dma_copy(
    dst: NkiTensor,
    src: NkiTensor,
    priority: int | None = None,
    oob_mode: oob_mode = oob_mode.error,
    dge_mode: Any = dge_mode.unknown,
    engine: engine = engine.unknown,
    name: str | None = None,
) -> NkiInstruction:
    """`dst = src` between HBM and SBUF; formats are cast by way of float32.

    Args:
        dst, src: tensors with the same number of elements; neither in PSUM.
        priority: 0 to 3 (NeuronCore-v4).
        oob_mode: what happens to a looked-up index out of bounds: an error, or these elements are left out.
        dge_mode: who generates descriptors; hwdge from NeuronCore-v3, with equal formats; gathers need swdge.
        engine: who triggers hwdge: sync or scalar.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for regions, sizes, formats or modes that DMA does not have, and for indices out of bounds.
    """
    core = current_core()
    if type(dge_mode) is int:
        dge_mode = numbered_mode("dma_copy", dge_mode)
    need_dma_region("dma_copy", "dst", dst)
    need_dma_region("dma_copy", "src", src)
    if dst.size != src.size:
        raise broken_rule(
            f"dma_copy: dst has shape {dst.shape}, src {src.shape}",
            limit=f"the same number of elements; here {dst.size:,} and {src.size:,}",
            hint="slice both sides to the same shape",
        )
    cast = dst.dtype is not src.dtype and dst.dtype != src.dtype
    if cast and (dst.dtype.is_packed or src.dtype.is_packed):
        raise broken_rule(
            f"dma_copy from {src.dtype} to {dst.dtype}",
            limit="packed formats are copied as they are",
            hint="reinterpret the bytes with .view(dtype)",
        )
    need_oob_mode("dma_copy", oob_mode)
    reads: tuple[NkiTensor, ...] = (src,)
    if dst.indirection is not None or src.indirection is not None:
        reads = (src, *need_legal_lookups("dma_copy", dge_mode, dst, src))
    if priority is not None:
        need_priority("dma_copy", priority, core.version)
    if dge_mode is not _unknown_mode or engine is not _unknown_engine:
        _check_modes(dge_mode, engine, dst, src, core.version)
    about = dma_facts(dst, (src, dst), dge_mode) if core.options.record else None
    handle = core.issue("dma_copy", _dma, reads, (dst,), about)
    if core.options.execute:
        _move(dst, src, oob_mode)
    return handle


def need_dma_region(op: str, role: str, tensor: Any) -> None:
    """Refuses PSUM, which DMA does not reach through these instructions."""
    if need_tensor(op, role, tensor).buffer is PSUM:
        raise broken_rule(
            f"{op}: {role} {tensor.name} is in PSUM",
            limit="DMA moves data between HBM and SBUF",
            hint="copy between PSUM and SBUF with nisa.tensor_copy",
        )


def numbered_mode(op: str, number: int) -> dge_mode:
    """The mode behind a number: published kernels still pass numbers, which NKI 0.3 replaced by names."""
    try:
        mode = dge_mode(number)
    except ValueError:
        raise broken_rule(f"{op}: dge_mode={number}", limit="a member of nisa.dge_mode") from None
    warnings.warn(
        f"{op}: write dge_mode=nisa.dge_mode.{mode.name} instead of {number}", DeprecationWarning, stacklevel=3
    )
    return mode


def need_oob_mode(op: str, mode: Any) -> None:
    """Refuses anything but a member of `nisa.oob_mode`."""
    if type(mode) is not oob_mode:
        raise broken_rule(f"{op}: oob_mode={mode!r}", limit="nisa.oob_mode.error or nisa.oob_mode.skip")


def need_priority(op: str, priority: Any, version: nc_version) -> None:
    """Refuses a priority before NeuronCore-v4, and one that does not exist."""
    if version < nc_version.gen4:
        raise broken_rule(f"{op}: priority={priority}", limit="from NeuronCore-v4", generation=version.name)
    if priority not in range(4):
        raise broken_rule(f"{op}: priority={priority}", limit="0 (first) to 3")


def dma_facts(moved: NkiTensor, operands: tuple[NkiTensor, ...], mode: Any, **more: Any) -> dict[str, Any]:
    """What the cost model needs of a transfer.

    Args:
        moved: the tensor that is written.
        operands: inputs first, dst last.
        mode: who generates descriptors.
        more: further facts.

    Returns:
        operands; elements behind each partition; partitions; bytes moved (in the wider format of the two sides); dge,
        the name of the mode; indirect, whether addresses are looked up one by one.
    """
    size, shape = moved.size, moved.shape
    indirect = False
    width = 1
    for tensor in operands:
        width = max(width, tensor.dtype.itemsize)
        found = tensor.indirection
        if found is not None and not (isinstance(found, Lookup) and found.vector is None):
            indirect = True
    about = {
        "operands": operands,
        "elements": size // shape[0],
        "partitions": shape[0],
        "bytes": size * width,
        "dge": mode.name,
        "indirect": indirect,
    }
    about.update(more)
    return about


def need_legal_lookups(op: str, mode: Any, *tensors: NkiTensor) -> tuple[NkiTensor, ...]:
    """Checks looked-up views of a DMA and returns the index tiles that it reads."""
    tiles: list[NkiTensor] = []
    for tensor in tensors:
        found = tensor.indirection
        if found is None:
            continue
        if not isinstance(found, Lookup):
            raise broken_rule(
                f"{op} with {tensor.name}.indirect(...)",
                limit="tensor indirection belongs to the compute engines",
                hint="use .ap(..., vector_offset=...) on an HBM tensor",
            )
        for index in found.indices():
            if index.buffer is not SBUF or not index.dtype.is_integer:
                raise broken_rule(
                    f"{op}: the index {index.name} is {index.dtype} in {index.buffer.value}",
                    limit="indices are whole numbers in SBUF",
                    hint="load them with nisa.dma_copy, or cast with nisa.tensor_copy",
                )
            if found.vector is None and index.size != 1:
                raise broken_rule(f"{op}: scalar_offset of shape {index.shape}", limit="(1, 1): one index for all")
            tiles.append(index)
        if found.vector is None:
            continue
        if tensor.on_chip:
            raise broken_rule(
                f"{op}: one index for each partition into {tensor.name} in {tensor.buffer.value}",
                limit="the tensor that vector_offset indexes is in HBM",
                hint="use nisa.nc_n_gather or nisa.local_gather within SBUF",
            )
        if mode is dge_mode.hwdge or mode is dge_mode.none:
            raise broken_rule(
                f"{op}: dge_mode.{mode.name} with vector_offset",
                limit="the GpSimd engine alone generates descriptors for a gather or scatter",
                hint="leave dge_mode out, or pass nisa.dge_mode.swdge",
            )
        columns = found.vector.size // found.vector.shape[0]
        if op != "dma_transpose" and (columns != 1 or found.vector.shape[0] < tensor.shape[0]):
            raise broken_rule(
                f"{op}: vector_offset of shape {found.vector.shape} for {tensor.shape[0]} rows",
                limit=f"({tensor.shape[0]}, 1): one index for each partition",
            )
    return tuple(tiles)


def _check_modes(mode: Any, on: Any, dst: NkiTensor, src: NkiTensor, version: nc_version) -> None:
    if type(mode) is not dge_mode:
        raise broken_rule(f"dma_copy: dge_mode={mode!r}", limit="a member of nisa.dge_mode")
    if mode is dge_mode.hwdge and version < nc_version.gen3:
        raise broken_rule("dma_copy: dge_mode.hwdge", limit="from NeuronCore-v3", generation=version.name)
    if mode is dge_mode.hwdge and dst.dtype != src.dtype:
        raise broken_rule(
            f"dma_copy: dge_mode.hwdge from {src.dtype} to {dst.dtype}",
            limit="equal formats",
            hint="use dge_mode.unknown, or cast with nisa.tensor_copy",
        )
    if on is not engine.unknown and mode is not dge_mode.hwdge:
        raise broken_rule(f"dma_copy: engine={on}", limit="only with dge_mode=nisa.dge_mode.hwdge")
    if on not in (engine.unknown, engine.sync, engine.scalar):
        raise broken_rule(f"dma_copy: engine={on}", limit="nisa.engine.sync or nisa.engine.scalar trigger hwdge")


def _move(dst: NkiTensor, src: NkiTensor, out_of_bounds: oob_mode) -> None:
    looked_up = dst.indirection is not None or src.indirection is not None
    if looked_up and out_of_bounds is oob_mode.skip:
        move_inside(dst, src, None)
    elif dst.dtype == src.dtype:
        if owe_load(dst, src) or owe_store(dst, src):
            return
        values = raw(src)
        if dst.indirection is not None:
            store(dst, values)
        else:
            dst.array[...] = values if values.shape == dst.array.shape else values.reshape(dst.array.shape)
    else:
        store(dst, as_float32(src))


def move_inside(dst: NkiTensor, src: NkiTensor, axes: tuple[int, ...] | None) -> None:
    """Copies `src` (its axes reordered) to `dst`, leaving out elements whose index is out of bounds on either side."""
    here, readable = element_places(src)
    there, writable = element_places(dst)
    if axes is not None:
        here = here.transpose(axes)
        readable = None if readable is None else readable.transpose(axes)
    keep = np.ones(here.size, dtype=bool)
    for inside in (readable, writable):
        if inside is not None:
            keep &= inside.reshape(-1)
    values = src.root.reshape(-1).view(src.array.dtype)[here.reshape(-1)[keep]]
    target = dst.root.reshape(-1).view(dst.array.dtype)
    if dst.dtype != src.dtype:
        values = values.astype(np.float32)
        if dst.dtype == "tfloat32":
            values = to_tfloat32(values)
    target[there.reshape(-1)[keep]] = round_to(values, target.dtype)
