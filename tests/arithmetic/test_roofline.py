"""roofline, matmul_intensity and transformer_operations. Oracle: min(peak, I * B) by hand, and counting operands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.arithmetic import (
    count_parameters,
    distinct_experts,
    inference_flops,
    kv_cache_bytes,
    matmul_intensity,
    roofline,
    training_flops,
    transformer_operations,
)
from course_lib.catalog import accelerator

CHIPS = st.sampled_from(["a100-80gb", "h100", "b200", "trainium1", "trainium2", "gaudi2"])
SIZES = st.integers(1, 10_000)


def test_the_h100s_ridge_stands_where_its_datasheet_puts_it():
    """Oracle: 989 TFLOP/s over 3.35 TB/s is 295 FLOPs per byte."""
    point = roofline("h100", 100.0)
    assert point.ridge_flops_per_byte == pytest.approx(989 / 3.35)
    assert point.attainable_flops_per_s == pytest.approx(335e12)
    assert point.bound == "memory"
    assert roofline(accelerator("h100"), 1000.0).attainable_flops_per_s == 989e12
    assert point.seconds(335e12) == pytest.approx(1)


@given(chip=CHIPS, low=st.floats(1e-3, 1e5), factor=st.floats(1, 1e3))
def test_the_roof_never_falls_and_never_passes_the_peak(chip, low, factor):
    """Oracle: min(peak, I * bandwidth) is monotonic in I and reaches the peak at the ridge."""
    left, right = roofline(chip, low), roofline(chip, low * factor)
    assert left.attainable_flops_per_s <= right.attainable_flops_per_s <= right.peak_flops_per_s
    assert left.attainable_fraction == pytest.approx(min(1, low / left.ridge_flops_per_byte))
    assert (left.bound == "memory") == (left.attainable_flops_per_s < left.peak_flops_per_s)
    assert roofline(chip, left.ridge_flops_per_byte).bound == "compute"


@given(m=SIZES, n=SIZES, k=SIZES, size=st.sampled_from([1, 2, 4]))
def test_intensity_is_symmetric_and_below_the_smallest_side(m, n, k, size):
    """Oracle: 2mnk / (size (mk+kn+mn)) is harmonic: 2/size over the sum of 1/m, 1/n, 1/k."""
    value = matmul_intensity(m, n, k, size)
    assert value == pytest.approx(2 / size / (1 / m + 1 / n + 1 / k))
    assert value == pytest.approx(matmul_intensity(k, m, n, size))
    assert value < 2 / size * min(m, n, k)


@pytest.mark.parametrize("m", [1, 16, 512])
def test_intensity_matches_the_bytes_of_real_arrays(m):
    """Oracle: numpy's nbytes of the operands and of the result."""
    import numpy as np

    a, b = np.zeros((m, 64), np.float32), np.zeros((64, 48), np.float32)
    moved = a.nbytes + b.nbytes + (a @ b).nbytes
    assert matmul_intensity(m, 48, 64, 4) == 2 * m * 48 * 64 / moved


def by_name(*args, **options):
    return {o.name: o for o in transformer_operations(*args, **options)}


def test_each_weight_operation_is_its_matmul():
    """Oracle: matmul_intensity of (tokens, outputs, inputs), the same for prefill and for training."""
    for phase in ("prefill", "training"):
        found = by_name("llama3-8b", phase, batch=2, sequence_length=512)
        assert found["ffn_down"].intensity_flops_per_byte == pytest.approx(matmul_intensity(1024, 4096, 14_336))
        assert found["q"].intensity_flops_per_byte == pytest.approx(matmul_intensity(1024, 4096, 4096))
    one = by_name("llama3-8b", "decode", batch=1, sequence_length=512)
    assert one["ffn_down"].intensity_flops_per_byte == pytest.approx(matmul_intensity(1, 4096, 14_336))


