"""The models that compete: two baselines that cost nothing, and statsmodels' ETS and seasonal ARIMA.

All of them draw whole paths, so that a month's total has an interval of its own; the sum of daily bounds would not be
one. Sources: Hyndman and Athanasopoulos, "Forecasting: Principles and Practice", 3rd edition, chapters 5, 8 and 9.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from course_lib.finops.forecast.errors import ForecastError

SEASON = 7
PATHS = 500
# History (days,), then how many days, how many paths, the generator, parameters of an earlier fit or None; gives paths
# of shape (paths, days), and the parameters.
Draw = Callable[[np.ndarray, int, int, np.random.Generator, Any], tuple[np.ndarray, Any]]


def last_value(past: np.ndarray, days: int, paths: int, random: np.random.Generator, _: Any) -> tuple[np.ndarray, Any]:
    """Tomorrow is like today: a random walk with the past's changes."""
    changes = np.diff(past) if len(past) > 1 else np.zeros(1)
    steps = random.choice(changes - changes.mean(), size=(paths, days))
    return past[-1] + steps.cumsum(axis=1), None


def seasonal_naive(
    past: np.ndarray, days: int, paths: int, random: np.random.Generator, _: Any
) -> tuple[np.ndarray, Any]:
    """Each day is like the same weekday of the last week, with the past's changes from week to week."""
    if len(past) <= SEASON:
        return last_value(past, days, paths, random, None)
    changes = past[SEASON:] - past[:-SEASON]
    weeks = -(-days // SEASON)
    steps = random.choice(changes - changes.mean(), size=(paths, weeks, SEASON)).cumsum(axis=1)
    return (past[-SEASON:] + steps).reshape(paths, -1)[:, :days], None


def ets(past: np.ndarray, days: int, paths: int, random: np.random.Generator, known: Any) -> tuple[np.ndarray, Any]:
    """Exponential smoothing with additive errors and weekdays, without trend: ETS(A,N,A)."""
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    scale = _scale(past)
    with _quiet():
        model = ETSModel(past / scale, error="add", seasonal="add", seasonal_periods=SEASON)
        found = model.fit(disp=False, maxiter=100) if known is None else model.smooth(known)
        drawn = found.simulate(days, anchor="end", repetitions=paths, rng=_seed(random))
    return np.asarray(drawn).reshape(days, paths).T * scale, np.asarray(found.params)


def sarima(past: np.ndarray, days: int, paths: int, random: np.random.Generator, known: Any) -> tuple[np.ndarray, Any]:
    """Seasonal ARIMA (1,0,1)(0,1,1)7: changes from week to week, without a trend that would run away."""
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    scale = _scale(past)
    with _quiet():
        model = SARIMAX(past / scale, order=(1, 0, 1), seasonal_order=(0, 1, 1, SEASON))
        found = model.fit(disp=0, maxiter=50) if known is None else model.smooth(known)
        drawn = found.simulate(days, anchor="end", repetitions=paths, rng=_seed(random))
    return np.asarray(drawn).reshape(days, paths).T * scale, np.asarray(found.params)


MODELS: dict[str, Draw] = {
    "last_value": last_value,
    "seasonal_naive": seasonal_naive,
    "ets": ets,
    "sarima": sarima,
}
BASELINES = ("last_value", "seasonal_naive")
FITTED = ("ets", "sarima")


def draw(
    name: str, past: np.ndarray, days: int, seed: int = 0, paths: int = PATHS, known: Any = None
) -> tuple[np.ndarray, Any]:
    """Paths of a model, shape (paths, days), and its parameters.

    Args:
        name: of MODELS.
        past: daily USD, shape (days,).
        days: how many to draw.
        seed: of the paths.
        paths: how many.
        known: parameters of an earlier fit, which are then taken as they are: a backtest needs one fit, not many.

    Raises:
        ForecastError: for an unknown name.
    """
    if name not in MODELS:
        raise ForecastError.of("method", name, "is not known", f"choose one of {', '.join(MODELS)}")
    return MODELS[name](past, days, paths, np.random.default_rng(seed), known)


def _scale(past: np.ndarray) -> float:
    """The optimisers are at their best with numbers around 1."""
    return float(np.mean(np.abs(past))) or 1.0


def _seed(random: np.random.Generator) -> int:
    return int(random.integers(2**31))


@contextmanager
def _quiet() -> Iterator[None]:
    """Warnings of the optimisers would only say what the backtest measures: how good the fit is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
