"""Cycles of the vector and scalar engines.

The formulas were printed for NeuronCore-v2; the fast modes of v3 and v4 divide them as their architecture guides say.
Source: `nki.isa` pages of the API reference 2.26.1; NKI architecture guides for Trainium2 and Trainium3.
"""

from __future__ import annotations

from course_lib.catalog import NeuronCore
from course_lib.nki.cost.operands import (
    contiguous,
    elements,
    fast_factor,
    in_psum,
    operator_name,
    stride_factor,
    tiles,
    wide,
    written,
)
from course_lib.nki.instruction import Instruction

_SIXTEEN_BIT = ("bfloat16", "float16")


def _at_least(cycles: float, core: NeuronCore) -> float:
    return max(float(core.min_interval_cycles), cycles)


def stream(instruction: Instruction, core: NeuronCore) -> float:
    """max(MIN_II, N), the general rule; N doubles when a tile's innermost stride exceeds 16 bytes.

    Source: architecture guide for Trainium/Inferentia2, "Vector Engine: Cost Model" and "Performance Consideration".
    """
    return _at_least(elements(instruction) * stride_factor(wide(instruction)), core)


def stream_and_read_out(instruction: Instruction, core: NeuronCore) -> float:
    """max(MIN_II, N), and MIN_II more when an accumulation register is read out into a tile of its own.

    Source: `nki.isa.activation`, `activation_reduce`, `tensor_scalar_reduce`, 2.26.1.
    """
    read_out = core.min_interval_cycles if len(instruction.writes) > 1 else 0
    return stream(instruction, core) + read_out


def fast_stream(instruction: Instruction, core: NeuronCore) -> float:
    """max(MIN_II, N / k) with k = 4, 2 or 1 by format, memory and contiguity. A looked-up address: at least 600.

    Source: `nki.isa.tensor_copy`, `tensor_scalar` (2.26.1); "Vector Engine Performance Mode", Trainium2 guide; "Scalar
    Engine: Performance mode", Trainium3 guide.
    """
    cycles = elements(instruction) * stride_factor(wide(instruction)) / fast_factor(instruction, core)
    if instruction.op == "tensor_copy" and any(operand.indirect for operand in tiles(instruction)):
        cycles = max(cycles, core.dynamic_interval_cycles)
    return _at_least(cycles, core)


def two_inputs(instruction: Instruction, core: NeuronCore) -> float:
    """max(MIN_II, N) with one input in PSUM or for packed bfloat16 add, subtract, multiply; max(MIN_II, 2N) otherwise.

    On v3 and v4, 16-bit tiles (v4: 8-bit floats too) that all lie in SBUF take half of that. Source:
    `nki.isa.tensor_tensor`, 2.26.1; Trainium2 guide.
    """
    operands = tiles(instruction)
    count = elements(instruction) * stride_factor(operands)
    inputs = operands[:-1]
    mixed = len({in_psum(operand) for operand in inputs}) == 2
    simple = operator_name(instruction.about.get("op")) in ("add", "subtract", "multiply")
    packed = all(operand.dtype == "bfloat16" for operand in operands) and all(contiguous(one) for one in inputs)
    on_sbuf = not any(in_psum(operand) for operand in inputs)
    cycles = float(count if mixed or (simple and packed and on_sbuf) else 2 * count)
    all_fast = all(operand.dtype in core.vector_fast_formats for operand in operands)
    if all_fast and on_sbuf and instruction.engine.name == "vector":
        cycles /= 2
    return _at_least(cycles, core)


def predicated(instruction: Instruction, core: NeuronCore) -> float:
    """max(MIN_II, N) with source and predicate in different memories; max(MIN_II, 2N) with both in SBUF.

    Source: `nki.isa.tensor_copy_predicated`, 2.26.1.
    """
    operands = tiles(instruction)
    mixed = len({in_psum(operand) for operand in operands[:-1]}) == 2
    return _at_least(elements(instruction) * (1 if mixed else 2), core)


def three_inputs(instruction: Instruction, core: NeuronCore) -> float:
    """2N; N for bfloat16 subtract then multiply with N even. Source: `nki.isa.scalar_tensor_tensor`, 2.26.1."""
    count = elements(instruction) * stride_factor(wide(instruction))
    inputs = wide(instruction)[:-1]
    names = operator_name(instruction.about.get("op0")), operator_name(instruction.about.get("op1"))
    half = names == ("subtract", "multiply") and count % 2 == 0
    quick = half and all(operand.dtype == "bfloat16" for operand in inputs)
    return _at_least(count if quick else 2 * count, core)


def reduce(instruction: Instruction, core: NeuronCore) -> float:
    """N; N / 2 for add or maximum from bfloat16 to bfloat16. Source: `nki.isa.tensor_reduce`, 2.26.1."""
    count = elements(instruction) * stride_factor(wide(instruction))
    operands = tiles(instruction)
    name = operator_name(instruction.about.get("op"))
    quick = name in ("add", "maximum") and bool(operands) and all(one.dtype == "bfloat16" for one in operands)
    return _at_least(count / 2 if quick else count, core)


def scan(instruction: Instruction, core: NeuronCore) -> float:
    """max(MIN_II, 2N). Source: `nki.isa.tensor_tensor_scan`, 2.26.1."""
    return _at_least(2 * written(instruction), core)


def reciprocal(instruction: Instruction, core: NeuronCore) -> float:
    """max(MIN_II, 8N) on the vector engine; max(MIN_II, N) on the scalar engine. Source: `nki.isa.reciprocal`."""
    return _at_least(elements(instruction) * (1 if instruction.engine.name == "scalar" else 8), core)


def fill(instruction: Instruction, core: NeuronCore) -> float:
    """max(MIN_II, N); max(MIN_II, N / 2) for zeros of bfloat16 or float16. Source: `nki.isa.memset`, 2.26.1."""
    count = elements(instruction) * stride_factor(tiles(instruction))
    zero = instruction.about.get("value", 1) == 0
    half = zero and all(operand.dtype in _SIXTEEN_BIT for operand in tiles(instruction))
    return _at_least(count / 2 if half else count, core)


def bn_aggregate(instruction: Instruction, core: NeuronCore) -> float:
    """max(MIN_II, 13 N / 3). Source: `nki.isa.bn_aggr`, 2.26.1."""
    return _at_least(13 * elements(instruction) / 3, core)


def four_at_a_time(instruction: Instruction, core: NeuronCore) -> float:
    """max(MIN_II, N / 4): exponential, quantize_mx and rand2 take four elements of a partition in a cycle.

    Source: architecture guide for Trainium3.
    """
    return _at_least(elements(instruction) / 4, core)


def control(instruction: Instruction, core: NeuronCore) -> float:
    """MIN_II: what streams no tile, such as a barrier or a register operation."""
    return float(core.min_interval_cycles)
