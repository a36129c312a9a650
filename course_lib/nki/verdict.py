"""What a kernel computes, the peak to hold it against, and what holds it up, in words.

The thresholds are those of the documentation: an engine that is busy 90 % of the time makes a kernel compute-bound.
Source: NKI performance guide 2.32; Opt #4, #5 and #9 for the advice.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from course_lib.catalog import NeuronCore
from course_lib.nki.cost.operands import per_partition, tiles
from course_lib.nki.instruction import Instruction
from course_lib.nki.schedule import COMPUTE, NO_CAUSE, Schedule

BUSY = 0.9
MOSTLY_BUSY = 0.7
GOOD_DESCRIPTOR_BYTES = 2048
_LANES = 128
_MOVES = ("tensor_copy", "memset", "nc_transpose", "iota", "tensor_copy_predicated", "nc_stream_shuffle")
_FORMATS = {"float32": "fp32", "tfloat32": "tf32", "float16": "fp16", "bfloat16": "bf16"}
_TITLES = {"tensor": "tensor", "vector": "vector", "scalar": "scalar", "gpsimd": "GpSimd", "sync": "sync"}


class Work(NamedTuple):
    """Operations of a kernel and the peak to compare with.

    Attributes:
        operations: floating-point operations.
        peak_flops_per_s: the peak rate.
        peak_name: what it is.
    """

    operations: float
    peak_flops_per_s: float
    peak_name: str


def work_of(instructions: list[Instruction], core: NeuronCore) -> Work:
    """Counts operations: those of the matmuls (transposes are none); without matmuls, one for each element computed."""
    by_format: dict[str, float] = {}
    elementwise = 0.0
    for made in instructions:
        if made.op in ("nc_matmul", "nc_matmul_mx"):
            if not made.about.get("transpose"):
                name = _format(made)
                by_format[name] = by_format.get(name, 0.0) + _matmul_operations(made)
        elif made.engine.name in COMPUTE and made.op not in _MOVES:
            found = tiles(made)
            largest = max((operand.shape[0] * per_partition(operand) for operand in found), default=0)
            elementwise += largest
    if by_format:
        name = max(by_format, key=by_format.__getitem__)
        rates: dict[str, float] = {str(known): rate for known, rate in core.peak_tflops.items()}
        rate = rates.get(name, rates["bf16"] * (2 if name == "fp8" else 1))
        return Work(sum(by_format.values()), rate * 1e12, f"tensor engine, {name}")
    lanes = core.vector_fast_elements_per_cycle * core.vector_ghz + _LANES * core.gpsimd_ghz
    lanes += core.scalar_fast_elements_per_cycle * core.scalar_ghz
    return Work(elementwise, lanes * 1e9, "vector, scalar and GpSimd engines at one operation for each element")


def _format(made: Instruction) -> str:
    if made.op == "nc_matmul_mx":
        return "mxfp8"
    if made.about.get("double_row"):
        return "fp8"
    found = tiles(made)
    return _FORMATS.get(found[0].dtype, "bf16") if found else "bf16"


def _matmul_operations(made: Instruction) -> float:
    about = made.about
    if "flops" in about:
        return float(about["flops"])
    return 2.0 * math.prod(int(about[size]) for size in ("k", "m", "n"))


def bottleneck(plan: Schedule, core: NeuronCore, busy: dict[str, float]) -> str:
    """What makes the kernel as long as it is, in words.

    Args:
        plan: the schedule.
        core: the NeuronCore's facts.
        busy: engine, or `dma` → busy fraction.
    """
    if not plan.start:
        return "Nothing runs."
    compute = {name: share for name, share in busy.items() if name != "dma"}
    top = max(compute, key=compute.__getitem__)
    moved = busy.get("dma", 0.0)
    if compute[top] >= BUSY:
        text = f"the {_TITLES.get(top, top)} engine is busy {compute[top]:.0%} of the time"
        if moved >= BUSY:
            return f"Balanced: {text}, the DMA engines {moved:.0%}{_dma_advice(plan, core)}."
        return f"Compute-bound: {text}."
    if moved >= BUSY:
        return f"Bound by data movement: the DMA engines are busy {moved:.0%} of the time{_dma_advice(plan, core)}."
    parts = _critical_shares(plan)
    largest = sorted(parts.items(), key=lambda part: part[1], reverse=True)[:3]
    listed = ", ".join(f"{share:.0%} {name}" for name, share in largest if share >= 0.01)
    busiest = max(busy, key=busy.__getitem__)
    who = "The DMA engines are" if busiest == "dma" else f"The {_TITLES.get(busiest, busiest)} engine is"
    kind = "Bound by waiting: no engine is busy all the time"
    if busy[busiest] >= MOSTLY_BUSY:
        kind = "Mostly bound by data movement" if busiest == "dma" else "Mostly compute-bound"
    text = f"{kind}. {who} busiest, {busy[busiest]:.0%} of the time. "
    return f"{text}The critical path: {listed}{_wait_advice(largest[0][0])}."


def _dma_advice(plan: Schedule, core: NeuronCore) -> str:
    bytes_ = sum(transfer.bytes_ for transfer in plan.transfers.values())
    rate = bytes_ / (plan.dma_busy * core.dma_bytes_per_ns) if plan.dma_busy else 0.0
    count = sum(transfer.bytes_ / transfer.descriptor_bytes for transfer in plan.transfers.values() if transfer.bytes_)
    mean = bytes_ / count if count else 0.0
    text = f" and move data at {rate:.0%} of their rate"
    if mean < GOOD_DESCRIPTOR_BYTES:
        good = f"{GOOD_DESCRIPTOR_BYTES:,} or more are good"
        return f"{text}: a descriptor carries {mean:,.0f} bytes on average, where {good}"
    return f"{text}; only fewer bytes make this kernel faster"


def _wait_advice(name: str) -> str:
    if name == "waiting for DMA to start":
        return "; load earlier, or more in one transfer"
    if name == "between dependent instructions":
        return "; give the engines larger tiles, or independent work in between"
    return ""


def critical_path(plan: Schedule) -> list[int]:
    """The chain of instructions that ends last, first to last; each was let go by the one before it."""
    if not plan.end:
        return []
    at = max(range(len(plan.end)), key=plan.end.__getitem__)
    chain = []
    while at != NO_CAUSE:
        chain.append(at)
        at = plan.cause[at]
    return chain[::-1]


def _critical_shares(plan: Schedule) -> dict[str, float]:
    """Parts of the critical path, as fractions of the total."""
    parts: dict[str, float] = {}
    reached = 0.0

    def add(name: str, nanoseconds: float) -> None:
        parts[name] = parts.get(name, 0.0) + nanoseconds / plan.total

    for index in critical_path(plan):
        fresh = plan.end[index] - reached
        if fresh <= 0:
            continue
        runs = min(fresh, plan.end[index] - plan.start[index])
        gap = fresh - runs
        transfer = plan.transfers.get(index)
        if transfer is None:
            add(f"on the {_TITLES.get(plan.queue[index], plan.queue[index])} engine", runs)
            add("between dependent instructions", gap)
        else:
            add("moving data", runs + max(0.0, gap - transfer.start_ns))
            add("waiting for DMA to start", min(gap, transfer.start_ns))
        reached = plan.end[index]
    return parts
