"""Cycles of the GpSimd engine: a start of about 150 cycles, then the elements.

Source: `nki.isa` pages of the API reference 2.26.1 (iota, affine_select, local_gather) and 2.32 (topk).
"""

from __future__ import annotations

from course_lib.catalog import NeuronCore
from course_lib.nki.cost.operands import elements, per_partition, tiles, written
from course_lib.nki.instruction import Instruction

_GATHER_COST = 28
_GATHER_T = 4
_PARTITIONS_OF_A_CORE = 16


def start_and_stream(instruction: Instruction, core: NeuronCore) -> float:
    """150 + N. Source: `nki.isa.iota`, `affine_select`, 2.26.1."""
    return core.gpsimd_start_cycles + elements(instruction)


def gather(instruction: Instruction, core: NeuronCore) -> float:
    """150 for each of its hardware instructions, one for 512 results, and N, the elements of the result."""
    count = int(instruction.about.get("instructions", 1))
    return core.gpsimd_start_cycles * count + written(instruction)


def local_gather(instruction: Instruction, core: NeuronCore) -> float:
    """150 + indices * e / C with C = ((28 + 4e) / 4e) / min(4 / bytes, e), e elements for each index.

    Source: `nki.isa.local_gather`, 2.26.1.
    """
    operands = tiles(instruction)
    each = max(1, int(instruction.about.get("elements_per_index", 1)))
    indices = int(instruction.about.get("indices", written(instruction) // each))
    size = operands[0].dtype.itemsize if operands else 4
    rate = ((_GATHER_COST + _GATHER_T * each) / (_GATHER_T * each)) / min(4 / size, each)
    return core.gpsimd_start_cycles + indices * each / rate


def topk(instruction: Instruction, core: NeuronCore) -> float:
    """4n + K, n elements of the 16 partitions that hold one input, K results. Source: `nki.isa.topk`, 2.32."""
    operands = tiles(instruction)
    source, kept = operands[0], operands[-1]
    count = instruction.about.get("n") or per_partition(source) * min(_PARTITIONS_OF_A_CORE, source.shape[0])
    return 4 * count + per_partition(kept)
