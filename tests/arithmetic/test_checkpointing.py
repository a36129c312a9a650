"""checkpoint_interval and what failures cost. Oracle: brute-force minimization, a simulation, and worked numbers."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.arithmetic import (
    checkpoint_interval,
    failure_share,
    mean_seconds_between_failures,
    observed_seconds_between_failures,
    spot_break_even,
    time_per_useful_time,
)

HOUR = 3600
SPOT = {"checkpoint_seconds": 120, "mtbf_seconds": 4 * HOUR}


def test_two_minute_checkpoints_against_four_hour_interruptions():
    """Oracle: numbers worked out by hand in hours: Young 0.51640, Daly 0.49441, overheads 1.18972, 1.18959, 1.17077."""
    young, daly = checkpoint_interval(**SPOT), checkpoint_interval(**SPOT, method="daly")
    assert float(young) / HOUR == pytest.approx(0.51640, abs=5e-6)
    assert daly.interval_seconds / HOUR == pytest.approx(0.49441, abs=5e-6)
    restart = {"restart_seconds": 600}
    assert time_per_useful_time(float(young), 120, 4 * HOUR, **restart) == pytest.approx(1.18972, abs=5e-6)
    best = time_per_useful_time(float(daly), 120, 4 * HOUR, **restart)
    assert best == pytest.approx(1.18959, abs=5e-6)
    first_order = time_per_useful_time(float(young), 120, 4 * HOUR, **restart, method="first_order")
    assert first_order == pytest.approx(1.17077, abs=5e-6)
    assert spot_break_even(best) == pytest.approx(0.84063, abs=5e-6)


def simulated_overhead(interval, checkpoint, mtbf, restart, work, draw):
    """Wall time over useful time of one job, failures drawn one by one; a restart can fail as well."""
    wall = saved = 0.0
    next_failure = draw.expovariate(1 / mtbf)
    while saved < work:
        end = wall + interval + checkpoint
        if end <= next_failure:
            wall, saved = end, saved + interval
            continue
        wall = next_failure
        while True:
            next_failure = wall + draw.expovariate(1 / mtbf)
            if next_failure >= wall + restart:
                break
            wall = next_failure
        wall += restart
    return wall / saved


def test_the_exponential_form_is_what_a_simulated_job_takes():
    """Oracle: 200 simulated jobs of 200 h with random failures (a standard error of about 0.2 %)."""
    draw = random.Random(3)
    interval = float(checkpoint_interval(**SPOT))
    runs = [simulated_overhead(interval, 120, 4 * HOUR, 600, 200 * HOUR, draw) for _ in range(200)]
    expected = time_per_useful_time(interval, 120, 4 * HOUR, restart_seconds=600)
    assert sum(runs) / len(runs) == pytest.approx(expected, rel=0.006)


@given(c=st.floats(1, 600), ratio=st.floats(20, 5000))
def test_dalys_interval_is_within_a_thousandth_of_the_best_and_never_worse_than_youngs(c, ratio):
    """Oracle: a search over 400 intervals for the least exponential overhead."""
    m = c * ratio
    center = math.sqrt(2 * c * m)
    best = min(time_per_useful_time(center * 2 ** (k / 100), c, m) for k in range(-200, 200))
    young, daly = (time_per_useful_time(float(checkpoint_interval(c, m, how)), c, m) for how in ("young", "daly"))
    assert daly <= young * (1 + 1e-9)
    assert daly == pytest.approx(best, rel=1e-3)


def test_a_checkpoint_longer_than_twice_the_mtbf_leaves_the_mtbf():
    """Oracle: Daly 2006, eq. 37, second branch."""
    assert float(checkpoint_interval(200, 100, "daly")) == 100
    assert float(checkpoint_interval(200, 100.0001, "daly")) == pytest.approx(200 * (1 + 1 / 3 + 1 / 9) - 200, rel=1e-4)


@given(c=st.floats(0, 600), m=st.floats(4000, 1e6), t=st.floats(60, 4000), r=st.floats(0, 600))
def test_the_first_order_form_is_a_lower_bound_that_closes_in_as_failures_get_rare(c, m, t, r):
    """Oracle: a Taylor series whose dropped terms are all positive."""
    exact = time_per_useful_time(t, c, m, restart_seconds=r)
    first = time_per_useful_time(t, c, m, restart_seconds=r, method="first_order")
    assert 1 <= first <= exact * (1 + 1e-12)
    rare = [time_per_useful_time(t, c, 1e9, restart_seconds=r, method=how) for how in ("exponential", "first_order")]
    assert rare[0] == pytest.approx(rare[1], rel=1e-5)


def test_llama_3s_run_failed_every_three_hours():
    """Oracle: 419 unexpected interruptions in 54 days, one per 3.09 h."""
    assert observed_seconds_between_failures(419, 54 * 24 * HOUR) / HOUR == pytest.approx(3.09, abs=0.005)


@pytest.mark.parametrize(("gpus", "hours"), [(16_384, 1.8), (131_072, 0.23)])
def test_rsc1s_rate_gives_the_projected_mean_time_to_failure(gpus, hours):
    """Oracle: Kokolis et al. 2024: 1.8 h at 16,384 and 0.23 h at 131,072 GPUs."""
    ours = mean_seconds_between_failures(gpus, failures_per_1000_node_days=6.5) / HOUR
    assert ours == pytest.approx(hours, rel=0.025)


def test_a_node_that_fails_once_a_day_takes_its_job_down_once_a_day():
    """Oracle: 1000 failures per 1000 node-days, one node, then two."""
    assert mean_seconds_between_failures(8, failures_per_1000_node_days=1000) == 24 * HOUR
    assert mean_seconds_between_failures(8, failures_per_1000_node_days=1000, accelerators_per_node=4) == 12 * HOUR


def test_shares_reach_from_none_to_all():
    """Oracle: no failure of four, and four of four."""
    assert (failure_share(0, 4), failure_share(4, 4)) == (0, 1)
