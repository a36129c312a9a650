"""What simulated runs cost on average. Oracle: Daly's formula, Wald's identity and the renewal-reward theorem."""

import math

import numpy as np
import pytest

from course_lib.arithmetic import checkpoint_interval, time_per_useful_time
from course_lib.finops.spot import (
    AWS_LINUX,
    EXACT,
    ConstantWait,
    ExponentialInterruptions,
    ExponentialWait,
    LogNormalInterruptions,
    SpotJob,
    SpotMarket,
    WeibullInterruptions,
    simulate,
)

HOUR = 3600


def market(interruptions, **more):
    return SpotMarket(interruptions, 1.0, **{"billing": EXACT, **more})


def test_the_worked_numbers_of_two_minute_checkpoints_and_four_hour_interruptions():
    """Oracle: E/W = 1.18972 at Young's interval, worked out in hours."""
    interval = checkpoint_interval(120, 4 * HOUR).interval_seconds
    job = SpotJob(400 * interval, interval, 120, restart_seconds=600)
    ratio = simulate(job, market(ExponentialInterruptions(4 * HOUR))).time_per_useful_time()
    assert ratio.value == pytest.approx(1.18972, abs=4 * ratio.standard_error)
    assert ratio.standard_error < 4e-4


GRID = [
    (interval, checkpoint, mean, restart)
    for mean in (0.5 * HOUR, 2 * HOUR, 8 * HOUR, 48 * HOUR)
    for checkpoint in (5, 300)
    for restart in (0, 900)
    for interval in (300, 1200, 3600)
]


def test_the_mean_finishing_time_is_within_2_percent_of_dalys_formula_on_the_whole_grid():
    """Oracle: Daly 2006, eq. 13, on 48 combinations; all but a few within 3 standard errors."""
    misses = 0
    for interval, checkpoint, mean, restart in GRID:
        expected = time_per_useful_time(interval, checkpoint, mean, restart_seconds=restart)
        job = SpotJob(120 * HOUR, interval, checkpoint, restart_seconds=restart)
        found = simulate(job, market(ExponentialInterruptions(mean)), runs=400).time_per_useful_time()
        assert found.value == pytest.approx(expected, rel=0.02), (interval, checkpoint, mean, restart)
        misses += abs(found.value - expected) > 3 * found.standard_error
    assert misses <= 2  # of 48, where 0.1 are expected


def test_interruptions_and_waits_follow_walds_identity():
    """Oracle: running time over M interruptions; one mean wait for each and for the first launch."""
    job = SpotJob(100 * HOUR, 1800, 60, restart_seconds=300)
    calm = simulate(job, market(ExponentialInterruptions(3 * HOUR)))
    running = 100 * HOUR * time_per_useful_time(1800, 60, 3 * HOUR, restart_seconds=300)
    count = calm.mean("interruptions")
    assert count.value == pytest.approx(running / (3 * HOUR), abs=4 * count.standard_error)
    waiting = simulate(job, market(ExponentialInterruptions(3 * HOUR), waits=ExponentialWait(1000)))
    waited = waiting.mean("waited_seconds")
    assert waited.value == pytest.approx(1000 * (1 + running / (3 * HOUR)), abs=4 * waited.standard_error)
    np.testing.assert_allclose(waiting.finish_seconds - waiting.waited_seconds, calm.finish_seconds)


def test_waiting_for_two_pools_takes_the_longer_wait():
    """Oracle: E max(X, Y) = a + b - 1 / (1/a + 1/b) for exponential X and Y."""
    waits = ExponentialWait([600, 1800]).waits(200_000, np.random.default_rng(1))
    expected = 600 + 1800 - 1 / (1 / 600 + 1 / 1800)
    assert waits.mean() == pytest.approx(expected, rel=0.01)


def integral(function, upper, points=400_001):
    """Midpoint rule."""
    edges = np.linspace(0, upper, points)
    middle = (edges[1:] + edges[:-1]) / 2
    return float((function(middle) * np.diff(edges)).sum())


def weibull_density(mean, shape):
    scale = mean / math.gamma(1 + 1 / shape)
    return lambda x: shape / scale * (x / scale) ** (shape - 1) * np.exp(-((x / scale) ** shape))


