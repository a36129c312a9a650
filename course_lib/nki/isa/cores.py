"""Instructions between the two cores of a logical core: barriers and exchange of tiles.

Source: Neuron documentation 2.32, `nki.isa.core_barrier`, `nki.isa.sendrecv`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from course_lib.nki.constants import MemoryRegion, dma_engine, engine, nc_version
from course_lib.nki.errors import broken_rule
from course_lib.nki.isa.rules import SBUF, need_buffer, need_tensor
from course_lib.nki.launch import Launch
from course_lib.nki.session import Core, NkiInstruction, current_core
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import raw, store

_GPSIMD_ELEMENTS = 256  # of one partition: 1024 bytes of 32-bit, 512 of 16-bit, 256 of 8-bit elements


def core_barrier(
    data: NkiTensor, cores: Any, engine: engine = engine.gpsimd, name: str | None = None
) -> NkiInstruction:
    """Waits until all cores have come here; afterwards each sees what the others wrote to shared HBM.

    Args:
        data: the shared HBM tensor that the cores wait for.
        cores: (0, 1), or (0,) for a kernel on one core.
        engine: which engine waits.
        name: a name for the instruction.

    Raises:
        NkiValidationError: before NeuronCore-v3, for memory that is not shared, or when a core never comes.
    """
    core = current_core()
    need_tensor("core_barrier", "data", data)
    _need_gen3("core_barrier", core)
    wanted = tuple(int(number) for number in cores)
    if wanted == (0,) and core.launch is None:
        return core.issue("core_barrier", engine, (), (), {"operands": (data,), "cores": 1})
    launch = _need_launch("core_barrier", core)
    if wanted != (0, 1):
        raise broken_rule(f"core_barrier: cores={wanted}", limit="(0, 1)")
    # Published kernels also wait on a tile of their own, which holds up both cores all the same.
    if data.buffer not in (MemoryRegion.shared_hbm, MemoryRegion.sbuf):
        raise broken_rule(
            f"core_barrier: data {data.name} is in {data.buffer.value}",
            limit="memory that the cores share",
            hint="allocate it with buffer=nl.shared_hbm",
        )
    handle = core.issue("core_barrier", engine, (), (), {"operands": (data,), "cores": launch.cores})
    launch.barrier(core)
    return handle


def sendrecv(
    src: NkiTensor,
    dst: NkiTensor,
    send_to_rank: Any,
    recv_from_rank: Any,
    pipe_id: int,
    dma_engine: dma_engine = dma_engine.dma,
    name: str | None = None,
) -> NkiInstruction:
    """Sends a tile to one core and receives one from another, at the same time.

    Args:
        src: SBUF tile to send.
        dst: SBUF tile to receive into, of the same shape and format.
        send_to_rank, recv_from_rank: 0 or 1.
        pipe_id: calls with the same number belong together.
        dma_engine: dma, or gpsimd_dma for at most 256 elements of each partition.
        name: a name for the instruction.

    Raises:
        NkiValidationError: before NeuronCore-v3, for tiles that don't fit, or when the other core never sends.
    """
    core = current_core()
    for role, tile in (("src", src), ("dst", dst)):
        need_buffer("sendrecv", role, need_tensor("sendrecv", role, tile), SBUF, "copy it there with nisa.tensor_copy")
    _need_gen3("sendrecv", core)
    launch = _need_launch("sendrecv", core)
    to, sender = int(send_to_rank), int(recv_from_rank)
    for role, number in (("send_to_rank", to), ("recv_from_rank", sender)):
        if number not in range(launch.cores):
            raise broken_rule(f"sendrecv: {role}={number}", limit="0 or 1")
    if src.dtype != dst.dtype or src.shape != dst.shape:
        raise broken_rule(
            f"sendrecv: src is {src.shape} {src.dtype}, dst {dst.shape} {dst.dtype}", limit="the same shape and format"
        )
    on = _engine_of(dma_engine, src)
    about = {"elements": src.size // src.shape[0], "operands": (src, dst), "pipe": pipe_id}
    handle = core.issue("sendrecv", on, (src,), (dst,), about)
    sent = raw(src).copy() if core.options.execute else np.empty(0)
    theirs = launch.exchange(f"pipe_id={pipe_id}", core, (to, src.shape, src.dtype, sent), sender)
    if theirs[0] != core.program_id:
        raise broken_rule(
            f"sendrecv: core {core.program_id} receives from core {sender}, which sends to core {theirs[0]}",
            limit="one core's send_to_rank is the other's recv_from_rank",
            hint="use 1 - nl.program_id(0) for both",
        )
    if theirs[1:3] != (dst.shape, dst.dtype):
        raise broken_rule(
            f"sendrecv: core {core.program_id} receives {theirs[1]} {theirs[2]} from core {sender} into {dst.shape} "
            f"{dst.dtype}",
            limit="the same shape and format on both cores",
        )
    if core.options.execute:
        store(dst, theirs[3])
    return handle


_dma, _gpsimd = dma_engine.dma, dma_engine.gpsimd_dma


def _engine_of(choice: Any, src: NkiTensor) -> engine:
    if choice is _dma:
        return engine.dma
    if choice is not _gpsimd:
        raise broken_rule(f"sendrecv: dma_engine={choice!r}", limit="nisa.dma_engine.dma or nisa.dma_engine.gpsimd_dma")
    count = math.prod(src.shape[1:])
    if count > _GPSIMD_ELEMENTS:
        raise broken_rule(
            f"sendrecv: {count * src.dtype.itemsize:,} bytes of each partition with gpsimd_dma",
            limit=f"{_GPSIMD_ELEMENTS * src.dtype.itemsize:,} bytes for {src.dtype}",
            hint="send it in parts, or use nisa.dma_engine.dma",
        )
    return engine.gpsimd


def _need_gen3(op: str, core: Core) -> None:
    if core.version < nc_version.gen3:
        raise broken_rule(f"nisa.{op}", limit="from NeuronCore-v3", generation=core.version.name)


def _need_launch(op: str, core: Core) -> Launch:
    if core.launch is None:
        raise broken_rule(
            f"nisa.{op} in a kernel on one core",
            limit="a logical core of two physical cores (LNC2)",
            hint="run it as kernel[2](...)",
        )
    return core.launch
