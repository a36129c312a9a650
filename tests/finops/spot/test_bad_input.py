"""Values that can't be. Oracle: the message names the value, its limit and the remedy."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from course_lib.catalog import UnknownNameError, UnknownPriceError
from course_lib.finops.errors import FinopsError
from course_lib.finops.spot import (
    Billing,
    ConstantWait,
    ExponentialInterruptions,
    ExponentialWait,
    InterruptionTrace,
    LogNormalInterruptions,
    Pool,
    PriceTrace,
    ReplayedInterruptions,
    SampledWait,
    SpotError,
    SpotJob,
    SpotMarket,
    WeibullInterruptions,
    compare_purchase,
    market_from_catalog,
    simulate,
    study_intervals,
)

HOUR = 3600
JOB = {"useful_seconds": 10 * HOUR, "interval_seconds": 900, "checkpoint_seconds": 60}
CALM = ExponentialInterruptions(4 * HOUR)
START = datetime(2026, 1, 1, tzinfo=UTC)
TRACE = PriceTrace(START, (0, 10), (1.0, 2.0), 20, "test")


@pytest.mark.parametrize("value", [-1, math.nan, math.inf, "60", None, True])
@pytest.mark.parametrize(
    "name",
    ["useful_seconds", "interval_seconds", "checkpoint_seconds", "restart_seconds", "start_seconds", "notice_seconds"],
)
def test_a_job_takes_only_times(name, value):
    with pytest.raises(SpotError, match=rf"{name}=.*Remedy"):
        SpotJob(**{**JOB, name: value})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SpotJob(0, 1, 1), "useful_seconds=0"),
        (lambda: SpotJob(1, 0, 1), "interval_seconds=0"),
        (lambda: ExponentialInterruptions(0), "mean_seconds=0"),
        (lambda: ExponentialInterruptions(math.inf), "finite"),
        (lambda: WeibullInterruptions(1, 0), "shape=0"),
        (lambda: LogNormalInterruptions(1, -1), "sigma=-1"),
        (lambda: ConstantWait(-1), "seconds=-1"),
        (lambda: ExponentialWait([]), "names no pool"),
        (lambda: ExponentialWait([1, -1]), "mean_seconds=-1"),
        (lambda: SampledWait(()), "holds no wait"),
        (lambda: Billing(minimum_seconds=-1), "minimum_seconds=-1"),
        (lambda: SpotMarket(CALM, 0), "usd_per_hour=0"),
        (lambda: SpotMarket(CALM, 1.0, on_demand_usd_per_hour=0), "on_demand_usd_per_hour=0"),
        (lambda: SpotMarket(CALM, 1.0, taken_share=25), "0.25 for one of four"),
        (lambda: SpotMarket(CALM, 1.0, max_usd_per_hour=2.0), "constant price"),
        (lambda: SpotMarket(CALM, TRACE, max_usd_per_hour=0.5), "as AWS advises"),
        (lambda: Pool("a", 0, 1), "usd_per_hour=0"),
        (lambda: Pool("a", 1, -1), "mean_seconds_between_interruptions=-1"),
        (lambda: Pool("a", 1, 1, common_share=30), "0.3 for 30 %"),
        (lambda: Pool("a", 1, 1, at_most=-1), "at_most=-1"),
    ],
)
def test_the_message_says_which_value_and_what_instead(make, words):
    with pytest.raises(SpotError, match=words) as caught:
        make()
    assert "Remedy" in str(caught.value)
    assert isinstance(caught.value, FinopsError | ValueError)


def market(**more):
    return SpotMarket(CALM, 1.0, **more)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: simulate(SpotJob(**JOB), market(), runs=0), "runs=0"),
        (lambda: simulate(SpotJob(**JOB), market(), deadline_seconds=20 * HOUR), "on_demand_usd_per_hour"),
        (
            lambda: simulate(SpotJob(**JOB), market(on_demand_usd_per_hour=2.0), deadline_seconds=10 * HOUR),
            "missed even on demand, which takes 38400 s",
        ),
        (
            lambda: simulate(SpotJob(**JOB), market(on_demand_usd_per_hour=2.0), deadline_seconds=math.nan),
            "missed even on demand",
        ),
        (
            lambda: simulate(SpotJob(HOUR, HOUR, 60), SpotMarket(ExponentialInterruptions(60), 1.0), max_launches=50),
            "max_launches=50.*checkpoint more often",
        ),
        (
            lambda: simulate(
                SpotJob(**JOB),
                SpotMarket(ReplayedInterruptions(InterruptionTrace(START, (5.0,), 10, "test")), TRACE),
            ),
            "differs between prices and interruptions",
        ),
        (lambda: compare_purchase(SpotJob(**JOB), market()), "price to compare with"),
        (lambda: study_intervals(SpotJob(10, 1, 0), market()), "checkpoint_seconds=0"),
        (lambda: study_intervals(SpotJob(10, 1, 1), market(), factors=()), "factors"),
    ],
)
def test_an_impossible_simulation_says_why(call, words):
    with pytest.raises(SpotError, match=words):
        call()


def test_prices_that_nobody_published_are_not_made_up():
    with pytest.raises(UnknownPriceError, match="no spot sample"):
        market_from_catalog("trn1.32xlarge", CALM)
    with pytest.raises(UnknownNameError, match="trn1"):
        market_from_catalog("trn1.33xlarge", CALM)


def test_a_checkpoint_longer_than_the_notice_is_no_error_and_saves_nothing():
    """Oracle: the same run without the wish to save on notice."""
    job = {**JOB, "checkpoint_seconds": 121}
    wished, plain = SpotJob(**job, save_on_notice=True), SpotJob(**job)
    assert not wished.saves_on_notice
    assert SpotJob(**JOB, save_on_notice=True).saves_on_notice
    ours, theirs = (simulate(one, market(), runs=50) for one in (wished, plain))
    np.testing.assert_array_equal(ours.finish_seconds, theirs.finish_seconds)


def test_checkpoints_longer_than_the_time_between_interruptions_still_add_up():
    """Oracle: Daly's formula, with C above M."""
    from course_lib.arithmetic import time_per_useful_time

    job = SpotJob(20 * HOUR, 1800, 1.5 * HOUR)
    runs = simulate(job, SpotMarket(ExponentialInterruptions(HOUR), 1.0), runs=1_000)
    expected = time_per_useful_time(1800, 1.5 * HOUR, HOUR)
    assert runs.time_per_useful_time().value == pytest.approx(expected, rel=0.03)
