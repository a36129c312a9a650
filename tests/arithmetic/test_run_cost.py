"""run_cost, mfu and hfu. Oracle: published runs, and division by hand."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.arithmetic import ArithmeticInputError, hfu, mfu, run_cost, training_flops
from course_lib.catalog import instance, model

COST = {"config": "llama3-8b", "tokens": 15e12, "instance": "p5.48xlarge"}


def test_gpt3_on_1024_a100_takes_megatrons_34_days():
    """Oracle: SC21 section 5.1: 300B tokens at 140 TFLOP/s per A100, of which 6/8 are model FLOPs."""
    run = run_cost("gpt3-175b", 300e9, "p4d.24xlarge", instances=128, mfu=140 / 312 * 6 / 8)
    assert run.accelerators == 1024
    assert run.days == pytest.approx(34, rel=0.02)


def test_llama_3_405b_costs_its_published_gpu_hours():
    """Oracle: the model card's 30.84M H100-hours for 3.8e25 FLOPs, 34.6 % of 989 TFLOP/s."""
    run = run_cost("llama3-405b", 15.6e12, "p5.48xlarge", instances=2048, mfu=0.346)
    assert run.model_flops == pytest.approx(3.8e25, rel=0.01)
    assert run.accelerator_hours == pytest.approx(30.84e6, rel=0.01)


def test_each_field_follows_from_the_price_and_the_peak():
    """Oracle: 6 N D over 0.4 * 989e12 * 16, by hand, at two machines and 55.04 USD per hour."""
    run = run_cost(**COST, instances=2)
    seconds = 6 * 8_030_261_248 * 15e12 / (16 * 0.4 * 989e12)
    assert run.seconds == pytest.approx(seconds)
    assert run.usd == pytest.approx(seconds / 3600 * 2 * 55.04)
    assert run.days == pytest.approx(seconds / 86_400)
    assert run.instance_hours == pytest.approx(2 * run.hours) == pytest.approx(run.accelerator_hours / 8)
    assert run.tokens_per_usd * run.usd == pytest.approx(15e12)
    assert run.usd_per_million_tokens * 15e6 == pytest.approx(run.usd)
    assert run.tokens_per_second * run.seconds == pytest.approx(15e12)
    assert run.flops_per_s_per_accelerator == pytest.approx(0.4 * 989e12)


def test_names_and_rows_are_interchangeable():
    """Oracle: the same call with the catalog's objects."""
    assert run_cost(model("llama3-8b"), 15e12, instance("p5.48xlarge")) == run_cost(**COST)


def test_your_own_price_replaces_the_catalogs():
    """Oracle: proportionality to the price, and a price for an instance that has none."""
    listed, own = run_cost(**COST), run_cost(**COST, usd_per_hour=27.52)
    assert own.usd == pytest.approx(listed.usd / 2)
    assert run_cost("llama3-8b", 1e9, "trn1.32xlarge", purchase="spot", usd_per_hour=8.0).usd_per_hour == 8.0


def test_an_unknown_price_is_refused_with_the_way_out():
    """Oracle: the catalog's spot price of trn1.32xlarge, which nobody dated."""
    with pytest.raises(ArithmeticInputError, match=r"(?s)spot.*trn1\.32xlarge.*Remedy.*usd_per_hour="):
        run_cost("llama3-8b", 1e9, "trn1.32xlarge", purchase="spot")


def test_a_sequence_length_adds_attention():
    """Oracle: training_flops with the same sequence length."""
    run = run_cost(**COST, sequence_length=8192)
    assert run.model_flops == training_flops("llama3-8b", 15e12, sequence_length=8192).model_flops
    assert run.usd > run_cost(**COST).usd


@given(
    instances=st.integers(1, 4096), share=st.floats(0.05, 1.0), tokens=st.floats(1e6, 1e14),
)  # fmt: skip
def test_more_machines_finish_sooner_for_the_same_money_and_a_better_mfu_saves_both(instances, share, tokens):
    """Oracle: seconds go as 1/(instances * mfu), dollars as 1/mfu alone."""
    one = run_cost("llama3-8b", tokens, "p5.48xlarge", mfu=1.0)
    many = run_cost("llama3-8b", tokens, "p5.48xlarge", instances=instances, mfu=share)
    assert many.seconds == pytest.approx(one.seconds / (instances * share))
    assert many.usd == pytest.approx(one.usd / share)


def test_the_dtypes_peak_decides():
    """Oracle: the H100's FP8 peak is 1979 against 989."""
    half, eight = run_cost(**COST), run_cost(**COST, dtype="fp8")
    assert half.seconds / eight.seconds == pytest.approx(1979 / 989)


def test_mfu_inverts_run_cost():
    """Oracle: what run_cost assumed."""
    run = run_cost(**COST, mfu=0.37)
    assert mfu(run.model_flops, run.seconds, run.accelerators, accelerator="h100") == pytest.approx(0.37)


def test_hfu_is_four_thirds_of_mfu_under_full_recomputation_of_6nd():
    """Oracle: 8ND over 6ND."""
    flops = training_flops(175e9, 1e9, recomputation="full")
    ratio = hfu(flops.hardware_flops, 1e4, 1024, accelerator="a100-80gb") / mfu(
        flops.model_flops, 1e4, 1024, accelerator="a100-80gb"
    )
    assert ratio == pytest.approx(4 / 3)


def test_results_are_frozen():
    """Oracle: dataclasses refuse assignment."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        run_cost(**COST).usd = 0


def test_a_chip_may_reach_its_peak_and_no_more():
    """Oracle: 989 TFLOP in one second on one H100 is a fraction of exactly 1."""
    assert mfu(989e12, 1, accelerator="h100") == hfu(989e12, 1, accelerator="h100") == 1
    with pytest.raises(ArithmeticInputError, match="units"):
        mfu(990e12, 1, accelerator="h100")
