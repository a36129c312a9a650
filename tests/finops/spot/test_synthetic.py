"""Made-up markets. Oracle: NumPy's statistics of long traces, and the renewal theorem."""

import math

import numpy as np
import pytest

from course_lib.finops.spot import (
    ExponentialInterruptions,
    SpotError,
    WeibullInterruptions,
    correlated_interruptions,
    mean_reverting_prices,
    renewal_interruptions,
)

HOUR = 3600


def test_made_up_prices_have_the_mean_spread_memory_and_correlation_that_were_asked_for():
    """Oracle: NumPy's statistics of 60,000 hours."""
    traces = mean_reverting_prices(
        {"a": 2.0, "b": 7.0}, 60_000, seed=1, reversion_hours=10, deviation=0.2, correlation=0.6
    )
    assert traces["a"].mean_usd_per_hour == pytest.approx(2.0, rel=0.01)
    assert traces["b"].mean_usd_per_hour == pytest.approx(7.0, rel=0.01)
    logs = np.log([traces["a"].usd_per_hour, traces["b"].usd_per_hour])
    assert logs.std(axis=1) == pytest.approx([0.2, 0.2], rel=0.03)
    assert np.corrcoef(logs)[0, 1] == pytest.approx(0.6, abs=0.03)
    assert np.corrcoef(logs[0, :-10], logs[0, 10:])[0, 1] == pytest.approx(math.exp(-1), abs=0.03)
    capped = mean_reverting_prices({"a": 2.0}, 100, seed=1, deviation=0.5, at_most={"a": 2.1})["a"]
    assert capped.usd_per_hour.max() == 2.1
    assert "seed=1" in capped.source


def test_made_up_interruptions_come_at_the_rate_and_together_as_often_as_asked_for():
    """Oracle: counts in 20,000 days; covariance of the counts is the common rate (Marshall and Olkin)."""
    days, means = 20_000, {"a": 4 * HOUR, "b": 8 * HOUR}
    traces = correlated_interruptions(means, days * 24 * HOUR, seed=3, common_share=0.5)
    counts = [np.histogram(trace.seconds, days, (0, days * 24 * HOUR))[0] for trace in traces.values()]
    assert counts[0].mean() == pytest.approx(6, rel=0.02)
    assert counts[1].mean() == pytest.approx(3, rel=0.02)
    assert np.cov(counts)[0, 1] == pytest.approx(0.5 * 3, rel=0.1)
    apart = correlated_interruptions(means, days * 24 * HOUR, seed=3)
    counts = [np.histogram(trace.seconds, days, (0, days * 24 * HOUR))[0] for trace in apart.values()]
    assert abs(np.cov(counts)[0, 1]) < 0.15


@pytest.mark.parametrize("process", [ExponentialInterruptions(4 * HOUR), WeibullInterruptions(4 * HOUR, 0.6)])
def test_renewals_come_at_one_per_mean_life(process):
    """Oracle: the elementary renewal theorem."""
    trace = renewal_interruptions(process, 40_000 * HOUR, seed=6)
    assert len(trace.seconds) == pytest.approx(10_000, rel=0.04)
    lives = np.diff(trace.seconds)
    assert lives.mean() == pytest.approx(4 * HOUR, rel=0.04)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mean_reverting_prices({}, 5, seed=1), "at least one pool"),
        (lambda: mean_reverting_prices({"a": 0}, 5, seed=1), "above 0"),
        (lambda: mean_reverting_prices({"a": 1}, 5, seed=1, correlation=60), "0.3 for 30 %"),
        (lambda: mean_reverting_prices({"a": 1}, 5, seed=1, at_most={"b": 1}), r"\['b'\] is unknown"),
        (lambda: mean_reverting_prices({"a": 1}, 0, seed=1), "hours=0"),
        (lambda: correlated_interruptions({"a": -1}, 5, seed=1), "above 0"),
        (lambda: correlated_interruptions({"a": 1e9}, 5, seed=1), "at least one moment"),
        (lambda: renewal_interruptions(ExponentialInterruptions(1e9), 5, seed=1), "at least one moment"),
    ],
)
def test_impossible_markets_are_refused(call, words):
    with pytest.raises(SpotError, match=words):
        call()
