"""Cycles of the tensor engine.

Source: NKI architecture guide for Trainium/Inferentia2, "Tensor Engine: Cost Model"; `nki.isa.nc_matmul` and
`nc_transpose` of the API reference 2.26.1.
"""

from __future__ import annotations

import math

from course_lib.catalog import NeuronCore
from course_lib.nki.cost.operands import elements, stride_factor, tiles
from course_lib.nki.instruction import Instruction

_ARRAY = 128


def matmul(instruction: Instruction, core: NeuronCore) -> float:
    """max(columns of moving, 64), four times that for float32.

    The next stationary matrix streams in behind a running matmul, up to 4 times as fast as a moving one, so it costs
    nothing unless it takes longer. A tile that fills only part of the array (`tile_size`) shares it with others and is
    charged its share. A float32 operand of zeros and ones halves the passes. Source: architecture guide; arguments
    `is_stationary_onezero` and `tile_size` in the API reference.
    """
    about = instruction.about
    columns, rows = int(about["n"]), int(about["m"])
    operands = tiles(instruction)
    if about.get("transpose"):
        return max(columns, min(core.matmul_interval_cycles, rows))
    interval = max(columns * stride_factor(operands[1:2]), core.matmul_interval_cycles)
    load = rows / core.load_stationary_speedup
    passes = 1.0
    if operands and operands[0].dtype == "float32":
        passes = core.fp32_matmul_passes / (2 if about.get("onezero") else 1)
    size = about.get("tile_size") or (_ARRAY, _ARRAY)
    share = math.prod(size) / _ARRAY**2
    return max(interval, load) * passes * share


def transpose(instruction: Instruction, core: NeuronCore) -> float:
    """Tensor engine: max(P, min(64, F)); vector engine: max(MIN_II, N). Source: `nki.isa.nc_transpose`, 2.26.1."""
    if instruction.engine.name != "tensor":
        return max(core.min_interval_cycles, elements(instruction))
    operands = tiles(instruction)
    partitions, free = operands[0].shape[0], math.prod(operands[0].shape[1:])
    return max(partitions, min(core.matmul_interval_cycles, free))
