"""Oracle: cost formulas of the NKI API reference 2.26.1, architecture guides, chart and example of the DMA overview.

Instructions are put together by hand, so that each formula is held against its own numbers.
"""

from __future__ import annotations

import inspect
from itertools import pairwise

import numpy as np
import pytest

import course_lib.nki.isa as nisa
import course_lib.nki.language as nl
from course_lib.catalog import neuron_core
from course_lib.nki import profile
from course_lib.nki.cost import cycles, dma_transfer, price, priced

from .recorded import instruction, tile

GEN2, GEN3, GEN4 = neuron_core("gen2"), neuron_core("gen3"), neuron_core("gen4")
MIN_II = 64


def same(op, on, dtype="float32", n=512, count=2, where="sbuf", core=GEN2, **about):
    """Cycles of an instruction on `count` tiles of (128, n), the last of which is the result."""
    return cycles(instruction(op, on, *[tile((128, n), dtype, where)] * count, **about), core)


def matmul(dtype, k=128, m=128, n=512, core=GEN3, op="nc_matmul", **about):
    operands = tile((k, m), dtype), tile((k, n), dtype), tile((m, n), "float32", "psum")
    return cycles(instruction(op, "tensor", *operands, k=k, m=m, n=n, **about), core)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "tfloat32", "float8_e4m3"])
@pytest.mark.parametrize(("n", "expected"), [(512, 512), (128, 128), (64, 64), (1, 64)])
def test_a_matmul_takes_as_many_cycles_as_moving_columns_and_at_least_64(dtype, n, expected):
    assert matmul(dtype, n=n) == expected


def test_a_float32_matmul_takes_four_times_as_long_and_half_of_that_with_zeros_and_ones():
    assert matmul("float32") == 4 * 512
    assert matmul("float32", onezero=True) == 2 * 512


def test_full_tiles_reach_the_printed_peak_in_each_format():
    """2 K M N operations in the modelled time, against the guides' TFLOP/s."""
    for core in (GEN2, GEN3, GEN4):
        for dtype, name in (("bfloat16", "bf16"), ("float32", "fp32")):
            rate = 2 * 128 * 128 * 512 / (matmul(dtype, core=core) / core.tensor_ghz) / 1e3
            assert rate == pytest.approx(core.peak_tflops[name], rel=0.02)


def test_double_row_reaches_the_printed_fp8_peak_and_mx_that_of_mxfp8():
    double = 2 * 256 * 128 * 512 / (matmul("float8_e4m3", k=256, double_row=True) / GEN3.tensor_ghz) / 1e3
    assert double == pytest.approx(GEN3.peak_tflops["fp8"], rel=0.01)
    mx = 2 * 512 * 128 * 512 / (matmul("float8_e4m3fn_x4", core=GEN4, op="nc_matmul_mx") / GEN4.tensor_ghz) / 1e3
    assert mx == pytest.approx(GEN4.peak_tflops["mxfp8"], rel=0.01)


def test_a_quarter_of_the_array_is_charged_a_quarter():
    assert matmul("bfloat16", k=64, m=64, tile_size=(64, 64)) == 512 / 4


@pytest.mark.parametrize(("shape", "expected"), [((128, 128), 128), ((128, 16), 128), ((32, 128), 64), ((16, 16), 16)])
def test_a_transpose_on_the_tensor_engine_takes_max_p_min_64_f(shape, expected):
    moved = instruction("nc_transpose", "tensor", tile(shape), tile(shape[::-1], "float32", "psum"))
    assert cycles(moved, GEN2) == expected


def test_a_transpose_on_the_vector_engine_takes_max_min_ii_n():
    assert cycles(instruction("nc_transpose", "vector", tile((32, 32)), tile((32, 32))), GEN2) == MIN_II


PLAIN = ["tensor_scalar", "tensor_copy", "bn_stats", "dropout", "nc_stream_shuffle", "max8", "nc_find_index8"]


@pytest.mark.parametrize("op", [*PLAIN, "range_select", "activation", "tensor_reduce", "memset"])
@pytest.mark.parametrize(("n", "expected"), [(1, 64), (64, 64), (65, 65), (512, 512)])
def test_one_input_takes_max_min_ii_n(op, n, expected):
    assert same(op, "scalar" if op == "activation" else "vector", n=n) == expected


@pytest.mark.parametrize("op", ["activation_reduce", "activation", "tensor_scalar_reduce"])
def test_reading_out_a_reduction_adds_min_ii(op):
    assert same(op, "scalar", outputs=2) == 512 + MIN_II


def test_two_inputs_take_2n_on_v2():
    assert two("float32", "add") == 2 * 512


def mixed(dtype="float32", op="add", core=GEN2):
    operands = tile((128, 512), dtype), tile((128, 512), dtype, "psum"), tile((128, 512), dtype)
    made = instruction("tensor_tensor", "vector", *operands)
    made.about["op"] = op
    return cycles(made, core)


