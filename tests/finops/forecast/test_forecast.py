"""The forecast. Oracle: series whose future is known, the two baselines in the same backtest, statsmodels' own fit, and
the errors' definitions computed by hand with NumPy."""

import subprocess
import sys
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from course_lib.finops.anomalies import make_trace
from course_lib.finops.forecast import BASELINES, FITTED, MODELS, ForecastError, backtest, forecast
from course_lib.finops.forecast.backtest import see
from course_lib.finops.forecast.models import draw
from course_lib.finops.usage import HOUR, SpendSeries, daily

FIRST = date(2026, 8, 3)  # a Monday
WEEK = np.array([100, 110, 120, 110, 100, 40, 30.0])


def weeks(days, noise=2.0, seed=0):
    return np.resize(WEEK, days) + np.random.default_rng(seed).normal(0, noise, days)


def of(usd, **given):
    return daily("total", FIRST, list(usd), **given)


@pytest.mark.slow
def test_the_errors_are_below_both_baselines_on_unseen_traces():
    """Traces with events in their past and none in the 28 days that are forecast, from one origin each."""
    found = {name: [] for name in (*BASELINES, "ours")}
    inside = []
    for seed in range(8000, 8003):
        trace = make_trace(seed, days=150, calm=35)
        usd = np.array(trace.series.usd)
        past, actual = usd[:-28], usd[-28:]
        scale = np.mean(np.abs(past[7:] - past[:-7]))
        told = forecast(replace(trace.series, usd=tuple(past)), trace.series.days[-1])
        guesses = {
            "ours": np.array(told.usd),
            "last_value": np.full(28, past[-1]),
            "seasonal_naive": np.resize(past[-7:], 28),
        }
        for name, guess in guesses.items():
            found[name].append(np.mean(np.abs(actual - guess)) / scale)
        inside.append(np.mean((actual >= told.lower_usd) & (actual <= told.upper_usd)))
    means = {name: np.mean(errors) for name, errors in found.items()}
    assert means["ours"] < min(means["last_value"], means["seasonal_naive"]), means
    assert np.mean(inside) >= 0.75  # of 0.8 that were promised


def test_a_known_future_is_found_with_its_months():
    usd = weeks(140)
    told = forecast(of(usd[:110]), FIRST + timedelta(days=139))
    assert told.method in FITTED
    assert told.usd == pytest.approx(np.resize(WEEK, 140)[110:], abs=6)
    assert np.mean((usd[110:] >= told.lower_usd) & (usd[110:] <= told.upper_usd)) > 0.6
    november = told.month("2026-11")
    days = of(usd).days
    spent = sum(one for one, day in zip(usd[:110], days[:110], strict=True) if day.month == 11)
    true = sum(one for one, day in zip(usd, days, strict=True) if day.month == 11)
    assert november.spent_usd == pytest.approx(spent)
    assert november.whole
    assert november.lower_usd < true < november.upper_usd
    assert november.usd == pytest.approx(true, rel=0.02)
    # The errors of days balance: a month is surer than the sum of its days' bounds.
    bounds = sum(high - low for high, low in zip(told.upper_usd[:10], told.lower_usd[:10], strict=True))
    assert november.upper_usd - november.lower_usd < bounds
    with pytest.raises(ForecastError, match=r"month='2027-05' is not forecast"):
        told.month("2027-05")


def test_it_reaches_to_the_end_of_the_next_month():
    told = forecast(of(weeks(60)))
    assert (told.days[0], told.days[-1]) == (FIRST + timedelta(days=60), date(2026, 11, 30))
    assert [month.month for month in told.months] == ["2026-10", "2026-11"]


def test_a_spike_is_not_repeated_and_what_goes_on_is():
    usd = weeks(90)
    usd[80] += 500
    calm = forecast(of(usd), method="ets")
    assert max(calm.usd) < 140
    usd[87:] += 100
    going = forecast(of(usd), method="ets")
    assert np.mean(going.usd) == pytest.approx(np.mean(calm.usd) + 100, abs=12)
    assert any("USD a day goes on" in note for note in going.notes)
    usd = weeks(90)
    usd[60:] += 100
    assert np.mean(forecast(of(usd), method="ets").usd) == pytest.approx(np.mean(calm.usd) + 100, abs=6)


def test_a_charge_at_each_months_beginning_is_forecast():
    usd = weeks(100)
    days = of(usd).days
    usd += [300 * (day.day == 1) for day in days]
    told = forecast(of(usd), method="ets")
    firsts = [one for one, day in zip(told.usd, told.days, strict=True) if day.day == 1]
    others = [one for one, day in zip(told.usd, told.days, strict=True) if day.day != 1]
    assert min(firsts) > 280
    assert max(others) < 140


