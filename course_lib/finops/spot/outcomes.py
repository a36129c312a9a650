"""What many simulated runs say: means and quantiles with the error that a finite number of runs leaves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from course_lib.finops.spot.errors import SpotError
from course_lib.finops.spot.traces import FloatArray

COLUMNS = (
    "finish_seconds",
    "cost_usd",
    "lost_seconds",
    "interruptions",
    "waited_seconds",
    "spot_seconds",
    "on_demand_seconds",
    "free_seconds",
)


@dataclass(frozen=True)
class Estimate:
    """A number that came out of random runs.

    Args:
        value: the estimate.
        standard_error: how far it would move from one set of runs to the next.
    """

    value: float
    standard_error: float

    def __float__(self) -> float:
        """The value."""
        return self.value

    def __str__(self) -> str:
        """The value and its standard error."""
        return f"{self.value:.6g} ± {self.standard_error:.2g}"


@dataclass(frozen=True, eq=False)
class SimulatedRuns:
    """Independent runs of one job on one market; each field is (runs,).

    Args:
        useful_seconds: work of each run.
        finish_seconds: from asking for the first instance until the last checkpoint is written.
        cost_usd: instances, spot and on demand.
        lost_seconds: work that was done and had to be done again.
        interruptions: times that the instances were taken back.
        waited_seconds: time without instances.
        spot_seconds: time with spot instances.
        on_demand_seconds: time with on-demand instances after the fallback; 0 where it was not needed.
        free_seconds: spot time that was not charged, because EC2 ended it within the first hour, weighted by the share
            of the price that was free.
    """

    useful_seconds: float
    finish_seconds: FloatArray
    cost_usd: FloatArray
    lost_seconds: FloatArray
    interruptions: FloatArray
    waited_seconds: FloatArray
    spot_seconds: FloatArray
    on_demand_seconds: FloatArray
    free_seconds: FloatArray

    @property
    def runs(self) -> int:
        """How many runs."""
        return len(self.finish_seconds)

    def mean(self, column: str) -> Estimate:
        """Mean of a field, such as "cost_usd".

        Raises:
            SpotError: for an unknown field.
        """
        return _mean(self._column(column))

    def quantile(self, column: str, share: float) -> Estimate:
        """The value that a share of the runs stays at or below.

        The error comes from order statistics, so it needs no assumption about the distribution: how many of `runs`
        values fall below the true quantile is binomial, and the values one standard deviation of ranks below and above
        are taken as value - error and value + error.

        Args:
            column: a field.
            share: above 0 and below 1.

        Raises:
            SpotError: for an unknown field or a share out of range.

        Source: David and Nagaraja 2003, "Order Statistics".
        """
        if not 0 < share < 1:
            raise SpotError.of("share", share, "must lie above 0 and below 1", "write 0.95 for 95 %")
        values = np.sort(self._column(column))
        deviation = math.sqrt(self.runs * share * (1 - share))
        low = max(math.floor(self.runs * share - deviation), 0)
        high = min(math.ceil(self.runs * share + deviation), self.runs - 1)
        return Estimate(float(np.quantile(values, share)), float(values[high] - values[low]) / 2)

    def time_per_useful_time(self) -> Estimate:
        """Mean finishing time over useful time, to be compared with `course_lib.arithmetic.time_per_useful_time`."""
        return _mean(self.finish_seconds / self.useful_seconds)

    def late_share(self, deadline_seconds: float) -> Estimate:
        """Share of the runs that finish after a deadline."""
        late: NDArray[np.float64] = (self.finish_seconds > deadline_seconds).astype(np.float64)
        return _mean(late)

    def _column(self, name: str) -> FloatArray:
        if name not in COLUMNS:
            raise SpotError.of("column", name, "is not a field", f"use one of {', '.join(COLUMNS)}")
        column: FloatArray = getattr(self, name)
        return column


def _mean(values: FloatArray) -> Estimate:
    error = float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.inf
    return Estimate(float(values.mean()), error)


def paired_difference(values: FloatArray, others: FloatArray) -> Estimate:
    """Mean difference of two sets of runs with the same seed: the luck that both had cancels out.

    Args:
        values: (runs,) one field of one set.
        others: (runs,) the same field of the other.
    """
    return _mean(values - others)