def two(dtype, op, core=GEN2, stride=1):
    made = instruction("tensor_tensor", "vector", *[tile((128, 512), dtype, stride=stride)] * 3)
    made.about["op"] = op
    return cycles(made, core)


def test_two_inputs_take_n_with_one_of_them_in_psum():
    assert mixed() == 512


@pytest.mark.parametrize(
    ("dtype", "op", "stride", "expected"),
    [
        ("bfloat16", "add", 1, 512),
        ("bfloat16", "multiply", 1, 512),
        ("bfloat16", "subtract", 1, 512),
        ("bfloat16", "maximum", 1, 1024),
        ("float32", "add", 1, 1024),
        ("bfloat16", "add", 2, 1024),
    ],
)
def test_two_packed_bfloat16_inputs_take_n_for_add_subtract_multiply_only(dtype, op, stride, expected):
    assert two(dtype, op, stride=stride) == expected


@pytest.mark.parametrize("core", [GEN3, GEN4])
def test_two_inputs_in_16_bits_are_twice_as_fast_from_v3(core):
    for op in ("add", "maximum"):
        assert two("bfloat16", op, core) == two("bfloat16", op, GEN2) / 2
    assert two("float32", "add", core) == two("float32", "add", GEN2)


@pytest.mark.parametrize("op", ["tensor_copy", "tensor_scalar"])
@pytest.mark.parametrize(
    ("first", "second", "stride", "factor"),
    [
        ("sbuf", "sbuf", 1, 4),
        ("sbuf", "sbuf", 2, 2),
        ("psum", "sbuf", 1, 2),
        ("sbuf", "psum", 1, 2),
        ("psum", "sbuf", 2, 1),
        ("psum", "psum", 1, 1),
    ],
)
def test_16_bit_copies_and_tensor_scalar_run_4_or_2_times_as_fast_from_v3(op, first, second, stride, factor):
    source, target = tile((128, 512), "bfloat16", first, stride), tile((128, 512), "float16", second, stride)
    made = instruction(op, "vector", source, target)
    assert cycles(made, GEN2) == 512
    assert cycles(made, GEN3) == max(MIN_II, 512 / factor)


def test_float32_and_v3_fp8_get_no_fast_mode_and_v4_fp8_does():
    assert same("tensor_copy", "vector", "float32", core=GEN3) == 512
    assert same("tensor_copy", "vector", "float8_e4m3", core=GEN3) == 512
    assert same("tensor_copy", "vector", "float8_e4m3", core=GEN4) == 128


def test_the_scalar_engine_copies_16_bits_twice_as_fast_on_v4_only():
    assert same("tensor_copy", "scalar", "bfloat16", core=GEN3) == 512
    assert same("tensor_copy", "scalar", "bfloat16", core=GEN4) == 256


def test_a_per_partition_operand_does_not_switch_the_fast_mode_off():
    operands = tile((128, 512), "bfloat16"), tile((128, 1), "float32"), tile((128, 512), "bfloat16")
    assert cycles(instruction("tensor_scalar", "vector", *operands), GEN3) == 128


@pytest.mark.parametrize(("stride", "factor"), [(4, 1), (5, 2)])
def test_an_innermost_stride_above_16_bytes_halves_the_rate(stride, factor):
    operands = tile((128, 512), stride=stride), tile((128, 512))
    assert cycles(instruction("tensor_scalar", "vector", *operands), GEN2) == 512 * factor


def test_a_copy_with_a_looked_up_address_takes_at_least_600():
    operands = tile((128, 64), indirect=True), tile((128, 64))
    assert cycles(instruction("tensor_copy", "vector", *operands), GEN3) == 600


@pytest.mark.parametrize(
    ("ops", "n", "dtype", "factor"),
    [
        (("subtract", "multiply"), 512, "bfloat16", 1),
        (("subtract", "multiply"), 511, "bfloat16", 2),
        (("add", "multiply"), 512, "bfloat16", 2),
        (("subtract", "multiply"), 512, "float32", 2),
    ],
)
def test_scalar_tensor_tensor_takes_2n_but_n_for_an_even_bfloat16_subtract_multiply(ops, n, dtype, factor):
    assert same("scalar_tensor_tensor", "vector", dtype, n, 3, op0=ops[0], op1=ops[1]) == factor * n


@pytest.mark.parametrize(
    ("dtype", "op", "expected"),
    [
        ("bfloat16", "add", 256),
        ("bfloat16", "maximum", 256),
        ("bfloat16", "multiply", 512),
        ("float32", "add", 512),
    ],
)
def test_a_bfloat16_add_or_maximum_reduces_two_elements_a_cycle(dtype, op, expected):
    made = instruction("tensor_reduce", "vector", tile((128, 512), dtype), tile((128, 1), dtype))
    made.about["op"] = op
    assert cycles(made, GEN2) == expected