def lognormal_density(mean, sigma):
    mu = math.log(mean) - sigma**2 / 2
    return lambda x: np.exp(-((np.log(x) - mu) ** 2) / (2 * sigma**2)) / (x * sigma * math.sqrt(2 * math.pi))


PROCESSES = {
    "weibull 0.7": (WeibullInterruptions(4 * HOUR, 0.7), weibull_density(4 * HOUR, 0.7)),
    "weibull 2": (WeibullInterruptions(4 * HOUR, 2.0), weibull_density(4 * HOUR, 2.0)),
    "lognormal": (LogNormalInterruptions(4 * HOUR, 1.0), lognormal_density(4 * HOUR, 1.0)),
}


@pytest.mark.parametrize("name", PROCESSES)
def test_a_run_of_one_segment_is_a_renewal_problem(name):
    """Oracle: L + E[X; X < L] / P(X >= L), the mean time until the first life of at least L."""
    process, density = PROCESSES[name]
    work, restart, checkpoint = 3 * HOUR, 600, 60
    needed = restart + work + checkpoint
    short = integral(density, needed)
    expected = needed + integral(lambda x: x * density(x), needed) / (1 - short)
    job = SpotJob(work, work, checkpoint, restart_seconds=restart, start_seconds=restart)
    found = simulate(job, market(process), runs=40_000).mean("finish_seconds")
    assert found.value == pytest.approx(expected, abs=4 * found.standard_error)


@pytest.mark.parametrize("save_on_notice", [False, True])
@pytest.mark.parametrize("name", PROCESSES)
def test_a_long_run_advances_as_the_renewal_reward_theorem_says(name, save_on_notice):
    """Oracle: work saved in a mean life over the mean life and wait (Ross, "Stochastic Processes", theorem 3.6.1)."""
    process, density = PROCESSES[name]
    restart, interval, checkpoint, notice, wait = 600, 1800, 90, 120, 400

    def saved(life):
        worked = np.maximum(life - restart - (notice if save_on_notice else 0), 0)
        whole = np.floor(worked / (interval + checkpoint))
        rest = np.minimum(worked - whole * (interval + checkpoint), interval) if save_on_notice else 0
        return whole * interval + rest

    upper = 150 * HOUR
    expected = (4 * HOUR + wait) / integral(lambda x: saved(x) * density(x), upper)
    job = SpotJob(3000 * HOUR, interval, checkpoint, restart_seconds=restart, save_on_notice=save_on_notice)
    found = simulate(job, market(process, waits=ConstantWait(wait)), runs=300).time_per_useful_time()
    assert found.value == pytest.approx(expected, rel=0.01)


def test_free_first_hours_are_worth_what_the_truncated_exponential_says():
    """Oracle: E[X; X < h] = M - (M + h) e^(-h/M) for each launch of a long run."""
    mean = 2 * HOUR
    job = SpotJob(1000 * HOUR, 1200, 60, restart_seconds=300)
    found = simulate(job, market(ExponentialInterruptions(mean), billing=AWS_LINUX), runs=400)
    launches = 1 + found.mean("interruptions").value
    expected = launches * (mean - (mean + HOUR) * math.exp(-HOUR / mean))
    assert found.mean("free_seconds").value == pytest.approx(expected, rel=0.005)
    paid = found.mean("spot_seconds").value - expected
    assert found.mean("cost_usd").value == pytest.approx(paid / HOUR, rel=0.005)


def test_seconds_are_rounded_up_and_a_minute_is_the_least():
    """Oracle: the rules of the EC2 User Guide, applied by hand."""
    ran = [0.2, 59.0, 60.0, 61.5, 3599.0, 3600.0, 7200.1]
    assert AWS_LINUX.billed_seconds(ran).tolist() == [60, 60, 60, 62, 3599, 3600, 7201]
    assert AWS_LINUX.billed_seconds(ran, True).tolist() == [0, 0, 0, 0, 0, 3600, 7201]
    assert EXACT.billed_seconds(ran, True).tolist() == ran
