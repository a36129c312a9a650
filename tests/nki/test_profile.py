"""Oracle: bytes, operations and cycles counted by hand from each kernel's loops; NumPy for the results."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

import course_lib.nki.isa as nisa
import course_lib.nki.language as nl
from course_lib.nki import Profile, jit, profile
from course_lib.nki.verdict import bottleneck

from .profiled import add, chain, halves, naive_matmul, resident_matmul


def bf16(*shape):
    return np.zeros(shape, dtype=ml_dtypes.bfloat16)


def shapes_only(kernel, *args, target="gen3"):
    return profile(kernel, execute=False, target=target)(*args)


def test_a_profile_holds_the_results_that_the_kernel_computes():
    rng = np.random.default_rng(0)
    a, b = rng.random((256, 4096), np.float32), rng.random((256, 4096), np.float32)
    made = profile(add, target="gen3")(a, b)
    assert isinstance(made, Profile)
    np.testing.assert_array_equal(made.results, a + b)
    assert made.kernel == "add"


def test_following_shapes_only_gives_the_same_times_and_no_results():
    a = np.ones((256, 4096), np.float32)
    whole, quick = profile(add, target="gen3")(a, a), shapes_only(add, a, a)
    assert quick.results is None
    assert quick.seconds == whole.seconds
    assert quick.engines == whole.engines


def test_an_addition_reads_two_arrays_and_writes_one():
    a = np.ones((256, 4096), np.float32)
    made = shapes_only(add, a, a)
    assert (made.hbm_read_bytes, made.hbm_written_bytes) == (2 * a.nbytes, a.nbytes)
    assert made.operations == a.size
    assert made.arithmetic_intensity == pytest.approx(1 / 12)


def test_engines_are_charged_the_documented_cycles():
    """Four float32 additions of 2048 columns at 2 N cycles."""
    a = np.ones((256, 4096), np.float32)
    made = shapes_only(add, a, a)
    vector = made.engines["vector"]
    assert (vector.cycles, vector.instructions) == (4 * 2 * 2048, 4)
    assert vector.seconds == pytest.approx(vector.cycles / 0.96e9)
    assert vector.busy == pytest.approx(vector.seconds / made.seconds)
    assert made.engines["dma"].instructions == 12
    assert made.engines["tensor"].cycles == 0


def test_the_peak_of_sbuf_counts_the_tiles_alive_together():
    a = np.ones((256, 4096), np.float32)
    assert shapes_only(add, a, a).sbuf_peak_bytes == 2 * 2048 * 4
    made = shapes_only(naive_matmul, bf16(256, 128), bf16(256, 512))
    assert made.psum_peak_bytes == 2048


def test_a_matmul_is_held_against_the_tensor_engines_peak():
    made = shapes_only(naive_matmul, bf16(512, 256), bf16(512, 1024))
    assert made.operations == 2 * 512 * 256 * 1024
    assert made.peak_tflops == 79
    assert made.peak_name == "tensor engine, bf16"
    assert made.flops_per_s == pytest.approx(made.operations / made.seconds)
    assert made.peak_fraction == pytest.approx(made.tflops / 79)
    single = shapes_only(naive_matmul, np.ones((256, 128), np.float32), np.ones((256, 512), np.float32))
    assert single.peak_tflops == 20


def test_traffic_of_the_naive_matmul_is_every_tile_for_every_product():
    k, m, n = 512, 256, 1024
    made = shapes_only(naive_matmul, bf16(k, m), bf16(k, n))
    products = (m // 128) * (n // 512) * (k // 128)
    assert made.hbm_read_bytes == products * (128 * 128 + 128 * 512) * 2
    assert made.hbm_written_bytes == m * n * 2


@pytest.mark.parametrize("target", ["gen2", "gen3", "gen4"])
def test_no_kernel_runs_faster_than_its_engines_or_than_the_peak(target):
    made = shapes_only(resident_matmul, bf16(1024, 1024), bf16(1024, 1024), target=target)
    assert all(use.busy <= 1 + 1e-9 for use in made.engines.values())
    assert 0 < made.peak_fraction <= 1
    assert made.seconds >= made.hbm_bytes / made.hbm_bytes_per_s


def test_keeping_operands_on_chip_brings_a_matmul_within_15_percent_of_the_peak():
    """Both bfloat16 operands fit in SBUF; the target of the course is 85 % of the peak."""
    assert shapes_only(resident_matmul, bf16(2048, 4096), bf16(2048, 2048)).peak_fraction >= 0.85


def test_the_bottleneck_is_named():
    compute = shapes_only(resident_matmul, bf16(4096, 1024), bf16(4096, 1024))
    assert "tensor engine" in compute.bottleneck
    wide = shapes_only(add, np.ones((1024, 16384), np.float32), np.ones((1024, 16384), np.float32))
    assert wide.bottleneck.startswith("Bound by data movement")
    assert "only fewer bytes" in wide.bottleneck
    narrow = profile(add, execute=False, target="gen3")(
        np.ones((1024, 2048), np.float32), np.ones((1024, 2048), np.float32), 64
    )
    assert "a descriptor carries 256 bytes" in narrow.bottleneck
    assert narrow.engines["dma"].busy > 0.9
    waits = shapes_only(chain, np.ones((128, 1), np.float32))
    assert waits.bottleneck.startswith("Bound by waiting")


@pytest.mark.parametrize(
    ("tensor", "dma", "expected"),
    [
        (0.95, 0.3, "Compute-bound: the tensor engine is busy 95%"),
        (0.95, 0.99, "Balanced: the tensor engine is busy 95% of the time, the DMA engines 99%"),
        (0.3, 0.95, "Bound by data movement: the DMA engines are busy 95%"),
        (0.8, 0.5, "Mostly compute-bound. The tensor engine is busiest, 80%"),
        (0.2, 0.75, "Mostly bound by data movement. The DMA engines are busiest, 75%"),
        (0.2, 0.3, "Bound by waiting"),
    ],
)
def test_the_verdict_follows_the_documented_thresholds(tensor, dma, expected):
    """Performance guide: an engine that is busy 90 % of the time bounds the kernel."""
    made = shapes_only(naive_matmul, bf16(256, 128), bf16(256, 512))
    verdict = bottleneck(made.schedule, made.core.hardware, {"tensor": tensor, "vector": 0.1, "dma": dma})
    assert verdict.startswith(expected)


def test_small_descriptors_cost_more_time_for_the_same_bytes():
    a = np.ones((1024, 2048), np.float32)
    wide, narrow = (profile(add, execute=False, target="gen3")(a, a, columns) for columns in (2048, 64))
    assert narrow.hbm_bytes == wide.hbm_bytes
    assert narrow.seconds > 5 * wide.seconds


def test_lines_share_out_every_instruction_and_the_whole_time():
    made = shapes_only(naive_matmul, bf16(512, 256), bf16(512, 1024))
    lines = made.line_costs
    assert sum(line.instructions for line in lines) == len(made.instructions)
    assert sum(line.hbm_bytes for line in lines) == made.hbm_bytes
    assert sum(line.critical_seconds for line in lines) == pytest.approx(made.seconds)
    assert sum(line.cycles for line in lines) == pytest.approx(sum(use.cycles for use in made.engines.values()))
    assert all(line.line.startswith("profiled.py:") for line in lines)
    assert {op for line in lines for op in line.operations} == {"dma_copy", "nc_matmul", "tensor_copy"}


def test_lines_are_a_data_frame_with_the_most_critical_line_first():
    made = shapes_only(naive_matmul, bf16(512, 256), bf16(512, 1024))
    frame = made.lines()
    assert list(frame["critical_seconds"]) == sorted(frame["critical_seconds"], reverse=True)
    assert len(frame) == len(made.line_costs)


def test_instructions_lie_within_the_run_in_program_order():
    made = shapes_only(add, np.ones((256, 4096), np.float32), np.ones((256, 4096), np.float32))
    assert [timed.instruction.index for timed in made.instructions] == list(range(16))
    assert all(0 <= timed.start <= timed.end <= made.seconds for timed in made.instructions)
    assert max(timed.end for timed in made.instructions) == pytest.approx(made.seconds)


def test_two_cores_take_as_long_as_the_slower_and_move_the_sum_of_the_bytes():
    a = np.arange(256 * 1024, dtype=np.float32).reshape(256, 1024)
    made = profile(jit(halves)[2], target="gen3")(a)
    np.testing.assert_array_equal(made.results, a)
    first, second = made.cores
    assert second.seconds > first.seconds
    assert made.seconds == second.seconds
    assert first.hbm_read_bytes == a.nbytes // 2
    assert made.hbm_read_bytes == a.nbytes // 2 + a.nbytes
    assert "2 cores" in made.summary()


def test_two_cores_that_exchange_tiles_across_a_barrier_are_profiled():
    def kernel(a):
        out = nl.ndarray(a.shape, dtype=a.dtype, buffer=nl.shared_hbm)
        me = nl.program_id(0)
        mine = nl.ndarray((128, 512), dtype=a.dtype, buffer=nl.sbuf)
        theirs = nl.ndarray((128, 512), dtype=a.dtype, buffer=nl.sbuf)
        nisa.dma_copy(dst=mine, src=a[me * 128 : (me + 1) * 128, :])
        nisa.sendrecv(src=mine, dst=theirs, send_to_rank=1 - me, recv_from_rank=1 - me, pipe_id=0)
        nisa.dma_copy(dst=out[me * 128 : (me + 1) * 128, :], src=theirs)
        nisa.core_barrier(out, (0, 1))
        return out

    a = np.arange(256 * 512, dtype=np.float32).reshape(256, 512)
    made = profile(jit(kernel)[2], target="gen3")(a)
    np.testing.assert_array_equal(made.results, np.concatenate([a[128:], a[:128]]))
    first, second = made.cores
    assert first.seconds == second.seconds
    assert first.hbm_bytes == a.nbytes  # half is read, half written; the exchange stays on chip
    assert made.estimated == ("core_barrier",)


def test_the_summary_says_what_was_asked_and_that_it_is_a_model():
    text = " ".join(str(shapes_only(naive_matmul, bf16(512, 256), bf16(512, 1024))).split())
    for word in ("NeuronCore-v3", "tensor", "HBM", "SBUF", "PSUM", "TFLOP/s", "profiled.py:", "not a measurement"):
        assert word in text


def test_a_profile_is_frozen():
    made = shapes_only(chain, np.ones((128, 8), np.float32))
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.seconds = 0.0


def test_a_kernel_that_does_nothing_has_a_profile():
    made = profile(lambda: None, target="gen3")()
    assert made.seconds == 0
    assert made.bottleneck == "Nothing runs."
    assert "0 s" in made.summary()


def test_8192_matmuls_are_profiled_without_their_arithmetic():
    """4096 cubed, operand tiles loaded for every product: 24,832 instructions and more."""
    made = shapes_only(naive_matmul, bf16(4096, 4096), bf16(4096, 4096))
    assert made.engines["tensor"].instructions == 8192
    assert made.engines["dma"].instructions == 2 * 8192 + 256
    assert made.peak_fraction < 0.85 / 5  # the blocked matmul is at least five times as fast


def test_plotly_and_pandas_wait_until_they_are_needed():
    code = "import sys, course_lib.nki; sys.exit('plotly' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
