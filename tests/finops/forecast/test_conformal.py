"""The intervals' stretch. Oracle: the share of fresh errors inside, drawn by NumPy, and ranks by hand."""

from datetime import date

import numpy as np
import pytest

from course_lib.finops.forecast import BASELINES, FITTED, backtest, forecast
from course_lib.finops.forecast.conformal import NARROWEST, WIDEST, scores, stretch
from course_lib.finops.usage import daily


def test_an_error_is_measured_on_its_own_side():
    assert scores(np.array([3.0, -3.0]), np.array([1.0, 2.0]), np.array([6.0, 7.0])) == pytest.approx([0.5, 1.5])


@pytest.mark.parametrize(("level", "rank"), [(0.8, 8), (0.75, 8), (0.5, 5), (0.1, 1), (0.95, 9)])
def test_the_rank_is_that_of_one_more(level, rank):
    given = np.linspace(0.5, 2.5, 9)
    assert stretch(given[::-1], level) == pytest.approx(given[rank - 1])


def test_it_stays_within_its_limits():
    assert stretch(np.full(9, 0.01), 0.8) == NARROWEST
    assert stretch(np.full(9, 100.0), 0.8) == WIDEST


@pytest.mark.parametrize("claimed", [0.6, 1.28, 2.4])
def test_a_wrong_scatter_is_put_right(claimed):
    """Errors of standard deviation 1, intervals too narrow, right and too wide; 1.28 is the 80 % one."""
    random, inside = np.random.default_rng(0), []
    for _ in range(300):
        known, fresh = random.normal(size=56), random.normal(size=50)
        width = np.full(56, claimed)
        factor = stretch(scores(known, width, width), 0.8)
        inside.append(np.mean(np.abs(fresh) <= factor * claimed))
    assert np.mean(inside) == pytest.approx(0.8, abs=0.02)


def test_days_and_months_have_each_their_own_stretch():
    usd = 100 + np.random.default_rng(1).normal(0, 5, 100)
    series = daily("total", date(2026, 8, 3), list(usd))
    found = backtest(series, ("seasonal_naive",))["seasonal_naive"]
    told = forecast(series, method="seasonal_naive")
    assert told.errors["seasonal_naive"] == found
    plain, level = (
        np.array(told.upper_usd[:7]) - usd[-7:],
        np.quantile(usd[7:] - usd[:-7] - np.mean(usd[7:] - usd[:-7]), 0.9),
    )
    assert np.mean(plain) == pytest.approx(found.stretch * level, rel=0.2)
    assert found.stretch != found.stretch_total


def test_a_baseline_that_did_better_is_named_and_not_used():
    random = np.random.default_rng(0)
    usd = 100 + random.normal(0, 2, 90)
    usd[45:55] += 80
    usd[55:] = 60 + random.normal(0, 2, 35)
    told = forecast(daily("total", date(2026, 8, 3), list(usd)))
    assert min(told.errors, key=lambda name: told.errors[name].mae_usd) in BASELINES
    assert told.method in FITTED
    assert any(f"{told.method} is kept" in note for note in told.notes)
    calm = forecast(daily("total", date(2026, 8, 3), list(np.resize([100.0, 50.0, 70.0, 60.0, 90.0, 10.0, 20.0], 90))))
    assert not any("is kept" in note for note in calm.notes)
