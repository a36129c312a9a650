"""What an instruction costs on its engine, by the documented formulas; what a DMA transfer costs is in `dma`.

Every rule names its page. An instruction for which no page prints a formula gets the general rule and says so.
Source: NKI API reference 2.26.1 (the last that prints costs) and 2.32, NKI architecture guides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from course_lib.catalog import NeuronCore
from course_lib.nki.cost import gpsimd, tensor_engine, vector_engine
from course_lib.nki.cost.dma import Transfer, dma_transfer
from course_lib.nki.instruction import Instruction

__all__ = ["Price", "Transfer", "cycles", "dma_transfer", "documented", "price", "priced"]

Rule = Callable[[Instruction, NeuronCore], float]

# What runs on the vector and scalar engines; GpSimd adds its start when it takes one of these over.
_STREAMED: dict[str, Rule] = {
    "activation": vector_engine.stream_and_read_out,
    "activation_reduce": vector_engine.stream_and_read_out,
    "activate2": vector_engine.stream_and_read_out,
    "exponential": vector_engine.four_at_a_time,
    "tensor_tensor": vector_engine.two_inputs,
    "tensor_scalar": vector_engine.fast_stream,
    "tensor_copy": vector_engine.fast_stream,
    "scalar_tensor_tensor": vector_engine.three_inputs,
    "tensor_reduce": vector_engine.reduce,
    "tensor_tensor_scan": vector_engine.scan,
    "tensor_scalar_reduce": vector_engine.stream_and_read_out,
    "tensor_copy_predicated": vector_engine.predicated,
    "memset": vector_engine.fill,
    "reciprocal": vector_engine.reciprocal,
    "bn_stats": vector_engine.stream,
    "bn_aggr": vector_engine.bn_aggregate,
    "range_select": vector_engine.stream_and_read_out,
    "dropout": vector_engine.stream,
    "nc_stream_shuffle": vector_engine.stream,
    "max8": vector_engine.stream,
    "nc_find_index8": vector_engine.stream,
    "nc_match_replace8": vector_engine.stream,
    "quantize_mx": vector_engine.four_at_a_time,
    "rand2": vector_engine.four_at_a_time,
}
_OWN: dict[str, Rule] = {
    "nc_matmul": tensor_engine.matmul,
    "nc_matmul_mx": tensor_engine.matmul,
    "nc_transpose": tensor_engine.transpose,
    "iota": gpsimd.start_and_stream,
    "affine_select": gpsimd.start_and_stream,
    "local_gather": gpsimd.local_gather,
    "topk": gpsimd.topk,
}
# No page prints a cost for these; the rule is the nearest that one does print.
_NEAREST: dict[str, Rule] = {
    "tensor_scalar_cumulative": vector_engine.scan,
    "select_reduce": vector_engine.stream_and_read_out,
    "rng": vector_engine.stream,
    "nc_n_gather": gpsimd.gather,
    "core_barrier": vector_engine.control,
    "register_move": vector_engine.control,
    "register_load": vector_engine.control,
    "register_store": vector_engine.control,
    "sequence_bounds": gpsimd.start_and_stream,
    "nonzero_with_count": gpsimd.start_and_stream,
    "tensor_partition_reduce": gpsimd.start_and_stream,
}


class Price(NamedTuple):
    """Cycles of an instruction's own engine.

    Attributes:
        cycles: from its start until the engine can start the next one.
        estimated: whether no page prints a formula for it, so that a general rule stands in.
    """

    cycles: float
    estimated: bool


def price(instruction: Instruction, core: NeuronCore) -> Price:
    """Cycles of one instruction, and whether they are documented.

    Args:
        instruction: as recorded, not a DMA transfer.
        core: the NeuronCore's facts.
    """
    op = instruction.op
    own = _OWN.get(op)
    if own is not None:
        return Price(own(instruction, core), False)
    streamed = _STREAMED.get(op)
    if streamed is not None:
        if instruction.engine.name == "gpsimd":
            return Price(core.gpsimd_start_cycles + streamed(instruction, core), True)
        return Price(streamed(instruction, core), False)
    return Price(_NEAREST.get(op, vector_engine.stream)(instruction, core), True)


def priced() -> tuple[str, ...]:
    """Instructions that have a rule, documented or nearest; all others get the general one."""
    return (*_STREAMED, *_OWN, *_NEAREST)


def documented() -> tuple[str, ...]:
    """Instructions whose rule is a formula that the documentation prints."""
    return (*_STREAMED, *_OWN)


def cycles(instruction: Instruction, core: NeuronCore) -> float:
    """Cycles that an instruction keeps its engine busy: the initiation interval of many like it.

    Args:
        instruction: as recorded, not a DMA transfer (see `dma_transfer`).
        core: the NeuronCore's facts, `course_lib.catalog.neuron_core("gen3")`.

    Source: the rule of each instruction names its page.
    """
    return price(instruction, core).cycles
