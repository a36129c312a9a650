"""What a DMA transfer costs: a start, then descriptors that up to 16 engines work off side by side.

A descriptor moves bytes that are contiguous on both sides, at most one partition's. Source: NKI DMA bandwidth guide,
NKI DMA overview (chart of throughput over bytes per partition; example of 32 KiB in 1416 ns), Trainium2 guide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from course_lib.catalog import NeuronCore
from course_lib.nki.constants import MemoryRegion
from course_lib.nki.cost.operands import contiguous_run, tiles
from course_lib.nki.instruction import Instruction, Operand

# A contiguous stretch of HBM is cut so that every engine gets a part worth its start.
_LARGEST_DESCRIPTOR_BYTES = 65536
_HBM_PIECE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Transfer:
    """Cost of one DMA instruction.

    Attributes:
        engines: DMA engines that take part.
        engine_ns: nanoseconds that each of them is busy.
        start_ns: nanoseconds before they start.
        issue_ns: nanoseconds before the next instruction of the same queue can be issued.
        bytes_: bytes moved.
        descriptor_bytes: bytes that a descriptor moves on average.
        hbm_read, hbm_written: bytes that cross HBM.
        efficiency: rate of each engine as a fraction of its full rate.
    """

    engines: int
    engine_ns: float
    start_ns: float
    issue_ns: float
    bytes_: int
    descriptor_bytes: float
    hbm_read: int
    hbm_written: int
    efficiency: float


def dma_transfer(instruction: Instruction, core: NeuronCore) -> Transfer:
    """Cost of a DMA instruction: 1300 ns to start, then ceil(P / 8) engines, 16 at most, each at its documented rate.

    A descriptor of b bytes takes as long as max(2480, b + 140) bytes at the full rate: it follows the documentation's
    chart (0.2 of the peak at 512 bytes, 0.8 at 2 KiB, 0.97 at 4 KiB). A DMA transpose runs at 0.9 (from HBM) or 0.5
    (from SBUF) of a copy; arithmetic in flight at half of it before NeuronCore-v4. Generating descriptors in hardware
    takes 600 ns for each instruction; what the software way takes is not published and counts nothing.

    Args:
        instruction: one that runs on the DMA engines; its "operands" are the sources, then the destination.
        core: the NeuronCore's facts.
    """
    operands = tiles(instruction)
    if not operands:
        return Transfer(1, 0.0, core.dma_start_ns, 0.0, 0, 0.0, 0, 0, 0.0)
    target = operands[-1]
    # An index tile is among the reads but tells where to move, not what.
    sources = [operand for operand in operands[:-1] if math.prod(operand.shape) >= _elements(target)] or operands[:1]
    bytes_ = sum(max(_bytes(source), _elements(source) * target.dtype.itemsize) for source in sources)
    width = bytes_ / sum(_elements(source) for source in sources)
    run = min(contiguous_run(operand) for operand in (*sources, target))
    if instruction.op == "dma_transpose":  # the hardware turns blocks; its share of a copy's rate is documented
        run = contiguous_run(sources[0] if _in_hbm(target) else target)
    descriptor = min(run * width, _LARGEST_DESCRIPTOR_BYTES)
    engines = _engines(sources, target, bytes_, core)
    descriptor = min(descriptor, bytes_ / engines)
    taken = max(core.dma_descriptor_floor_bytes, descriptor + core.dma_descriptor_extra_bytes)
    share = _share(instruction, sources, core)
    per_engine = math.ceil(bytes_ / descriptor / engines)
    engine_ns = per_engine * taken / core.dma_bytes_per_ns / share
    return Transfer(
        engines=engines,
        engine_ns=engine_ns,
        start_ns=core.dma_start_ns,
        issue_ns=(core.hardware_dge_ns or 0.0) if instruction.about.get("dge") == "hwdge" else 0.0,
        bytes_=int(bytes_),
        descriptor_bytes=descriptor,
        hbm_read=sum(_bytes(source) for source in sources if _in_hbm(source)),
        hbm_written=_bytes(target) if _in_hbm(target) else 0,
        efficiency=descriptor / taken * share,
    )


def _engines(sources: list[Operand], target: Operand, bytes_: float, core: NeuronCore) -> int:
    partitions = [operand.shape[0] for operand in (*sources, target) if not _in_hbm(operand)]
    if partitions:
        return min(core.dma_engines, math.ceil(max(partitions) / core.dma_partitions_per_engine))
    return max(1, min(core.dma_engines, int(bytes_ // _HBM_PIECE_BYTES)))


def _share(instruction: Instruction, sources: list[Operand], core: NeuronCore) -> float:
    if instruction.op == "dma_transpose":
        return core.dma_transpose_hbm_share if _in_hbm(sources[0]) else core.dma_transpose_sbuf_share
    if instruction.op == "dma_compute" and core.version < 4:
        return 0.5
    return 1.0


def _in_hbm(operand: Operand) -> bool:
    return operand.buffer in (MemoryRegion.private_hbm, MemoryRegion.shared_hbm)


def _elements(operand: Operand) -> int:
    return math.prod(operand.shape)


def _bytes(operand: Operand) -> int:
    return math.prod(operand.shape) * operand.dtype.itemsize
