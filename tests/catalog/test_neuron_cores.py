"""Oracle: the NKI architecture guides, and the arithmetic between their figures (array, clock, peak; engines, rate)."""

import pytest

from course_lib.catalog import UnknownNameError, neuron_core
from course_lib.catalog.neuron_cores import neuron_core_table

GENERATIONS = ("gen2", "gen3", "gen4")


@pytest.mark.parametrize("name", GENERATIONS)
def test_bf16_peak_is_the_array_times_the_clock(name: str) -> None:
    """128 x 128 multiply-adds in each cycle; the guides round to whole TFLOP/s."""
    core = neuron_core(name)
    assert core.peak_tflops["bf16"] == pytest.approx(128 * 128 * 2 * core.tensor_ghz / 1e3, rel=0.01)


@pytest.mark.parametrize("name", GENERATIONS)
def test_fp32_peak_is_the_bf16_peak_over_the_passes(name: str) -> None:
    core = neuron_core(name)
    assert core.peak_tflops["fp32"] == pytest.approx(core.peak_tflops["bf16"] / core.fp32_matmul_passes, rel=0.02)


@pytest.mark.parametrize(("name", "mebibytes"), [("gen2", 24), ("gen3", 28), ("gen4", 32)])
def test_128_partitions_make_up_the_printed_sbuf_size(name: str, mebibytes: int) -> None:
    assert neuron_core(name).sbuf_partition_bytes * 128 == mebibytes * 2**20


@pytest.mark.parametrize("name", GENERATIONS)
def test_psum_is_8_banks_of_512_fp32_values(name: str) -> None:
    core = neuron_core(name)
    assert core.psum_partition_bytes == core.psum_banks * 512 * 4
    assert core.psum_partition_bytes * 128 == 2 * 2**20


@pytest.mark.parametrize(("name", "gigabytes"), [("gen2", 272), ("gen3", 368), ("gen4", 528)])
def test_dma_engines_add_up_to_the_printed_aggregate(name: str, gigabytes: int) -> None:
    core = neuron_core(name)
    assert core.dma_engines * core.dma_bytes_per_ns == gigabytes


@pytest.mark.parametrize("name", GENERATIONS)
def test_128_partitions_keep_every_dma_engine_busy(name: str) -> None:
    core = neuron_core(name)
    assert core.dma_engines * core.dma_partitions_per_engine == 128


def test_fast_modes_arrive_with_v3_on_the_vector_and_v4_on_the_scalar_engine() -> None:
    lanes = {name: neuron_core(name) for name in GENERATIONS}
    assert [lanes[name].vector_fast_elements_per_cycle for name in GENERATIONS] == [128, 512, 512]
    assert [lanes[name].scalar_fast_elements_per_cycle for name in GENERATIONS] == [128, 128, 256]
    assert not lanes["gen2"].vector_fast_formats
    assert not lanes["gen3"].scalar_fast_formats
    assert "float8_e4m3" not in lanes["gen3"].vector_fast_formats
    assert "float8_e4m3" in lanes["gen4"].vector_fast_formats


def test_only_v2_has_ports_that_engines_share_and_no_hardware_descriptor_generator() -> None:
    assert [bool(neuron_core(name).shared_ports) for name in GENERATIONS] == [True, False, False]
    assert [neuron_core(name).hardware_dge_ns for name in GENERATIONS] == [None, 600, 600]


@pytest.mark.parametrize(("chip", "name"), [("trn1", "gen2"), ("inf2", "gen2"), ("trn2", "gen3"), ("trn3", "gen4")])
def test_a_core_is_found_by_its_chip(chip: str, name: str) -> None:
    assert neuron_core(chip) is neuron_core(name)


def test_an_unknown_core_is_refused() -> None:
    with pytest.raises(UnknownNameError):
        neuron_core("gen9")


def test_every_core_says_where_its_figures_were_read() -> None:
    for core in neuron_core_table().values():
        assert "architecture guide" in core.source
        assert "2.26.1" in core.source
