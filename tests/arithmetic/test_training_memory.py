"""model_states and training_memory. Oracle: ZeRO's formulas and invariants; the published tables are tested apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.arithmetic import (
    count_parameters,
    largest_model_parameters,
    layer_activations,
    model_states,
    training_memory,
)
from course_lib.catalog import model

DEGREES = st.sampled_from([1, 2, 4, 8, 64])
DENSE = st.sampled_from(["llama3-8b", "gpt3-175b", "bert-large", "gpt2"])


@given(name=DENSE, stage=st.integers(0, 3))
def test_one_device_keeps_16_bytes_per_parameter_whatever_the_stage(name, stage):
    """Oracle: 2 + 2 + 12 bytes of mixed-precision Adam (ZeRO, section 3.1)."""
    assert model_states(name, zero_stage=stage).total_bytes == 16 * count_parameters(name).total


@given(parameters=st.floats(1e6, 1e13), n=DEGREES, k=st.sampled_from([4, 8, 12]))
def test_zero_divides_optimizer_then_gradients_then_parameters(parameters, n, k):
    """Oracle: ZeRO Figure 1: (4+K)P, 4P + KP/N, 2P + (2+K)P/N, (4+K)P/N."""
    expected = [
        (4 + k) * parameters,
        4 * parameters + k * parameters / n,
        2 * parameters + (2 + k) * parameters / n,
        (4 + k) * parameters / n,
    ]
    for stage, value in enumerate(expected):
        states = model_states(parameters, zero_stage=stage, data_parallel=n, optimizer_bytes=k)
        assert states.total_bytes == pytest.approx(value)
        assert states.total_bytes == states.parameters_bytes + states.gradients_bytes + states.optimizer_bytes


@given(name=DENSE, n=DEGREES, t=st.sampled_from([1, 2, 4]), p=st.sampled_from([1, 2, 3]))
def test_memory_never_grows_with_the_zero_stage_and_its_parts_add_up(name, n, t, p):
    """Oracle: each stage divides a superset; total is the sum of four parts."""
    totals = []
    for stage in range(4):
        m = training_memory(
            name, zero_stage=stage, data_parallel=n, tensor_parallel=t, pipeline_parallel=p, sequence_length=256
        )
        assert m.total_bytes == pytest.approx(m.model_states_bytes + m.activations_bytes)
        totals.append(m.total_bytes)
    assert totals == sorted(totals, reverse=True)
    assert n == 1 or totals[3] < totals[0]


def test_the_largest_model_fills_the_device_exactly():
    """Oracle: model_states of that many parameters."""
    for stage in range(4):
        parameters = largest_model_parameters(80e9, zero_stage=stage, data_parallel=16, model_parallel=2)
        states = model_states(parameters, zero_stage=stage, data_parallel=16, tensor_parallel=2)
        assert states.total_bytes == pytest.approx(80e9)


def test_expert_parallelism_divides_the_routed_experts_only():
    """Oracle: Mixtral's shared parameters stay whole, its 45.1B routed ones are divided by 8."""
    count = count_parameters("mixtral-8x7b")
    shared = count.total - count.routed_experts
    states = model_states("mixtral-8x7b", data_parallel=8, expert_parallel=8)
    assert states.total_bytes == 16 * (shared + count.routed_experts / 8)


def test_zero_divides_experts_over_the_devices_that_hold_the_same_ones():
    """Oracle: with as many expert-parallel as data-parallel devices, no expert has a second copy to divide."""
    count = count_parameters("mixtral-8x7b")
    states = model_states("mixtral-8x7b", zero_stage=3, data_parallel=8, expert_parallel=8)
    assert states.total_bytes == pytest.approx(16 * count.total / 8)
    sixteen = model_states("mixtral-8x7b", zero_stage=1, data_parallel=16, expert_parallel=8)
    expected = 12 * ((count.total - count.routed_experts) / 16 + count.routed_experts / 8 / 2)
    assert sixteen.optimizer_bytes == pytest.approx(expected)


def test_under_1f1b_the_first_stage_keeps_as_much_as_the_whole_stack():
    """Oracle: Korthikanti section 4.2.3: p microbatches of L/p layers each; the logits live on another stage."""
    layer = layer_activations("gpt3-175b", tensor_parallel=8, sequence_parallel=True).total_bytes
    staged = training_memory("gpt3-175b", tensor_parallel=8, sequence_parallel=True, pipeline_parallel=8)
    mask = 2048 * 12_288 * 8 / 8  # the embedding's dropout mask for 8 microbatches, divided over 8 ranks
    assert staged.activations_bytes == pytest.approx(96 * layer + mask)


def test_on_one_stage_the_ends_are_those_of_korthikanti():
    """Oracle: eq. 5 plus its last paragraph: s b h (L (34 + 5as/h) + 1 + 4 (1 + v/h)) at t = p = 1."""
    c = model("gpt3-175b")
    s, h, v = 2048, 12_288, 50_257
    expected = s * h * (96 * (34 + 5 * 96 * s / h) + 1 + 4 * (1 + v / h))
    assert training_memory(c).activations_bytes == pytest.approx(expected)


def test_sequence_parallelism_divides_the_ends_as_well():
    """Oracle: the same two terms, s b h and 4 s b h (1 + v/h), over t = 8; the vocabulary is divided either way."""
    s, h, v = 2048, 12_288, 50_257
    for along, options in ((8, {"sequence_parallel": True}), (1, {})):
        layers = 96 * layer_activations("gpt3-175b", tensor_parallel=8, **options).total_bytes
        ends = training_memory("gpt3-175b", tensor_parallel=8, **options).activations_bytes - layers
        assert ends == pytest.approx(s * h / along + 4 * s * h / along + 4 * s * v / 8, rel=1e-9)


def test_gpipe_keeps_every_microbatch():
    """Oracle: proportionality to the microbatches in flight."""
    one, all_of_them = (
        training_memory("llama3-70b", pipeline_parallel=8, microbatches_in_flight=n).activations_bytes for n in (1, 32)
    )
    assert all_of_them == pytest.approx(32 * one)


def test_llama_3_8b_in_bf16_adam_needs_128_gb_before_the_first_token():
    """Oracle: 16 bytes times 8,030,261,248, more than any single 80 GB card."""
    assert training_memory("llama3-8b").model_states_bytes == 128_484_179_968