def test_zeros_of_16_bits_fill_two_elements_a_cycle():
    assert same("memset", "vector", "bfloat16", count=1, value=0) == 256
    assert same("memset", "vector", "bfloat16", count=1, value=1) == 512
    assert same("memset", "vector", "float32", count=1, value=0) == 512


@pytest.mark.parametrize(
    ("op", "on", "expected"),
    [
        ("reciprocal", "vector", 8 * 512),
        ("tensor_tensor_scan", "vector", 2 * 512),
        ("bn_aggr", "vector", 13 * 512 / 3),
        ("iota", "gpsimd", 150 + 512),
        ("affine_select", "gpsimd", 150 + 512),
    ],
)
def test_printed_formulas(op, on, expected):
    assert same(op, on) == pytest.approx(expected)


def test_an_activation_is_the_faster_reciprocal():
    assert same("activation", "scalar") == same("reciprocal", "vector") / 8


def test_a_predicated_copy_takes_n_when_source_and_predicate_lie_apart():
    apart = tile((128, 512), where="psum"), tile((128, 512)), tile((128, 512))
    assert cycles(instruction("tensor_copy_predicated", "vector", *apart), GEN2) == 512
    assert same("tensor_copy_predicated", "vector", count=3) == 1024


@pytest.mark.parametrize(("dtype", "each"), [("float32", 1), ("bfloat16", 4)])
def test_a_local_gather_follows_the_printed_formula(dtype, each):
    """150 + (indices * e) / C with C = ((28 + 4 e) / (4 e)) / min(4 / bytes, e)."""
    indices, size = 64, 4 if dtype == "float32" else 2
    rate = ((28 + 4 * each) / (4 * each)) / min(4 / size, each)
    operands = tile((128, 512), dtype), tile((128, 4), "uint16"), tile((128, indices * each), dtype)
    made = instruction("local_gather", "gpsimd", *operands, elements_per_index=each, indices=indices)
    assert cycles(made, GEN2) == pytest.approx(150 + indices * each / rate)


def test_what_no_page_prices_gets_the_general_rule_and_says_so():
    made = instruction("brand_new_op", "vector", tile((128, 512)), tile((128, 512)))
    assert price(made, GEN3) == (512, True)
    assert not price(instruction("activation", "scalar", tile((128, 512)), tile((128, 512))), GEN3).estimated
    assert price(instruction("tensor_copy", "gpsimd", tile((128, 512)), tile((128, 512))), GEN3) == (150 + 512, True)


def test_a_barrier_costs_the_same_whatever_memory_it_guards():
    assert price(instruction("core_barrier", "gpsimd", tile((4096, 4096), where="shared_hbm")), GEN3) == (MIN_II, True)


def test_a_gather_of_more_than_512_elements_starts_once_for_each_512():
    operands = tile((128, 4096)), tile((128, 1024), "uint32"), tile((128, 1024))
    made = instruction("nc_n_gather", "gpsimd", *operands, instructions=2)
    assert cycles(made, GEN3) == 2 * 150 + 1024


