"""Which model would have been best: forecasts from earlier days, held against what came then.

At each origin a model sees only what lay before it; the detector, too, cleans that part anew. MAE is in dollars; MASE
and RMSSE divide by the error of the seasonal-naive forecast within the past, so that series of different size can be
compared. Source: Hyndman and Koehler, "Another look at measures of forecast accuracy", International Journal of
Forecasting 22 (2006).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from course_lib.finops.anomalies import detect
from course_lib.finops.forecast.conformal import scores, stretch
from course_lib.finops.forecast.errors import ForecastError
from course_lib.finops.forecast.models import FITTED, MODELS, SEASON, draw
from course_lib.finops.usage import DAY, SpendSeries

HORIZON, ORIGINS, SHORTEST = 14, 4, 28
GOING = 3  # days of whose excess the median counts as going on: most of them have to be out of the ordinary


@dataclass(frozen=True)
class BacktestErrors:
    """How good a model's forecasts were.

    Attributes:
        method: of the models.
        mae_usd: mean absolute error of a day.
        mase: the same in units of the past's seasonal-naive error.
        rmsse: root mean squared error in units of the past's seasonal-naive one.
        coverage: share of days that lay within the interval.
        stretch: factor, 0.3 to 3, by which a day's interval should have been wider to hold the share it promised.
        stretch_total: the same for the interval of the total over the horizon.
        forecasts: days that were forecast, over all origins.
    """

    method: str
    mae_usd: float
    mase: float
    rmsse: float
    coverage: float
    stretch: float
    stretch_total: float
    forecasts: int


@dataclass(frozen=True)
class Past:
    """What a model sees at an origin.

    Attributes:
        clean: daily USD without anomalies and months' edges, with what was before a lasting change moved to today's
            level: a model then has nothing to learn from the change. Shape (days,).
        extra: what comes on top in the days after it: months' edges, and an excess that goes on; shape (horizon,).
        going_usd: the excess of a day that goes on: nobody has ended it yet, so it is forecast to stay.
    """

    clean: np.ndarray
    extra: np.ndarray
    going_usd: float


def see(series: SpendSeries, days: int) -> Past:
    """The past of a series as a model sees it, and what is known of the next `days`."""
    found = detect(series)
    end = found.series.end
    edges = np.array([found.baseline.edge(end + number * DAY) for number in range(days)])
    lately = np.array(found.series.usd[-GOING:])
    excess = np.where(lately > found.upper[-GOING:], lately - found.expected[-GOING:], 0.0)
    excess = np.where(found.clean[-GOING:] < found.upper[-GOING:], excess, 0.0)  # not what has become the level
    going = float(np.median(excess)) if len(excess) else 0.0
    return Past(np.maximum(found.baseline.clean, 0.0), edges + going, going)


def backtest(
    series: SpendSeries,
    methods: Sequence[str] = tuple(MODELS),
    *,
    horizon: int = HORIZON,
    origins: int = ORIGINS,
    every: int = SEASON,
    level: float = 0.8,
    seed: int = 0,
) -> dict[str, BacktestErrors]:
    """Errors of each method from rolling origins, the last one `horizon` days before the end.

    Args:
        series: daily spend; its incomplete days are left out.
        methods: of MODELS.
        horizon: days that are forecast from each origin.
        origins: how many; fewer where the past would be shorter than 4 weeks.
        every: days from one origin to the next.
        level: of the intervals whose coverage is measured.
        seed: of the paths.

    Raises:
        ForecastError: for a series that is too short for one origin, an unknown method, or a level outside of 0 to 1.
    """
    whole = series.complete()
    check_daily(whole)
    check_level(level)
    ends = [len(whole) - horizon - every * number for number in range(origins)][::-1]
    ends = [end for end in ends if end >= SHORTEST]
    if not ends:
        raise ForecastError.of(
            "series", len(whole), f"days are too few to backtest: {SHORTEST} + {horizon} are needed", "wait, or shorten"
        )
    pasts = {end: see(_until(whole, end), horizon) for end in ends}
    usd = np.array(whole.usd)
    return {name: _errors(name, usd, pasts, horizon, level, seed) for name in methods}


def choose(errors: dict[str, BacktestErrors]) -> str:
    """The fitted model with the smallest MAE."""
    return min((name for name in errors if name in FITTED), key=lambda name: errors[name].mae_usd)


def check_daily(series: SpendSeries) -> None:
    """Raise ForecastError unless the series is daily."""
    if series.step != DAY:
        raise ForecastError.of("step", str(series.step), "must be a day", "read DAILY usage")


def check_level(level: float) -> None:
    """Raise ForecastError unless it is a probability between 0 and 1."""
    if not 0 < level < 1:
        raise ForecastError.of("level", level, "must lie between 0 and 1", "give 0.8 for an 80 % interval")


def bounds(paths: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """The quantiles between which a share `level` of the paths lies, along the first axis."""
    low, high = np.quantile(paths, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def _errors(
    name: str, usd: np.ndarray, pasts: dict[int, Past], horizon: int, level: float, seed: int
) -> BacktestErrors:
    absolute, scaled, squared, inside, needed, totals = [], [], [], [], [], []
    known: Any = None
    for end, past in pasts.items():
        if name in FITTED:
            drawn, known = draw(name, past.clean, horizon, seed, known=known)
            paths = np.maximum(drawn + past.extra, 0.0)
            middle = np.median(paths, axis=0)
        else:  # a baseline takes the bill as it is
            paths = np.maximum(draw(name, usd[:end], horizon, seed)[0], 0.0)
            middle = point(name, usd[:end], horizon)
        actual = usd[end : end + horizon]
        error = actual - middle
        low, high = bounds(paths, level)
        season = usd[SEASON:end] - usd[: end - SEASON]
        absolute.append(np.abs(error))
        scaled.append(np.abs(error) / max(float(np.mean(np.abs(season))), 1e-9))
        squared.append(error**2 / max(float(np.mean(season**2)), 1e-9))
        inside.append((low <= actual) & (actual <= high))
        needed.append(scores(error, middle - low, high - middle))
        total, lowest, highest = float(middle.sum()), *bounds(paths.sum(axis=1), level)
        totals.append(scores(actual.sum() - total, total - lowest, highest - total))
    rmsse = float(np.sqrt(np.mean(squared)))
    means = (float(np.mean(absolute)), float(np.mean(scaled)), rmsse, float(np.mean(inside)))
    factors = (stretch(np.concatenate(needed), level), stretch(np.array(totals), level))
    return BacktestErrors(name, *means, *factors, len(pasts) * horizon)


def point(name: str, past: np.ndarray, days: int) -> np.ndarray:
    """The baselines' forecasts by definition, without drawing: shape (days,)."""
    if name == "last_value":
        return np.full(days, past[-1])
    return np.resize(past[-SEASON:], days)


def _until(series: SpendSeries, end: int) -> SpendSeries:
    return SpendSeries(series.name, series.start, series.usd[:end])
