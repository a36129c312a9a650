"""Deadlines, purchase and intervals. Oracle: guarantees that hold run by run, Daly's break-even, and a brute search."""

import math

import numpy as np
import pytest

from course_lib.arithmetic import checkpoint_interval, spot_break_even, time_per_useful_time
from course_lib.finops.spot import (
    EXACT,
    ExponentialInterruptions,
    ExponentialWait,
    LogNormalInterruptions,
    SpotJob,
    SpotMarket,
    WeibullInterruptions,
    compare_purchase,
    market_from_catalog,
    simulate,
    study_intervals,
)

HOUR = 3600


@pytest.mark.parametrize("save_on_notice", [False, True])
@pytest.mark.parametrize("process", [ExponentialInterruptions(HOUR), LogNormalInterruptions(2 * HOUR, 2.0)])
@pytest.mark.parametrize("slack", [0, 1, 600, 3 * HOUR, 30 * HOUR])
def test_with_the_fallback_no_run_is_late_however_bad_the_market(process, slack, save_on_notice):
    """Oracle: the deadline itself, for each of 2,000 runs."""
    job = SpotJob(20 * HOUR, 900, 45, restart_seconds=400, start_seconds=200, save_on_notice=save_on_notice)
    market = SpotMarket(process, 1.0, ExponentialWait(1500), on_demand_usd_per_hour=2.5, billing=EXACT)
    deadline = job.quiet_seconds + slack
    runs = simulate(job, market, runs=2_000, deadline_seconds=deadline)
    assert runs.finish_seconds.max() <= deadline * (1 + 1e-12)
    assert runs.late_share(deadline).value == 0
    hours = runs.on_demand_seconds / HOUR
    np.testing.assert_allclose(runs.cost_usd, runs.spot_seconds / HOUR + 2.5 * hours, rtol=1e-9)
    if slack == 0:
        np.testing.assert_allclose(runs.on_demand_seconds, job.quiet_seconds)  # no slack, so no spot at all


def test_a_later_deadline_costs_less_until_it_never_binds():
    """Oracle: monotony, and the runs without a deadline."""
    job = SpotJob(20 * HOUR, 900, 45, restart_seconds=400)
    market = SpotMarket(ExponentialInterruptions(2 * HOUR), 1.0, on_demand_usd_per_hour=3.0, billing=EXACT)
    costs = [
        simulate(job, market, runs=500, deadline_seconds=hours * HOUR).mean("cost_usd").value for hours in (22, 26, 32)
    ]
    assert costs[0] > costs[1] > costs[2]
    free = simulate(job, market, runs=500)
    far = simulate(job, market, runs=500, deadline_seconds=1000 * HOUR)
    np.testing.assert_array_equal(far.cost_usd, free.cost_usd)


def test_break_even_is_dalys_where_the_bill_is_exact():
    """Oracle: 0.84063, worked out for two-minute checkpoints and four-hour interruptions."""
    interval = checkpoint_interval(120, 4 * HOUR, method="daly").interval_seconds
    job = SpotJob(400 * interval, interval, 120, restart_seconds=600)
    market = SpotMarket(ExponentialInterruptions(4 * HOUR), 0.4, on_demand_usd_per_hour=1.0, billing=EXACT)
    compared = compare_purchase(job, market, runs=4_000)
    assert compared.formula_ratio == pytest.approx(0.84063, abs=1e-5)
    assert compared.break_even_ratio == pytest.approx(0.84063, abs=0.002)
    assert compared.saving.value == pytest.approx(1 - 0.4 / 0.84063, abs=0.002)
    at_break_even = SpotMarket(
        ExponentialInterruptions(4 * HOUR), compared.break_even_ratio, on_demand_usd_per_hour=1.0, billing=EXACT
    )
    assert compare_purchase(job, at_break_even, runs=4_000).saving.value == pytest.approx(0, abs=1e-9)


def test_late_share_and_guarded_runs_belong_to_the_deadline():
    """Oracle: the definition, counted by hand."""
    job = SpotJob(20 * HOUR, 900, 45, restart_seconds=400)
    market = SpotMarket(ExponentialInterruptions(2 * HOUR), 1.0, on_demand_usd_per_hour=3.0)
    compared = compare_purchase(job, market, deadline_seconds=24 * HOUR, runs=1_000)
    late = np.count_nonzero(compared.spot.finish_seconds > 24 * HOUR) / 1_000
    assert 0.02 < late < 0.98
    assert compared.late_share.value == late
    assert compared.late_share.standard_error == pytest.approx(math.sqrt(late * (1 - late) / 999), rel=1e-6)
    assert compared.guarded.late_share(24 * HOUR).value == 0
    assert compared.guarded.mean("cost_usd").value > compared.spot.mean("cost_usd").value


