"""What this month and the next will cost: a forecast with intervals, by a model that has been backtested.

`forecast(series, until=None, level=0.8)` gives a `Forecast`: `days`, `usd`, `lower_usd`, `upper_usd` (one a day),
`months` (a `MonthTotal` each, `month("2026-12")`), `method`, `errors` of the backtest and `notes`. `backtest(series)`
gives MAE, MASE, RMSSE and the intervals' coverage of every model and of the two baselines.
"""

from course_lib.finops.forecast.backtest import BacktestErrors, backtest
from course_lib.finops.forecast.errors import ForecastError
from course_lib.finops.forecast.forecasting import Forecast, MonthTotal, forecast
from course_lib.finops.forecast.models import BASELINES, FITTED, MODELS

__all__ = [
    "BASELINES",
    "FITTED",
    "MODELS",
    "BacktestErrors",
    "Forecast",
    "ForecastError",
    "MonthTotal",
    "backtest",
    "forecast",
]
