"""NeuronCores: what one physical core of each generation has, as the NKI documentation states it.

Chip-level rates stand in `accelerators.toml`; they are not these times the number of cores: quote each with its source.
"""

from collections.abc import Mapping
from dataclasses import field
from functools import cache
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from course_lib.catalog.accelerators import Dtype
from course_lib.catalog.loader import load_toml
from course_lib.catalog.lookup import find, index_names
from course_lib.catalog.schema import ROW, Count, Date, Positive, Text

FILE = "neuron_cores.toml"


@dataclass(frozen=True, config=ROW)
class NeuronCore:
    """One physical core.

    Args:
        name: key, `gen2`, `gen3` or `gen4`, as the NKI compiler spells its target.
        title: as a reader knows it, e.g. `NeuronCore-v3`.
        version: the number in the title.
        chips: instance families whose chips hold such cores.
        sbuf_partition_bytes: state buffer behind one of the 128 partitions.
        psum_partition_bytes: accumulation buffer behind one partition.
        psum_banks: banks that divide it.
        tensor_ghz, vector_ghz, scalar_ghz, gpsimd_ghz: clock of each engine, 1e9 cycles per second.
        peak_tflops: number format → dense peak of the tensor engine, 1e12 operations per second.
        dma_engines: DMA engines that serve the core.
        dma_bytes_per_ns: what one of them achieves, bytes per nanosecond.
        matmul_moving_elements_fp32: most columns of a moving operand when the result is float32.
        matmul_moving_elements_bf16: the same for a bfloat16 result; None where there is none.
        vector_elements_per_cycle, scalar_elements_per_cycle: elements that the engine takes in a cycle, all partitions,
            in formats that have no fast mode.
        vector_fast_elements_per_cycle, scalar_fast_elements_per_cycle: the same in `vector_fast_formats` and
            `scalar_fast_formats`, the formats (as NKI names them) of the automatic fast modes.
        shared_ports: pairs of engines that wait for each other, and the memory that they share: `vector gpsimd sbuf`.
        min_interval_cycles: fewest cycles between two instructions of one engine (MIN_II).
        dynamic_interval_cycles: the same when an address is looked up at run time.
        gpsimd_start_cycles: what each GpSimd instruction pays before its first element.
        access_cycles: from the request for a tile in SBUF or PSUM to its first element.
        dependent_cycles: what an instruction pays that needs the result of the one just before it.
        matmul_interval_cycles: fewest cycles between two matmuls.
        load_stationary_speedup: how much faster the stationary matrix streams in than a moving one of its size.
        fp32_matmul_passes: passes of the tensor engine for a float32 matmul.
        dma_start_ns: from semaphore to the start of a DMA transfer, nanoseconds.
        dma_partitions_per_engine: SBUF partitions that one DMA engine serves.
        dma_descriptor_floor_bytes, dma_descriptor_extra_bytes: a descriptor of b bytes takes as long as
            max(floor, b + extra) bytes at the full rate; read off the documentation's chart.
        dma_transpose_hbm_share, dma_transpose_sbuf_share: throughput of a DMA transpose from HBM and SBUF as a share of
            a copy's.
        hardware_dge_ns: what the hardware descriptor generator takes for one DMA instruction; None where there is none.
        notes: what a reader must know before using the row.
        source: where the figures were read.
        date: the day on which the source said so.
    """

    name: Text
    title: Text
    version: Annotated[int, Field(ge=2)]
    chips: tuple[Text, ...]
    sbuf_partition_bytes: Count
    psum_partition_bytes: Count
    psum_banks: Count
    tensor_ghz: Positive
    vector_ghz: Positive
    scalar_ghz: Positive
    gpsimd_ghz: Positive
    dma_engines: Count
    dma_bytes_per_ns: Positive
    matmul_moving_elements_fp32: Count
    vector_elements_per_cycle: Count
    vector_fast_elements_per_cycle: Count
    scalar_elements_per_cycle: Count
    scalar_fast_elements_per_cycle: Count
    min_interval_cycles: Count
    dynamic_interval_cycles: Count
    gpsimd_start_cycles: Count
    access_cycles: Count
    dependent_cycles: Count
    matmul_interval_cycles: Count
    load_stationary_speedup: Count
    fp32_matmul_passes: Count
    dma_start_ns: Positive
    dma_partitions_per_engine: Count
    dma_descriptor_floor_bytes: Count
    dma_descriptor_extra_bytes: Count
    dma_transpose_hbm_share: Positive
    dma_transpose_sbuf_share: Positive
    source: Text
    date: Date
    peak_tflops: Mapping[Dtype, Positive] = field(hash=False)
    matmul_moving_elements_bf16: Count | None = None
    hardware_dge_ns: Positive | None = None
    vector_fast_formats: tuple[Text, ...] = ()
    scalar_fast_formats: tuple[Text, ...] = ()
    shared_ports: tuple[Text, ...] = ()
    notes: str = ""


@cache
def neuron_core_table() -> dict[str, NeuronCore]:
    """name → core, read once."""
    return load_toml(FILE, NeuronCore)


@cache
def _index() -> dict[str, NeuronCore]:
    table = neuron_core_table()
    return index_names("NeuronCore", table, {name: row.chips for name, row in table.items()})


def neuron_core(name: str) -> NeuronCore:
    """Look a NeuronCore up by generation or by chip.

    Args:
        name: `gen2`, `gen3`, `gen4`, or `trn1`, `inf2`, `trn2`, `trn3`.

    Returns:
        The core.

    Raises:
        UnknownNameError: with the nearest names.
    """
    return find("NeuronCore", name, _index(), neuron_core_table())
