"""The detector step by step. Oracle: noise-free series whose next value is known, SciPy's MAD, and hand-made events."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from scipy.stats import median_abs_deviation

from course_lib.finops.anomalies import DAILY, Rule, detect, make_trace
from course_lib.finops.anomalies.baseline import Baseline
from course_lib.finops.errors import FinopsError
from course_lib.finops.usage import HOUR, SpendSeries, daily

MONDAY = date(2026, 9, 7)
WEEK = np.array([100, 110, 120, 110, 100, 40, 30.0])


def weeks(count, slope=0.0, noise=0.0, seed=0):
    number = np.arange(7 * count)
    random = np.random.default_rng(seed)
    return np.resize(WEEK, 7 * count) + slope * number + random.normal(0, noise, 7 * count)


def of(usd, name="total", first=MONDAY):
    return daily(name, first, list(usd))


def kinds(usd, rule=DAILY):
    found = detect(of(usd), rule)
    return [(one.kind, (one.start - found.series.start).days, (one.last - one.start).days) for one in found.anomalies]


@pytest.mark.parametrize("slope", [0.0, 0.4, -0.4])
def test_a_pattern_without_noise_is_expected_exactly(slope):
    usd = weeks(10, slope)
    found = detect(of(usd))
    assert found.expected[35:] == pytest.approx(usd[35:], abs=1e-9)
    assert found.anomalies == ()


def test_scatter_is_scipys_mad():
    residuals = list(np.random.default_rng(0).standard_t(2, 28))
    assert Baseline(DAILY, residuals=residuals).scatter(0.0) == pytest.approx(
        median_abs_deviation(residuals, scale=1 / 1.4826)
    )


def test_a_day_is_judged_by_its_own_past_only():
    """What is said of a day doesn't change when later days become known."""
    trace = make_trace(71)
    whole = detect(trace.series)
    for end in (50, 90, 130, 171):
        part = detect(replace(trace.series, usd=trace.series.usd[:end]))
        assert np.array_equal(part.expected, whole.expected[:end])
        assert np.array_equal(part.upper, whole.upper[:end])
        assert [one.id for one in part.anomalies] == [
            one.id for one in whole.anomalies if (one.start - trace.series.start).days < end
        ]


def test_a_spike_is_told_with_its_cost_and_not_learnt():
    usd = weeks(10, noise=2.0)
    usd[45] += 300
    found = detect(of(usd))
    (one,) = found.anomalies
    assert (one.kind, one.start, one.last) == ("jump", found.series.times[45], found.series.times[45])
    assert one.impact_usd == pytest.approx(300, abs=12)
    assert found.expected[52] == pytest.approx(WEEK[52 % 7], abs=6)  # the same weekday a week later
    assert not one.open
    assert "total: jump from 2026-10-22, until 2026-10-22: 2" in str(one)


def test_a_lasting_shift_is_told_once_and_becomes_the_level():
    usd = weeks(14, noise=2.0)
    usd[40:] += 80
    assert kinds(usd) == [("jump", 40, DAILY.settle - 1)]
    assert detect(of(usd)).expected[60:] == pytest.approx(usd[60:], abs=12)
    usd[70] += 150  # the detector is not blind afterwards
    assert [start for _, start, _ in kinds(usd)] == [40, 70]


def test_what_goes_on_is_open():
    usd = weeks(8, noise=2.0)
    usd[-3:] += 100
    (one,) = detect(of(usd)).anomalies
    assert one.open
    assert "goes on" in str(one)


def test_a_drop_and_a_missing_day_are_no_anomalies_and_bend_nothing():
    usd = weeks(14, noise=2.0)
    usd[30] = 0
    usd[50:] -= 25
    assert kinds(usd) == []
    usd[80] += 60  # seen against the lower level
    assert kinds(usd) == [("jump", 80, 0)]


def test_a_missing_first_week_does_not_haunt_the_weekday():
    usd = weeks(12, noise=2.0)
    usd[3] = 0
    assert kinds(usd) == []


def test_a_slow_leak_is_found_though_no_day_stands_out():
    usd = weeks(16, noise=2.0)
    usd[50:] += 1.3 * np.arange(len(usd) - 50)
    (found,) = kinds(usd)
    assert found[0] == "drift"
    assert 50 < found[1] <= 80
    assert kinds(weeks(16, slope=0.1, noise=2.0)) == []  # growth of 3 % a month is none


def test_floor_share_and_scatter_have_to_be_exceeded_all_three():
    usd = weeks(8, noise=2.0)
    usd[43] += 45
    assert kinds(usd) == [("jump", 43, 0)]
    assert kinds(usd, Rule(floor_usd=60)) == []
    assert kinds(usd, Rule(share=0.6)) == []
    assert kinds(usd, Rule(z=50)) == []
    cents = usd / 100
    assert kinds(cents) == []  # 41 % too much, of a dollar


def test_a_charge_at_each_months_beginning_is_expected_from_the_second_on():
    usd = weeks(22, noise=2.0)
    for number, day in enumerate(of(usd).days):
        if day.day == 1:
            usd[number] += 90
    found = detect(of(usd))
    assert [one.start.date() for one in found.anomalies] == [date(2026, 10, 1)]  # nobody could know the first
    assert detect(of(usd), Rule(month_edges=False)).anomalies[1:]


def test_incomplete_days_and_short_series_are_not_judged():
    usd = weeks(8)
    usd[-1] += 500
    assert detect(replace(of(usd), incomplete=1)).anomalies == ()
    assert detect(of(usd)).anomalies
    for length in range(15):
        assert detect(of(usd[:length])).anomalies == ()


def test_hours_have_days_and_weeks():
    number = np.arange(28 * 24)
    usd = 20 + 10 * (number % 24 >= 8) - 12 * ((number // 24) % 7 >= 5) + np.random.default_rng(0).normal(0, 0.5, 672)
    usd[400:406] += 15
    series = SpendSeries("total", datetime(2026, 9, 7, tzinfo=UTC), tuple(usd), step=HOUR)
    (one,) = detect(series).anomalies
    assert (one.start, one.last) == (series.times[400], series.times[405])
    assert one.last - one.start == timedelta(hours=5)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"floor_usd": -1}, r"floor_usd=-1 must be a finite number, 0 or more"),
        ({"season": 1}, r"season=1 must be a whole number of at least 2"),
        ({"warm": 3}, r"warm=3 must be a whole number of at least 7"),
        ({"memory": 10}, r"memory=10 must be a whole number of at least 14"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(given, said):
    with pytest.raises(FinopsError, match=said):
        Rule(**given)