def copy(partitions, bytes_per_partition, core=GEN3, op="dma_copy", source="private_hbm", **about):
    shape = (partitions, bytes_per_partition // 2)
    operands = tile(shape, "bfloat16", source), tile(shape, "bfloat16", "sbuf")
    return dma_transfer(instruction(op, "dma", *operands, **about), core)


def test_a_32_kib_transfer_of_one_engine_takes_the_documented_1416_ns():
    """DMA overview, example 1: A[4, 4096] in bfloat16 on NeuronCore-v3 keeps one engine busy for 1416 ns."""
    moved = copy(4, 8192)
    assert moved.engines == 1
    assert moved.bytes_ == moved.hbm_read == 32768
    assert moved.engine_ns == pytest.approx(1416, rel=0.03)


def test_a_transfer_starts_1300_ns_after_its_semaphore():
    assert copy(128, 4096).start_ns == 1300


@pytest.mark.parametrize(("partitions", "engines"), [(1, 1), (8, 1), (9, 2), (64, 8), (127, 16), (128, 16)])
def test_one_engine_serves_eight_partitions(partitions, engines):
    assert copy(partitions, 2048).engines == engines


# Read off the chart: height of each point over that of the last, 32 KiB.
CHART = {32: 0.014, 64: 0.026, 128: 0.050, 256: 0.103, 512: 0.206, 1024: 0.424, 2048: 0.815, 4096: 0.966, 8192: 0.983}


@pytest.mark.parametrize("bytes_", list(CHART))
def test_throughput_follows_the_documented_chart(bytes_):
    moved, best = copy(128, bytes_), copy(128, 32768)
    rate = (moved.bytes_ / moved.engine_ns) / (best.bytes_ / best.engine_ns)
    assert rate == pytest.approx(CHART[bytes_], rel=0.1)


@pytest.mark.parametrize(("core", "aggregate"), [(GEN2, 272), (GEN3, 368), (GEN4, 528)])
def test_large_descriptors_reach_the_printed_aggregate_rate(core, aggregate):
    moved = copy(128, 32768, core)
    assert moved.bytes_ / moved.engine_ns == pytest.approx(aggregate, rel=0.01)


def test_more_bytes_never_take_less_time():
    times = [copy(128, size).engine_ns for size in (2, 64, 256, 1024, 2048, 4096, 8192, 65536)]
    assert all(a <= b for a, b in pairwise(times))


def test_columns_read_one_by_one_pay_a_descriptor_each():
    """128 rows of 64 elements that lie 4096 apart: 64 descriptors for each partition instead of one."""
    apart = tile((128, 64), "bfloat16", "private_hbm", stride=4096)
    scattered = dma_transfer(instruction("dma_copy", "dma", apart, tile((128, 64), "bfloat16")), GEN3)
    assert scattered.engine_ns == pytest.approx(64 * copy(128, 128).engine_ns)


def test_a_dma_transpose_runs_at_90_percent_from_hbm_and_50_percent_from_sbuf():
    plain = copy(128, 4096).engine_ns
    assert copy(128, 4096, op="dma_transpose").engine_ns == pytest.approx(plain / 0.9)
    assert copy(128, 4096, op="dma_transpose", source="sbuf").engine_ns == pytest.approx(plain / 0.5)


def test_hardware_descriptors_take_600_ns_to_issue():
    assert copy(128, 4096, dge="hwdge").issue_ns == 600
    assert copy(128, 4096).issue_ns == 0


def test_only_hbm_counts_as_hbm_traffic():
    assert copy(128, 4096, source="sbuf").hbm_read == 0
    assert copy(128, 4096).hbm_read == 128 * 4096
    assert copy(128, 4096).hbm_written == 0


def run(kernel, *args, target="gen3"):
    """Cycles of each engine in a kernel of the real instructions."""
    made = profile(kernel, target=target)(*args)
    return {name: use.cycles for name, use in made.engines.items() if use.cycles}


def test_real_instructions_are_charged_what_the_formulas_say():
    def kernel(a):
        wide = nl.ndarray((128, 512), dtype=nl.float32, buffer=nl.sbuf)
        short = nl.ndarray((128, 512), dtype=nl.bfloat16, buffer=nl.sbuf)
        column = nl.ndarray((128, 1), dtype=nl.float32, buffer=nl.sbuf)
        sums = nl.ndarray((128, 512), dtype=nl.float32, buffer=nl.psum)
        nisa.memset(wide, 1.0)  # vector: 512
        nisa.memset(short, 0.0)  # vector: 512 / 2
        nisa.activation(wide, nl.exp, wide)  # scalar: 512
        nisa.activation_reduce(wide, nl.exp, wide, nl.add, column)  # scalar: 512 + 64
        nisa.tensor_scalar(short, short, nl.multiply, 2.0)  # vector, 16 bits: 512 / 4
        nisa.tensor_reduce(column, nl.maximum, wide, axis=1)  # vector: 512
        nisa.reciprocal(column, column)  # vector: 64
        nisa.tensor_tensor_scan(wide, wide, wide, 0.0, nl.multiply, nl.add)  # vector: 2 x 512
        nisa.nc_matmul(sums, short[:, 0:128], short)  # tensor: 512
        nisa.nc_transpose(sums[:, 0:128], wide[:, 0:128])  # tensor: 128
        nisa.tensor_copy(wide, sums)  # vector: 512
        nisa.iota(wide, [[1, 512]])  # gpsimd: 150 + 512

    assert run(kernel, np.zeros((1, 1), np.float32)) == {
        "vector": 512 + 256 + 128 + 512 + 64 + 1024 + 512,
        "scalar": 512 + 512 + 64,
        "tensor": 512 + 128,
        "gpsimd": 662,
    }


NO_ENGINE = {"dma_copy", "dma_transpose", "dma_compute", "sendrecv", "get_nc_version", "get_nc_sub_version"}
SEEDS = {"register_alloc", "set_rng_seed", "rand_set_state", "rand_get_state"}


def test_every_instruction_of_the_package_has_a_rule_of_its_own():
    """Oracle: the functions of `nki.isa` themselves; a new one must not slip into the general rule unseen."""
    functions = {name for name in dir(nisa) if inspect.isfunction(getattr(nisa, name)) and not name.startswith("_")}
    assert len(functions) > 10
    assert functions - NO_ENGINE - SEEDS - set(priced()) == set()