def test_never_negative_and_zero_stays_zero():
    usd = np.maximum(60 - np.arange(60), 0.0) + 1
    told = forecast(of(usd))
    assert min(told.lower_usd) >= 0
    nothing = forecast(of(np.zeros(50)))
    assert set(nothing.usd) == set(nothing.upper_usd) == {0.0}
    assert "nothing was spent so far" in nothing.notes[0]
    assert forecast(of([])).months[0].usd == 0


@pytest.mark.parametrize(("days", "method"), [(1, "mean"), (13, "mean"), (14, "ets"), (41, "ets")])
def test_a_short_past_falls_back_and_says_so(days, method):
    told = forecast(of(weeks(days)))
    assert told.method == method
    assert f"only {days} complete days" in told.notes[0]
    assert told.errors == {}
    assert told.lower_usd[0] < told.usd[0] < told.upper_usd[0]


def test_incomplete_days_are_forecast_and_what_is_billed_is_a_lower_bound():
    usd = weeks(60)
    usd[-2:] = [5.0, 400.0]
    told = forecast(of(usd, incomplete=2), method="ets")
    assert told.days[0] == FIRST + timedelta(days=58)
    assert told.usd[0] == pytest.approx(WEEK[58 % 7], abs=8)
    assert told.usd[1] >= 400
    assert "2 days are not complete" in told.notes[0]


def test_the_errors_are_what_their_definitions_say():
    usd = weeks(56, noise=10)
    found = backtest(of(usd), BASELINES, horizon=14, origins=1)
    past, actual = usd[:42], usd[42:]
    error = actual - past[-1]
    season = past[7:] - past[:-7]
    last = found["last_value"]
    assert last.mae_usd == pytest.approx(np.mean(np.abs(error)))
    assert last.mase == pytest.approx(np.mean(np.abs(error)) / np.mean(np.abs(season)))
    assert last.rmsse == pytest.approx(np.sqrt(np.mean(error**2) / np.mean(season**2)))
    assert found["seasonal_naive"].mae_usd == pytest.approx(np.mean(np.abs(actual - np.resize(past[-7:], 14))))
    assert last.forecasts == 14


def test_a_backtest_sees_no_future():
    usd = weeks(80)
    changed = usd.copy()
    changed[66:] *= 3
    assert np.array_equal(see(of(usd[:66]), 14).clean, see(of(changed[:66]), 14).clean)
    one, other = (backtest(of(given), ("ets",), origins=1) for given in (usd, changed))
    assert one["ets"].mae_usd < 5
    assert other["ets"].mae_usd == pytest.approx(np.mean(np.abs(changed[66:] - np.resize(WEEK, 80)[66:])), rel=0.05)


def test_the_paths_have_the_models_own_mean():
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    usd = weeks(70)
    own = ETSModel(usd, error="add", seasonal="add", seasonal_periods=7).fit(disp=False).forecast(14)
    paths, known = draw("ets", usd, 14, paths=2000)
    assert paths.shape == (2000, 14)
    assert paths.mean(axis=0) == pytest.approx(own, abs=0.5)
    again, _ = draw("ets", usd, 14, paths=2000, known=known)
    assert again.mean(axis=0) == pytest.approx(own, abs=0.5)
    for name in MODELS:
        assert np.array_equal(draw(name, usd, 5, seed=1)[0], draw(name, usd, 5, seed=1)[0])


def test_nothing_goes_to_stderr():
    code = (
        "from datetime import date; from course_lib.finops.forecast import forecast;"
        "from course_lib.finops.usage import daily;"
        "forecast(daily('total', date(2026, 8, 3), [float(n % 7 == 0) for n in range(60)]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"level": 80}, r"level=80 must lie between 0 and 1"),
        ({"method": "prophet"}, r"method='prophet' is not known"),
        ({"until": date(2026, 8, 1)}, r"must lie within 92 days from 2026-10-02"),
        ({"until": date(2028, 1, 1)}, r"must lie within 92 days"),
    ],
)
def test_a_wrong_question_is_refused(given, said):
    with pytest.raises(ForecastError, match=said):
        forecast(of(weeks(60)), **given)


def test_hours_and_a_series_too_short_to_backtest_are_refused():
    hourly = of(weeks(60))
    with pytest.raises(ForecastError, match=r"must be a day"):
        forecast(SpendSeries("total", hourly.start, hourly.usd, step=HOUR))
    with pytest.raises(ForecastError, match=r"series=41 days are too few to backtest"):
        backtest(of(weeks(41)))