def test_decoding_reads_every_weight_once_and_the_cache_once():
    """Oracle: 2 bytes per matrix parameter plus the cache, apart from activations of less than a thousandth."""
    found = by_name("llama3-8b", "decode", batch=1, sequence_length=4096)
    count = count_parameters("llama3-8b")
    expected = 2 * (count.total - count.embedding - count.norm) + kv_cache_bytes("llama3-8b", 4096)
    assert found["all"].bytes_ == pytest.approx(expected, rel=1e-3)
    assert found["all"].intensity_flops_per_byte == pytest.approx(1, rel=0.15)


def test_attention_reads_queries_and_cache_and_writes_one_vector_per_head():
    """Oracle: Llama 3 8B by hand: 32 layers, 32 heads of 128 in and out, 2 * 8 * 128 cached per token."""
    for phase, queries in (("decode", 3), ("prefill", 3 * 50)):
        found = by_name("llama3-8b", phase, batch=3, sequence_length=50, bytes_per_element=1)["attention"]
        assert found.bytes_ == 32 * (queries * 32 * (128 + 128) + 3 * 50 * 2 * 8 * 128)


def test_grouped_queries_reuse_each_key_for_the_whole_group():
    """Oracle: 2 * 2 FLOPs for 2 * 2 bytes per key and value element, times 4 queries per key head."""
    grouped = by_name("llama3-8b", "decode", batch=8, sequence_length=8192)["attention"]
    plain = by_name("llama2-7b", "decode", batch=8, sequence_length=8192)["attention"]
    assert grouped.intensity_flops_per_byte == pytest.approx(4, rel=1e-2)
    assert plain.intensity_flops_per_byte == pytest.approx(1, rel=1e-2)


@pytest.mark.parametrize("name", ["llama3-8b", "mixtral-8x7b", "deepseek-v3", "gpt2"])
def test_the_operations_do_the_flops_that_the_other_functions_count(name):
    """Oracle: training_flops (exact) and inference_flops, themselves checked against torch."""
    step = by_name(name, "training", batch=2, sequence_length=256)["all"]
    assert step.flops == pytest.approx(training_flops(name, 512, sequence_length=256, method="exact").model_flops)
    token = by_name(name, "decode", batch=3, sequence_length=1001)["all"]
    assert token.flops == pytest.approx(inference_flops(name, 1000, 2, batch=3).decode_flops)


@given(batch=st.integers(1, 512))
def test_batching_raises_the_intensity_of_decoding(batch):
    """Oracle: a weight read once serves one more sequence."""
    small = by_name("llama3-8b", "decode", batch=batch, sequence_length=128)["all"]
    large = by_name("llama3-8b", "decode", batch=batch + 1, sequence_length=128)["all"]
    assert small.intensity_flops_per_byte < large.intensity_flops_per_byte
    assert small.bytes_ < large.bytes_


def test_a_mixture_decodes_one_token_with_its_active_experts_only():
    """Oracle: 2 of 8 experts for one token; all 8, nearly, for 64 tokens."""
    one = by_name("mixtral-8x7b", "decode", batch=1, sequence_length=1)["expert_down"]
    assert one.bytes_ == pytest.approx(2 * 32 * 2 * 4096 * 14_336, rel=1e-3)
    many = by_name("mixtral-8x7b", "decode", batch=64, sequence_length=1)["expert_down"]
    assert many.bytes_ == pytest.approx(2 * 32 * 8 * 4096 * 14_336, rel=0.02)


def test_distinct_experts_match_a_simulation():
    """Oracle: 4,000 random batches of 5 tokens that draw 2 of 8 experts each."""
    import random

    draw = random.Random(7)
    seen = [len({e for _ in range(5) for e in draw.sample(range(8), 2)}) for _ in range(4000)]
    assert distinct_experts(8, 2, 5) == pytest.approx(sum(seen) / len(seen), rel=0.01)
    assert distinct_experts(8, 2, 1) == 2
