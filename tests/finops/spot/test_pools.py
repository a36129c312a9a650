"""Pools and plans. Oracle: a brute-force race of exponential clocks, Wald's identity through simulation, counting."""

import math

import numpy as np
import pytest

from course_lib.finops.spot import EXACT, Pool, SpotError, SpotJob, compare_pools, job_mean_seconds

HOUR = 3600
JOB = SpotJob(100 * HOUR, 1800, 120, restart_seconds=600)


def test_the_first_of_many_clocks_rings_at_the_sum_of_their_rates():
    """Oracle: 200,000 races between every instance's own clock and each pool's common one."""
    pools = [Pool("a", 1.0, 2 * HOUR, common_share=0.4), Pool("b", 1.0, 5 * HOUR)]
    random = np.random.default_rng(4)
    clocks = [random.exponential(2 * HOUR / 0.6, 200_000) for _ in range(3)]
    clocks.append(random.exponential(2 * HOUR / 0.4, 200_000))
    clocks += [random.exponential(5 * HOUR, 200_000) for _ in range(2)]
    expected = np.minimum.reduce(clocks).mean()
    assert job_mean_seconds({"a": 3, "b": 2}, pools) == pytest.approx(expected, rel=0.01)


def test_independent_instances_of_one_pool_divide_its_mean():
    """Oracle: M / N."""
    assert job_mean_seconds({"a": 8}, [Pool("a", 1.0, 24 * HOUR)]) == pytest.approx(3 * HOUR)
    assert job_mean_seconds({"a": 8}, [Pool("a", 1.0, 24 * HOUR, common_share=1.0)]) == pytest.approx(24 * HOUR)


def test_the_cheapest_hour_is_not_the_cheapest_run_in_a_nervous_pool():
    """Oracle: the mean cost of simulated runs of both plans."""
    pools = [Pool("nervous", 1.0, 2 * HOUR), Pool("calm", 1.3, 24 * HOUR)]
    compared = compare_pools(JOB, pools, 4, runs=500)
    assert not compared.cheapest_hour_is_cheapest_run
    assert compared.cheapest_hour.allocation == {"nervous": 4}
    assert compared.cheapest_run.allocation == {"calm": 4}
    errors = [plan.runs.mean("cost_usd").standard_error for plan in (compared.cheapest_hour, compared.cheapest_run)]
    assert compared.cheapest_hour.usd - compared.cheapest_run.usd > 5 * math.hypot(*errors)


@pytest.mark.parametrize("billing", [None, EXACT])
def test_the_formula_ranks_as_the_simulation_does(billing):
    """Oracle: simulated cost and finishing time of all 15 plans, within 2 %."""
    pools = [
        Pool("a", 1.0, 4 * HOUR, mean_wait_seconds=900),
        Pool("b", 1.3, 24 * HOUR, common_share=0.5, mean_wait_seconds=300),
        Pool("c", 1.15, 12 * HOUR),
    ]
    more = {} if billing is None else {"billing": billing}
    plans = compare_pools(JOB, pools, 4, simulate_best=15, runs=400, **more).plans
    assert len(plans) == math.comb(4 + 2, 2)
    for plan in plans:
        assert plan.expected_usd == pytest.approx(plan.runs.mean("cost_usd").value, rel=0.02), plan.allocation
        assert plan.expected_seconds == pytest.approx(plan.runs.mean("finish_seconds").value, rel=0.02)
    assert [plan.usd for plan in plans] == sorted(plan.usd for plan in plans)


def test_the_first_launch_waits_too():
    """Oracle: simulated runs that hardly ever stop, so that nearly all of their waiting is the first."""
    pool = Pool("a", 1.0, 1000 * HOUR, mean_wait_seconds=20 * HOUR)
    plan = compare_pools(SpotJob(10 * HOUR, 1800, 120), [pool], 1, runs=20_000).cheapest_run
    found = plan.runs.mean("finish_seconds")
    assert plan.expected_seconds == pytest.approx(found.value, abs=4 * found.standard_error)
    assert plan.expected_seconds > 30 * HOUR


@pytest.mark.parametrize("price", [0.1, 0.3, 0.7582, 1.34375, 3.3333])
def test_a_single_instance_takes_the_whole_price_with_it(price):
    """Oracle: the definition; a share a bit above 1, from rounding, would be refused."""
    for hours in range(1, 40):
        compared = compare_pools(JOB, [Pool("a", price, hours * HOUR * 1.1)], 1, runs=2)
        assert compared.cheapest_run.runs.free_seconds.max() <= compared.cheapest_run.runs.spot_seconds.max()


def test_room_limits_the_plans():
    """Oracle: the allocations counted by hand."""
    pools = [Pool("a", 1.0, HOUR, at_most=1), Pool("b", 2.0, 9 * HOUR, at_most=2), Pool("c", 3.0, 9 * HOUR, at_most=0)]
    plans = compare_pools(JOB, pools, 2, runs=50).plans
    assert sorted(tuple(sorted(plan.allocation.items())) for plan in plans) == [(("a", 1), ("b", 1)), (("b", 2),)]


def test_a_hopeless_plan_is_listed_and_not_simulated():
    """Oracle: e^100 of Daly's formula, which no run survives."""
    pools = [Pool("hopeless", 0.1, 20.0), Pool("calm", 1.0, 24 * HOUR)]
    compared = compare_pools(JOB, pools, 1, runs=50)
    assert compared.cheapest_run.allocation == {"calm": 1}
    assert compared.plans[-1].expected_usd == math.inf
    assert compared.plans[-1].runs is None


@pytest.mark.parametrize(
    ("pools", "instances", "words"),
    [
        ([], 1, "different names"),
        ([Pool("a", 1.0, HOUR), Pool("a", 2.0, HOUR)], 1, "different names"),
        ([Pool("a", 1.0, HOUR, at_most=3)], 4, "room for 3"),
        ([Pool(name, 1.0, HOUR) for name in "abcdefgh"], 32, "too many ways"),
        ([Pool("a", 1.0, HOUR)], 0, "at least 1"),
    ],
)
def test_impossible_comparisons_say_why(pools, instances, words):
    with pytest.raises(SpotError, match=words):
        compare_pools(JOB, pools, instances)


def test_an_unknown_pool_is_named_with_the_known_ones():
    with pytest.raises(SpotError, match=r"'z' is unknown.*\['a'\]"):
        job_mean_seconds({"z": 1}, [Pool("a", 1.0, HOUR)])
    with pytest.raises(SpotError, match="holds no instance"):
        job_mean_seconds({"a": 0}, [Pool("a", 1.0, HOUR)])
