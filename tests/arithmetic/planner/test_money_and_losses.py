"""Prices and failures of a plan. Oracle: Llama 3's counts, Daly's formula and divisions by hand."""

import pytest

from course_lib.arithmetic import (
    Layout,
    Reliability,
    checkpoint_interval,
    custom_cluster,
    instance_cluster,
    predict,
    time_per_useful_time,
)

LAYOUT = Layout(tensor_parallel=8, data_parallel=8)
CLUSTER = instance_cluster("p5.48xlarge", 8)


def test_llama_3s_cluster_fails_every_three_hours():
    """Oracle: 419 interruptions in 54 days of 16,384 H100, arXiv:2407.21783 Table 5: one in 3.09 h."""
    cluster = custom_cluster("h100", 16_384, network_gbit_per_s_per_node=3200)
    layout = Layout(tensor_parallel=8, pipeline_parallel=16, data_parallel=128)
    losses = predict("llama3-405b", cluster, layout, 2048, sequence_length=8192).losses
    assert losses.mtbf_seconds / 3600 == pytest.approx(3.09, rel=0.002)
    assert 1 / losses.time_per_useful_time > 0.90  # "more than 90 % effective training time"


def test_losses_are_dalys():
    """Oracle: the room's own formulas, tested against Daly 2006."""
    rates = Reliability(failures_per_1000_node_days=6.5, checkpoint_bytes_per_s_per_node=1e8, restart_seconds=300)
    losses = predict("llama3-8b", CLUSTER, LAYOUT, 64, reliability=rates).losses
    assert losses.mtbf_seconds == pytest.approx(86_400 * 1000 / (8 * 6.5))
    assert losses.checkpoint_seconds == pytest.approx(14 * 8_030_261_248 / 8e8)
    interval = float(checkpoint_interval(losses.checkpoint_seconds, losses.mtbf_seconds, "daly"))
    ratio = time_per_useful_time(interval, losses.checkpoint_seconds, losses.mtbf_seconds, restart_seconds=300)
    assert losses.interval_seconds == interval
    assert losses.time_per_useful_time == ratio


def test_money_is_time_times_price_failures_included():
    """Oracle: 8 instances at 55.04 USD per hour."""
    one = predict("llama3-8b", CLUSTER, LAYOUT, 64, tokens=1e12)
    wall = one.time.seconds * one.losses.time_per_useful_time
    assert one.usd_per_step == pytest.approx(wall * 8 * 55.04 / 3600)
    assert one.usd_per_million_tokens == pytest.approx(one.usd_per_step / (64 * 8192) * 1e6)
    assert one.tokens_per_usd == pytest.approx(64 * 8192 / one.usd_per_step)
    assert one.run_days == pytest.approx(1e12 / (64 * 8192) * wall / 86_400)
    assert one.run_usd == pytest.approx(1e12 / (64 * 8192) * one.usd_per_step)
    share = one.losses.added_share / (1 + one.losses.added_share)
    assert one.failure_days == pytest.approx(one.run_days * share)
    assert one.failure_usd == pytest.approx(one.run_usd * share)
    assert one.effective_tokens_per_second < one.tokens_per_second


def test_an_unknown_price_leaves_money_out_and_time_in():
    """Oracle: the catalog has no price for p5e.48xlarge."""
    one = predict("llama3-8b", instance_cluster("p5e.48xlarge", 8), LAYOUT, 64, tokens=1e12)
    assert (
        one.usd_per_step is one.usd_per_million_tokens is one.tokens_per_usd is one.run_usd is one.failure_usd is None
    )
    assert one.run_days > 0
    assert predict("llama3-8b", instance_cluster("p5e.48xlarge", 8, usd_per_hour=60.0), LAYOUT, 64).usd_per_step > 0


def test_more_failures_cost_more():
    """Oracle: monotony."""
    bills = [
        predict(
            "llama3-8b", CLUSTER, LAYOUT, 64, reliability=Reliability(failures_per_1000_node_days=rate)
        ).usd_per_step
        for rate in (1.0, 10.0, 100.0)
    ]
    assert bills == sorted(bills)
    assert bills[0] < bills[2]


def test_utilization_counts_recomputation_in_hfu_only():
    """Oracle: a full recomputation repeats a forward pass of the layers: nearly a third on top."""
    selene = custom_cluster("a100-80gb", 64, network_gbit_per_s_per_node=1600)
    layout = Layout(tensor_parallel=8, pipeline_parallel=8, recomputation="full")
    full = predict("gpt3-175b", selene, layout, 64, software="megatron")
    assert full.hfu / full.mfu == pytest.approx(4 / 3, rel=0.01)
    none = predict("llama3-8b", CLUSTER, LAYOUT, 64)
    assert none.hfu == none.mfu
    assert 0.2 < none.mfu < 0.65


def test_a_chip_without_published_runs_says_so():
    """Oracle: no run on Trainium2 is in the catalog."""
    assert not predict("llama3-8b", instance_cluster("trn2.48xlarge", 4), LAYOUT, 64).calibrated
    assert predict("llama3-8b", CLUSTER, LAYOUT, 64).calibrated
