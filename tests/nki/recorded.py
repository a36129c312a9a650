"""Hand-made records of instructions, for tests of the cost model that need no kernel."""

from __future__ import annotations

from typing import Any

import numpy as np

from course_lib.nki.constants import MemoryRegion, engine
from course_lib.nki.dtypes import as_dtype
from course_lib.nki.instruction import Access, Instruction, Operand
from course_lib.nki.storage import Storage


def tile(shape: tuple[int, ...], dtype: str = "float32", where: str = "sbuf", stride: int = 1, indirect: bool = False):
    """A tile whose innermost elements lie `stride` elements apart."""
    made = as_dtype(dtype)
    region = MemoryRegion(where)
    storage = Storage(shape, made, region, np.empty(0), "tile", "")
    strides = [stride]
    for size in shape[:0:-1]:
        strides.append(strides[-1] * size)
    return Operand(shape, made, tuple(reversed(strides)), region, storage, indirect)


def instruction(op: str, on: str, *operands: Operand, outputs: int = 1, **about: Any) -> Instruction:
    """An instruction on `operands`, the result last; `outputs` counts the tiles that it writes."""
    boxes = [Access(operand.storage, 0, operand.shape[0] - 1, 0, 3) for operand in operands]
    reads, writes = tuple(boxes[:-1]), tuple(boxes[-1:]) * outputs
    return Instruction(0, op, engine[on], reads, writes, "kernel.py:1", {"operands": operands, **about})
