"""Questions that cost rules ask about an instruction's tiles: how many elements, which formats, how contiguous.

Source: NKI architecture guides 2.32, "Performance Consideration" and "Vector Engine Performance Mode".
"""

from __future__ import annotations

import math
from typing import Any

from course_lib.catalog import NeuronCore
from course_lib.nki.constants import MemoryRegion
from course_lib.nki.instruction import Instruction, Operand

WIDEST_FULL_RATE_STRIDE_BYTES = 16


def tiles(instruction: Instruction) -> list[Operand]:
    """The instruction's tiles, inputs first and the result last; constants are left out."""
    return [operand for operand in instruction.about.get("operands", ()) if isinstance(operand, Operand)]


def per_partition(operand: Operand) -> int:
    """Elements behind each partition."""
    return math.prod(operand.shape[1:])


def elements(instruction: Instruction) -> int:
    """N of the documented formulas: elements per partition of the largest tile."""
    found = [per_partition(operand) for operand in tiles(instruction)]
    return max(found, default=0) or int(instruction.about.get("elements", 1))


def written(instruction: Instruction) -> int:
    """Elements per partition of the result."""
    found = tiles(instruction)
    return per_partition(found[-1]) if found else int(instruction.about.get("elements", 1))


def wide(instruction: Instruction) -> list[Operand]:
    """The tiles that stream: all but the (P, 1) operands of a longer instruction."""
    found = tiles(instruction)
    if all(per_partition(operand) == 1 for operand in found):
        return found
    return [operand for operand in found if per_partition(operand) > 1]


def inner_stride(operand: Operand) -> int:
    """Elements from one to the next along the innermost dimension that has several; 1 when there is one only."""
    if operand.indirect:
        return 1
    for size, stride in zip(reversed(operand.shape[1:]), reversed(operand.strides[1:]), strict=True):
        if size > 1:
            return stride
    return 1


def contiguous(operand: Operand) -> bool:
    """Whether the innermost dimension is packed."""
    return inner_stride(operand) == 1


def stride_factor(operands: list[Operand]) -> int:
    """2 when a tile's innermost stride exceeds 16 bytes, which halves the rate of SBUF and PSUM; else 1."""
    for operand in operands:
        if abs(inner_stride(operand)) * operand.dtype.itemsize > WIDEST_FULL_RATE_STRIDE_BYTES:
            return 2
    return 1


def in_psum(operand: Operand) -> bool:
    """Whether a tile lies in PSUM."""
    return operand.buffer is MemoryRegion.psum


def fast_factor(instruction: Instruction, core: NeuronCore) -> int:
    """How many times faster a copy or tensor_scalar runs in the automatic 16-bit mode: 4, 2 or 1.

    4 with both tiles in SBUF and packed; 2 with both in SBUF, or with one of them in PSUM and both packed. The scalar
    engine, where it has the mode, gets 2 at most.
    """
    on_scalar = instruction.engine.name == "scalar"
    formats = core.scalar_fast_formats if on_scalar else core.vector_fast_formats
    found = wide(instruction)
    if not found or instruction.engine.name == "gpsimd" or any(operand.dtype not in formats for operand in found):
        return 1
    psum = sum(in_psum(operand) for operand in found)
    packed = all(contiguous(operand) for operand in found)
    factor = (4 if packed else 2) if psum == 0 else 2 if psum == 1 and packed else 1
    return min(factor, 2) if on_scalar else factor


def operator_name(value: Any) -> str:
    """Name of an operator, given as a name or as the operator itself."""
    return value if isinstance(value, str) else getattr(value, "name", "")


def contiguous_run(operand: Operand) -> int:
    """Elements that lie side by side in memory; on chip, within one partition.

    Of an indirect view, the innermost dimension: whole rows are looked up.
    """
    if operand.indirect:
        return operand.shape[-1]
    first = 0 if operand.buffer in (MemoryRegion.private_hbm, MemoryRegion.shared_hbm) else 1
    run = 1
    for size, stride in zip(reversed(operand.shape[first:]), reversed(operand.strides[first:]), strict=True):
        if size == 1:
            continue
        if stride != run:
            break
        run *= size
    return run
