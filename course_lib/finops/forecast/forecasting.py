"""The forecast: days to come and months' totals, each with an interval, by the model that did best lately.

An excess that goes on is forecast to stay, since nobody has ended it; spikes that are over are not repeated. What the
notes say (a short past, an excess that goes on, days that are not on the bill yet) belongs to the numbers.

The backtest's residuals stretch the intervals, of days and of months each by their own (`conformal`). No model knows of
mistakes to come, and an interval of 80 % holds less once one comes: on fresh labeled traces, over 28 days, 0.81 of the
days and 0.74 of the months without an event among them (50 traces), 0.62 and 0.18 with one (40 traces).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np

from course_lib.finops.forecast.backtest import (
    HORIZON,
    SHORTEST,
    BacktestErrors,
    backtest,
    bounds,
    check_daily,
    check_level,
    choose,
    see,
)
from course_lib.finops.forecast.errors import ForecastError
from course_lib.finops.forecast.models import BASELINES, FITTED, MODELS, PATHS, SEASON, draw
from course_lib.finops.usage import SpendSeries

SHORT = 14  # days: with fewer, no weekday has been seen twice
LONGEST = 92  # days that are forecast at most


@dataclass(frozen=True)
class MonthTotal:
    """A calendar month's spend.

    Attributes:
        month: such as "2026-12".
        spent_usd: of its complete days in the series.
        usd: the median total; lower_usd and upper_usd are the bounds of its interval.
        whole: whether the series and the forecast cover all of its days.
    """

    month: str
    spent_usd: float
    usd: float
    lower_usd: float
    upper_usd: float
    whole: bool


@dataclass(frozen=True)
class Forecast:
    """Daily spend to come.

    Attributes:
        method: the model, or "mean" where the past is too short for one.
        level: share of outcomes that the intervals are to hold.
        days: the days, from the first one that is not complete.
        usd, lower_usd, upper_usd: the median and the bounds of each day, never negative.
        months: the totals of the months that it touches.
        errors: of the backtest, by method; empty where the past is too short for one.
        notes: what a reader has to know.
    """

    method: str
    level: float
    days: tuple[date, ...]
    usd: tuple[float, ...]
    lower_usd: tuple[float, ...]
    upper_usd: tuple[float, ...]
    months: tuple[MonthTotal, ...]
    errors: dict[str, BacktestErrors] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def month(self, name: str) -> MonthTotal:
        """One month's total, such as "2026-12".

        Raises:
            ForecastError: for a month that it doesn't touch.
        """
        for one in self.months:
            if one.month == name:
                return one
        known = ", ".join(one.month for one in self.months)
        raise ForecastError.of("month", name, "is not forecast", f"choose one of {known}")


def forecast(
    series: SpendSeries,
    until: date | None = None,
    *,
    level: float = 0.8,
    method: str | None = None,
    seed: int = 0,
) -> Forecast:
    """Forecast daily spend from the first incomplete day.

    Args:
        series: daily spend; of its incomplete days only what is billed already counts, as a lower bound.
        until: the last day; the end of the next month when left out.
        level: of the intervals.
        method: of MODELS; the fitted one that did best in a backtest when left out.
        seed: of the paths.

    Raises:
        ForecastError: for hourly spend, a level that is none, an unknown method, or an end that isn't within 92 days
            after the series.
    """
    check_daily(series)
    check_level(level)
    if method is not None and method not in MODELS:
        raise ForecastError.of("method", method, "is not known", f"choose one of {', '.join(MODELS)}")
    whole = series.complete()
    first = whole.end.date()
    last = until or _next_months_end(first)
    length = (last - first).days + 1
    if not 1 <= length <= LONGEST:
        raise ForecastError.of(
            "until", last.isoformat(), f"must lie within {LONGEST} days from {first}", "choose another end"
        )
    usd = np.array(whole.usd)
    notes = [f"{series.incomplete} days are not complete on the bill and are forecast"] if series.incomplete else []
    errors: dict[str, BacktestErrors] = {}
    if not usd.any():
        notes.append("nothing was spent so far, and so nothing is forecast")
        method, paths = "mean", np.zeros((PATHS, length))
        totals = paths
    elif len(usd) < SHORT:
        notes.append(f"only {len(usd)} complete days: the mean of the last {SEASON}, and a rough interval")
        method, paths = "mean", _rough(usd, length, seed)
        totals = paths
    else:
        past = see(whole, length)
        if past.going_usd:
            notes.append(f"an excess of {past.going_usd:,.2f} USD a day goes on and is forecast to stay")
        stretch = stretch_total = 1.0
        if len(usd) >= SHORTEST + HORIZON:
            errors = backtest(whole, tuple(MODELS) if method is None else [method], level=level, seed=seed)
            notes += _beaten(errors) if method is None else []
            method = method or choose(errors)
            stretch, stretch_total = errors[method].stretch, errors[method].stretch_total
        else:
            notes.append(f"only {len(usd)} complete days: too few to backtest the model")
            method = method or "ets"
        fitted = method in FITTED
        drawn, _ = draw(method, past.clean if fitted else usd, length, seed)
        middle = np.median(drawn, axis=0)
        level_and_edges = middle + (past.extra if fitted else 0.0)
        paths, totals = (level_and_edges + factor * (drawn - middle) for factor in (stretch, stretch_total))
    billed = np.zeros(length)
    known = np.array(series.usd[len(usd) :][:length])
    billed[: len(known)] = known
    paths, totals = np.maximum(paths, billed), np.maximum(totals, billed)
    low, high = bounds(paths, level)
    days = tuple(first + timedelta(days=number) for number in range(length))
    rows = (_tuple(np.median(paths, axis=0)), _tuple(low), _tuple(high))
    return Forecast(method, level, days, *rows, _months(whole, days, totals, level), errors, tuple(notes))


def _tuple(row: np.ndarray) -> tuple[float, ...]:
    return tuple(float(one) for one in row)


def _beaten(errors: dict[str, BacktestErrors]) -> list[str]:
    """Say so where a baseline did better lately; the fitted model stays all the same.

    To change over made it worse: on fresh labeled traces, MASE over the 28 days after the backtest rose from 0.53 to
    0.62 (50 traces without an event in these days) and from 2.59 to 2.87 (40 traces with one). Four origins tell
    little, and a level that has just moved makes last value look good.
    """
    best, ours = (min(names, key=lambda name: errors[name].mae_usd) for names in (BASELINES, FITTED))
    if errors[best].mae_usd >= errors[ours].mae_usd - 0.01:  # a cent is nobody's news
        return []
    told = f"{best} was off by {errors[best].mae_usd:,.2f} USD a day and {ours} by {errors[ours].mae_usd:,.2f}"
    return [f"in the backtest {told}: {ours} is kept; look at what changed lately"]


def _rough(usd: np.ndarray, length: int, seed: int) -> np.ndarray:
    """The mean of the last days; paths that differ by as much as days did, at least by half."""
    lately = usd[-SEASON:]
    scatter = max(float(lately.std()), 0.5 * float(lately.mean()))
    random = np.random.default_rng(seed)
    # What isn't known is the level: one draw a path, so that it does not average out over the month.
    return float(lately.mean()) + random.normal(0, scatter, (PATHS, 1)) + np.zeros(length)


def _months(series: SpendSeries, days: tuple[date, ...], paths: np.ndarray, level: float) -> tuple[MonthTotal, ...]:
    spent: dict[str, float] = {}
    for day, usd in zip(series.days, series.usd, strict=True):
        spent[f"{day:%Y-%m}"] = spent.get(f"{day:%Y-%m}", 0.0) + usd
    found = []
    for month in sorted({f"{day:%Y-%m}" for day in days}):
        inside = np.array([f"{day:%Y-%m}" == month for day in days])
        totals = spent.get(month, 0.0) + paths[:, inside].sum(axis=1)
        low, high = bounds(totals, level)
        begin = date.fromisoformat(f"{month}-01")
        covered = (series.days or days)[0] <= begin and days[-1] >= _months_end(begin)
        found.append(
            MonthTotal(month, spent.get(month, 0.0), float(np.median(totals)), float(low), float(high), covered)
        )
    return tuple(found)


def _months_end(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1)


def _next_months_end(day: date) -> date:
    return _months_end(_months_end(day) + timedelta(days=1))
