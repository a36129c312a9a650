"""Cost Explorer's GetCostForecast from the account's own days; a stand-in for AWS's method, which is not published.

Each day to come is expected to cost the mean of the last eight days of its weekday. The prediction interval is a normal
one, from the residuals of those means: for a sum of n days their variance grows with n, and the means' own errors with
n squared over the days that they come from. AWS says that it needs enough history and gives no number of days here;
this needs 14. Source of the rules: botocore's description of the operation, and
https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_GetCostForecast.html
"""

from __future__ import annotations

import math
from datetime import date, timedelta
from statistics import NormalDist, fmean
from typing import Any

from course_lib.finops.cloud.cost_explorer import DELAY, cost_steps, invalid, keeping, period, time_text
from course_lib.finops.cloud.daily import DAY, daily_lines, midnight, series
from course_lib.finops.cloud.instances import account_of
from course_lib.finops.cloud.wire import ApiCall, ApiError

METRICS = {"AMORTIZED_COST", "BLENDED_COST", "NET_AMORTIZED_COST", "NET_UNBLENDED_COST", "UNBLENDED_COST"}
LONGEST = {"DAILY": timedelta(days=93), "MONTHLY": timedelta(days=18 * 31)}  # 3 and 18 months
WEEKS, NEEDED = 8, 14


def cost_forecast(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer GetCostForecast."""
    asked = call.parameters
    start, end = period(asked)
    metric, granularity = str(asked.get("Metric", "")), str(asked.get("Granularity", ""))
    if metric not in METRICS:
        raise invalid(f"Metric '{metric}' is none of {', '.join(sorted(METRICS))}.")
    if granularity not in LONGEST:
        raise invalid(f"Granularity '{granularity}' is none of DAILY, MONTHLY.")
    now = account.clock.now()
    if start < midnight(now.date()):
        raise invalid(
            f"Start date {start:%Y-%m-%d} must not be before today, {now:%Y-%m-%d}: the past has no forecast."
        )
    if end - midnight(now.date()) > LONGEST[granularity]:
        raise invalid(f"End date {end:%Y-%m-%d} is more than {LONGEST[granularity].days} days ahead.")
    level = asked.get("PredictionIntervalLevel")
    if level is not None and not 51 <= int(level) <= 99:
        raise invalid(f"PredictionIntervalLevel {level} must be from 51 to 99.")
    known = now - DELAY
    last = known.date()  # the first day that isn't complete
    first = last - WEEKS * 7 * DAY
    found = daily_lines(account.meter, first, last, known, account_of(call))
    past = series(found, first, last, keeping(asked.get("Filter")))
    while past and not past[0]:  # days before the account's first
        past, first = past[1:], first + DAY
    if len(past) < NEEDED:
        raise ApiError("DataUnavailableException", "Insufficient amount of historical data to generate forecast.")
    model = Weekdays(first, past)
    results, total = [], 0.0
    for begin, until in cost_steps(start, end, granularity):
        days = [begin.date() + number * DAY for number in range(max(1, (until - begin) // DAY))]
        mean, spread = model.ahead(days)
        total += mean
        span = {"Start": time_text(begin, granularity), "End": time_text(until, granularity)}
        told = {"TimePeriod": span, "MeanValue": f"{mean:.10f}"}
        if level is not None:
            reach = NormalDist().inv_cdf(0.5 + int(level) / 200) * spread
            told["PredictionIntervalLowerBound"] = f"{max(mean - reach, 0.0):.10f}"
            told["PredictionIntervalUpperBound"] = f"{mean + reach:.10f}"
        results.append(told)
    return {"Total": {"Amount": f"{total:.10f}", "Unit": "USD"}, "ForecastResultsByTime": results}


class Weekdays:
    """Means of a daily series by weekday, and how far its days lie from them.

    Args:
        first: the series' first day.
        past: USD by day, two weeks at least.
    """

    def __init__(self, first: date, past: list[float]) -> None:
        weekdays = [(first + number * DAY).weekday() for number in range(len(past))]
        self.means = {day: fmean(v for w, v in zip(weekdays, past, strict=True) if w == day) for day in set(weekdays)}
        squares = sum((value - self.means[day]) ** 2 for day, value in zip(weekdays, past, strict=True))
        self.days = len(past)
        self.sigma = math.sqrt(squares / max(1, len(past) - len(self.means)))

    def ahead(self, days: list[date]) -> tuple[float, float]:
        """The expected sum of some days, and its standard error of prediction, both USD."""
        number = len(days)
        mean = sum(self.means[day.weekday()] for day in days)
        return mean, self.sigma * math.sqrt(number + number**2 / self.days)