def test_the_catalogs_prices_come_with_their_sources():
    """Oracle: rows of prices.csv, read by eye (p5en.48xlarge, us-east-1: 27.1988 spot, 63.296 on demand)."""
    market = market_from_catalog("p5en.48xlarge", ExponentialInterruptions(4 * HOUR), region="us-east-1", count=2)
    assert market.usd_per_hour == pytest.approx(2 * 27.1988)
    assert market.on_demand_usd_per_hour == pytest.approx(2 * 63.296)
    assert market.taken_share == 0.5
    assert "dstack" in market.price_source
    assert "2026-08-06" in market.price_source


def test_under_exponential_interruptions_dalys_interval_is_the_best_to_a_quarter_percent():
    """Oracle: the minimum of Daly's exact expression, searched on a fine grid."""
    job = SpotJob(100 * HOUR, 1, 120, restart_seconds=600)
    market = SpotMarket(ExponentialInterruptions(4 * HOUR), 1.0, billing=EXACT)
    study = study_intervals(job, market, runs=1_500, factors=(0.25, 0.5, 0.8, 1.25, 2, 4))
    grid = np.linspace(300, 8000, 2_000)
    ratios = [time_per_useful_time(t, 120, 4 * HOUR, restart_seconds=600) for t in grid]
    assert study.daly.interval_seconds == pytest.approx(grid[int(np.argmin(ratios))], rel=0.01)
    for tried in study.tried:
        expected = time_per_useful_time(tried.interval_seconds, 120, 4 * HOUR, restart_seconds=600)
        assert tried.finish_seconds.value / (100 * HOUR) == pytest.approx(expected, rel=0.01)
    assert study.gain.value < 0.0025
    assert spot_break_even(min(ratios)) == pytest.approx(0.84063, abs=1e-4)


def test_a_checkpoint_on_notice_makes_long_intervals_the_best():
    """Oracle: with every life's end saved, each regular checkpoint is pure loss, so the longest interval wins."""
    job = SpotJob(100 * HOUR, 1, 100, restart_seconds=600, save_on_notice=True)
    market = SpotMarket(ExponentialInterruptions(4 * HOUR), 1.0, billing=EXACT)
    study = study_intervals(job, market, runs=400, factors=(0.5, 2, 8))
    assert study.best.interval_seconds == max(tried.interval_seconds for tried in study.tried)
    assert study.gain.value > 10 * study.gain.standard_error


@pytest.mark.parametrize("shape", [0.5, 2.0])
def test_lives_of_another_shape_leave_dalys_interval_within_half_a_percent_of_the_best(shape):
    """Oracle: a brute search over intervals by numerical integration (renewal-reward theorem)."""
    mean, restart, checkpoint = 4 * HOUR, 600, 120
    scale = mean / math.gamma(1 + 1 / shape)
    edges = np.linspace(0, 100 * HOUR, 200_001)
    life = (edges[1:] + edges[:-1]) / 2
    weight = -np.diff(np.exp(-((edges / scale) ** shape)))

    def ratio(interval):
        saved = np.floor(np.maximum(life - restart, 0) / (interval + checkpoint)) * interval
        return mean / float((saved * weight).sum())

    job = SpotJob(300 * HOUR, 1, checkpoint, restart_seconds=restart)
    market = SpotMarket(WeibullInterruptions(mean, shape), 1.0, billing=EXACT)
    study = study_intervals(job, market, runs=600, factors=(0.5, 0.8, 1.25, 2, 4))
    daly = study.daly.interval_seconds
    assert ratio(daly) / min(ratio(daly * factor) for factor in np.geomspace(0.3, 4, 60)) < 1.005
    assert study.gain.value < 0.005
    for tried in study.tried:
        found = tried.finish_seconds.value / study.daly.finish_seconds.value
        assert found == pytest.approx(ratio(tried.interval_seconds) / ratio(daly), rel=0.01)
