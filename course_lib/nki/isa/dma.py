"""Copies between HBM and SBUF by the DMA engines.

Source: Neuron documentation 2.32, `nki.isa.dma_copy`.
"""

from __future__ import annotations

import numpy as np

from course_lib.nki.constants import dge_mode, engine, nc_version, oob_mode
from course_lib.nki.dtypes import round_to
from course_lib.nki.errors import broken_rule
from course_lib.nki.isa.rules import PSUM, need_tensor
from course_lib.nki.session import NkiInstruction, current_core
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import as_float32, raw, store


def dma_copy(
    dst: NkiTensor,
    src: NkiTensor,
    priority: int | None = None,
    oob_mode: oob_mode = oob_mode.error,
    dge_mode: dge_mode = dge_mode.unknown,
    engine: engine = engine.unknown,
    name: str | None = None,
) -> NkiInstruction:
    """`dst = src` between HBM and SBUF; formats are cast by way of float32.

    Args:
        dst, src: tensors with the same number of elements; neither in PSUM.
        priority: 0 to 3 (NeuronCore-v4).
        oob_mode: what happens to a looked-up index out of bounds.
        dge_mode: who generates descriptors; hwdge from NeuronCore-v3, with equal formats.
        engine: who triggers hwdge: sync or scalar.
        name: a name for the instruction.
    """
    core = current_core()
    for role, tensor in (("dst", dst), ("src", src)):
        if need_tensor("dma_copy", role, tensor).buffer is PSUM:
            raise broken_rule(
                f"dma_copy: {role} {tensor.name} is in PSUM",
                limit="DMA moves data between HBM and SBUF",
                hint="copy between PSUM and SBUF with nisa.tensor_copy",
            )
    if dst.size != src.size:
        raise broken_rule(
            f"dma_copy: dst has shape {dst.shape}, src {src.shape}",
            limit=f"the same number of elements; here {dst.size:,} and {src.size:,}",
            hint="slice both sides to the same shape",
        )
    _check_modes(priority, dge_mode, engine, dst, src, core.version)
    indices = (
        *(dst.indirection.indices() if dst.indirection else ()),
        *(src.indirection.indices() if src.indirection else ()),
    )
    handle = core.issue("dma_copy", _dma, (src, *indices), (dst,), {"operands": (src, dst)})
    if core.options.execute:
        _move(dst, src, oob_mode)
    return handle


_dma = engine.dma


def _check_modes(priority, mode, on, dst: NkiTensor, src: NkiTensor, version: nc_version) -> None:  # type: ignore[no-untyped-def]
    if priority is not None and version < nc_version.gen4:
        raise broken_rule(
            "dma_copy: priority", limit="from NeuronCore-v4", generation=version.name, hint="leave it out"
        )
    if priority is not None and priority not in range(4):
        raise broken_rule(f"dma_copy: priority={priority}", limit="0 to 3")
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


def _move(dst: NkiTensor, src: NkiTensor, out_of_bounds: oob_mode) -> None:
    skip = out_of_bounds is oob_mode.skip and (dst.indirection is not None or src.indirection is not None)
    if skip:
        _move_inside(dst, src)
    elif dst.dtype == src.dtype:
        values = raw(src)
        if dst.indirection is None and values.shape == dst.array.shape:
            dst.array[...] = values
        elif dst.indirection is None:
            dst.array[...] = values.reshape(dst.array.shape)
        else:
            store(dst, values)
    else:
        store(dst, as_float32(src))


def _move_inside(dst: NkiTensor, src: NkiTensor) -> None:
    """A gather or scatter that leaves out elements whose index is out of bounds."""
    here, there = _places(src), _places(dst)
    keep = np.ones(src.size, dtype=bool)
    for _, inside in (here, there):
        if inside is not None:
            keep &= inside.reshape(-1)
    source = src.root.reshape(-1).view(src.array.dtype)
    values = source[here[0].reshape(-1)[keep]]
    target = dst.root.reshape(-1).view(dst.array.dtype)
    target[there[0].reshape(-1)[keep]] = round_to(
        values.astype(np.float32) if dst.dtype != src.dtype else values, target.dtype
    )


def _places(tensor: NkiTensor) -> tuple[np.ndarray, np.ndarray | None]:
    if tensor.indirection is not None:
        return tensor.indirection.places(tensor)
    places = np.full(tensor.shape, tensor.offset, dtype=np.int64)
    for dim, (step, count) in enumerate(zip(tensor.strides, tensor.shape, strict=True)):
        places += (np.arange(count) * step).reshape([-1 if at == dim else 1 for at in range(tensor.ndim)])
    return places, None
