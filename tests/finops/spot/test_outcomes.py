"""Estimates and their errors. Oracle: the spread of the estimates over 300 repetitions, and NumPy."""

import numpy as np
import pytest

from course_lib.finops.spot import (
    EXACT,
    ExponentialInterruptions,
    SpotError,
    SpotJob,
    SpotMarket,
    paired_difference,
    simulate,
)

HOUR = 3600
JOB = SpotJob(10 * HOUR, 900, 60, restart_seconds=300)
MARKET = SpotMarket(ExponentialInterruptions(2 * HOUR), 1.0, billing=EXACT)


@pytest.fixture(scope="module")
def repetitions():
    return [simulate(JOB, MARKET, runs=400, seed=seed) for seed in range(300)]


def test_the_error_of_a_mean_is_the_spread_of_means(repetitions):
    means = [runs.mean("finish_seconds") for runs in repetitions]
    spread = np.std([one.value for one in means])
    assert np.mean([one.standard_error for one in means]) == pytest.approx(spread, rel=0.15)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_the_error_of_a_quantile_is_the_spread_of_quantiles(repetitions, share):
    quantiles = [runs.quantile("finish_seconds", share) for runs in repetitions]
    spread = np.std([one.value for one in quantiles])
    assert np.mean([one.standard_error for one in quantiles]) == pytest.approx(spread, rel=0.25)
    values = repetitions[0].finish_seconds
    assert quantiles[0].value == np.quantile(values, share)


def test_with_the_same_seed_the_difference_of_two_policies_is_known_better_than_either():
    better = SpotJob(10 * HOUR, 900, 60, restart_seconds=200)
    ours, theirs = simulate(better, MARKET, runs=2_000), simulate(JOB, MARKET, runs=2_000)
    difference = paired_difference(ours.finish_seconds, theirs.finish_seconds)
    assert difference.value < 0
    assert difference.standard_error < 0.5 * ours.mean("finish_seconds").standard_error
    assert float(difference) == pytest.approx(ours.mean("finish_seconds").value - theirs.mean("finish_seconds").value)


def test_unknown_fields_and_percentages_are_refused(repetitions):
    with pytest.raises(SpotError, match="finish_seconds, cost_usd"):
        repetitions[0].mean("price")
    with pytest.raises(SpotError, match=r"0\.95 for 95 %"):
        repetitions[0].quantile("cost_usd", 95)
