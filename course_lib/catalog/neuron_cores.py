"""NeuronCores: what one physical core of each generation has, as the NKI documentation states it.

Chip-level rates stand in `accelerators.toml`; they are not these times the number of cores, so quote each with its source.
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
    source: Text
    date: Date
    peak_tflops: Mapping[Dtype, Positive] = field(hash=False)
    matmul_moving_elements_bf16: Count | None = None
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
