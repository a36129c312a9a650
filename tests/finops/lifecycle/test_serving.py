"""What an instance serves. Oracle: a queue of requests played step by step, and division by hand."""

import math

import pytest

from course_lib.arithmetic import count_parameters, inference_flops, kv_cache_bytes
from course_lib.catalog import instance, model
from course_lib.finops.errors import FinopsError
from course_lib.finops.lifecycle import DoesNotFitError, serving

REQUEST = {"prompt_tokens": 512, "answer_tokens": 256, "efficiency": 0.5}


def played(name, kind, batch, prompt, answer, efficiency, requests):
    """Answer requests one token at a time in `batch` slots, each at another place of its answer; returns requests/s."""
    spec, config = instance(kind), model(name)
    chip = spec.accelerator_spec
    bandwidth = spec.accelerators * chip.memory_bandwidth_tb_per_s * 1e12 * efficiency
    peak = spec.accelerators * chip.peak_flops("bf16") * efficiency
    counted = count_parameters(config)
    read = 2 * (counted.total - counted.embedding)
    prefill = inference_flops(config, prompt).total_flops / peak
    flops = inference_flops(config, prompt, answer).decode_flops / (answer - 1)
    slots = [slot * answer // batch for slot in range(batch)]  # tokens written in each
    clock = done = 0.0
    while done < requests:
        caches = sum(kv_cache_bytes(config, prompt + written) for written in slots)
        clock += max((read + caches) / bandwidth, batch * flops / peak)
        for slot, written in enumerate(slots):
            slots[slot] = written + 1
            if written + 1 == answer:  # answered: the next request's prompt is read, and nothing is decoded meanwhile
                done, slots[slot] = done + 1, 0
                clock += prefill
    return done / clock


@pytest.mark.parametrize(("kind", "most"), [("inf2.xlarge", 0.1), ("inf2.xlarge", 0.05), ("g6e.xlarge", 0.1)])
def test_the_rate_is_that_of_a_queue_played_step_by_step(kind, most):
    found = serving("llama3-8b", kind, **REQUEST, seconds_per_token_at_most=most)
    rate = played("llama3-8b", kind, found.batch, 512, 256, 0.5, requests=4 * found.batch)
    assert found.requests_per_second == pytest.approx(rate, rel=0.01)
    assert found.seconds_per_token == pytest.approx(found.batch / (256 * rate), rel=0.01)


def test_one_sequence_alone_waits_for_the_weights():
    """By hand: Llama 3 8B without its input table is 7.5e9 parameters, 15.0 GB at 0.82 TB/s."""
    found = serving("llama3-8b", "inf2.xlarge", **{**REQUEST, "efficiency": 1.0}, batch_at_most=1)
    assert (found.batch, found.bound) == (1, "weights")
    weights = 2 * (8_030_261_248 - 128_256 * 4096) / 0.82e12
    assert weights < found.seconds_per_token < 1.05 * weights


def test_the_batch_is_the_largest_that_is_quick_enough():
    found = serving("llama3-8b", "inf2.xlarge", **REQUEST, seconds_per_token_at_most=0.08)
    assert found.seconds_per_token <= 0.08
    larger = serving("llama3-8b", "inf2.xlarge", **REQUEST, batch_at_most=found.batch + 1)
    assert larger.batch == found.batch + 1
    assert larger.seconds_per_token > 0.08


def test_a_model_that_does_not_fit_is_refused_with_both_sizes():
    with pytest.raises(DoesNotFitError, match=r"'llama3-70b' needs 141\.\d GB, inf2\.xlarge has 30\.9 to give"):
        serving("llama3-70b", "inf2.xlarge", **REQUEST)
    assert serving("llama3-70b", "inf2.48xlarge", **REQUEST).batch > 1


def test_four_bits_take_a_model_where_sixteen_do_not_fit():
    with pytest.raises(DoesNotFitError):
        serving("mixtral-8x7b", "g6e.xlarge", **REQUEST)
    assert serving("mixtral-8x7b", "g6e.xlarge", **REQUEST, weight_bytes=0.53).memory_share < 0.9


def test_a_small_batch_of_a_mixture_reads_few_experts():
    """Oracle: one token of Mixtral meets 2 of 8 experts, so it reads the active parameters."""
    one = {"prompt_tokens": 1, "answer_tokens": 2, "efficiency": 1.0, "batch_at_most": 1}
    sparse = serving("mixtral-8x7b", "p5.48xlarge", **one)
    counted = count_parameters("mixtral-8x7b")
    step = 2 * (counted.active - counted.embedding) / (8 * 3.35e12)
    prefill = inference_flops("mixtral-8x7b", 1).total_flops / (8 * 989e12)
    assert sparse.seconds_per_token == pytest.approx(step + prefill / 2, rel=0.01)


def test_long_contexts_are_bound_by_their_caches():
    found = serving("llama3-8b", "inf2.48xlarge", prompt_tokens=7_000, answer_tokens=1_000, efficiency=0.5)
    assert found.bound == "cache"


def test_half_the_efficiency_is_half_the_rate():
    whole, half = (serving("llama3-8b", "trn1.2xlarge", **{**REQUEST, "efficiency": share}) for share in (1.0, 0.5))
    assert whole.requests_per_second == pytest.approx(2 * half.requests_per_second)
    assert whole.usd_per_million_tokens(1.34375, 256) == pytest.approx(half.usd_per_million_tokens(1.34375, 256) / 2)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"efficiency": 0}, r"efficiency=0 must be above 0 and at most 1"),
        ({"efficiency": math.nan}, r"efficiency=nan must be above 0"),
        ({"prompt_tokens": 0}, r"prompt_tokens=0 must be a whole number of at least 1"),
        ({"answer_tokens": 2.5}, r"answer_tokens=2\.5 must be a whole number"),
        ({"reserve": 1}, r"reserve=1 must be at least 0 and below 1"),
        ({"weight_bytes": -2}, r"weight_bytes=-2 must be a finite number above 0"),
        ({"batch_at_most": 0}, r"batch_at_most=0 must be a whole number of at least 1"),
        ({"seconds_per_token_at_most": 1e-6}, r"is less than one sequence alone takes on inf2\.xlarge"),
    ],
)
def test_a_value_out_of_range_is_refused(changed, told):
    with pytest.raises(FinopsError, match=told):
        serving("llama3-8b", "inf2.xlarge", **{**REQUEST, **changed})
