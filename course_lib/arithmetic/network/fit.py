"""Alpha and beta from measured times: a straight line in steps and bytes, fitted to relative errors."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from course_lib.arithmetic.collectives import Collective
from course_lib.arithmetic.errors import ArithmeticInputError, check_count, check_positive
from course_lib.arithmetic.network.least_squares import Line, robust_line
from course_lib.arithmetic.network.schedules import schedule
from course_lib.arithmetic.network.simulate import price
from course_lib.arithmetic.network.student import two_sided_t
from course_lib.arithmetic.network.topology import Switch


@dataclass(frozen=True)
class Prediction:
    """Time for a size, measured or not.

    Args:
        seconds: what the line says.
        low, high: between which one new measurement should lie, with the fit's confidence.
        extrapolated: the size lies outside of the range that was measured: a bet that the line goes on.
    """

    seconds: float
    low: float
    high: float
    extrapolated: bool


@dataclass(frozen=True)
class Fit:
    """Alpha and beta of the measured collective.

    Args:
        op, algorithm, ranks: what was measured.
        alpha_seconds: start-up time of one message, 0 or more.
        beta_seconds_per_byte: inverse bandwidth of one rank's link, 0 or more.
        alpha_interval, beta_interval: where they lie with `confidence`, cut off at 0.
        residuals: measured / predicted - 1, in the order of the measurements.
        relative_rms: root mean square of the residuals: what the line misses, outliers included.
        outliers: numbers of the measurements that were given less weight.
        confidence: of all intervals.
        steps: messages one after another that alpha was multiplied with.
        bytes_share: bytes on the slowest path for each byte of the buffer, that beta was multiplied with.
        smallest_bytes, largest_bytes: the range that was measured.
    """

    op: Collective
    algorithm: str
    ranks: int
    alpha_seconds: float
    beta_seconds_per_byte: float
    alpha_interval: tuple[float, float]
    beta_interval: tuple[float, float]
    residuals: tuple[float, ...]
    relative_rms: float
    outliers: tuple[int, ...]
    confidence: float
    steps: int
    bytes_share: float
    smallest_bytes: float
    largest_bytes: float
    _line: Line = field(repr=False)
    _t: float = field(repr=False)

    @property
    def bandwidth_bytes_per_s(self) -> float:
        """1 / beta; infinite where beta is 0."""
        return 1 / self.beta_seconds_per_byte if self.beta_seconds_per_byte else math.inf

    @property
    def half_bandwidth_bytes(self) -> float:
        """Size at which half of the time is latency: half of the final bandwidth is reached (Hockney's n1/2)."""
        slope = self.bytes_share * self.beta_seconds_per_byte
        return self.steps * self.alpha_seconds / slope if slope else math.inf

    def predict(self, bytes_: float) -> Prediction:
        """Time for a size that need not have been measured.

        Args:
            bytes_: size of the buffer, as `collective_time` counts it.

        Returns:
            Seconds and interval.

        Raises:
            ArithmeticInputError: for a size that is not above 0.
        """
        (bytes_,) = _numbers("bytes_", [bytes_])
        check_positive("bytes_", bytes_)
        point = (float(self.steps), self.bytes_share * bytes_)
        seconds = point[0] * self.alpha_seconds + point[1] * self.beta_seconds_per_byte
        half = self._t * self._line.spread_at(point, seconds)
        outside = not self.smallest_bytes <= bytes_ <= self.largest_bytes
        return Prediction(seconds, seconds * max(0.0, 1 - half), seconds * (1 + half), outside)


def fit_alpha_beta(
    sizes_bytes: Sequence[float],
    seconds: Sequence[float],
    op: Collective,
    algorithm: str,
    ranks: int,
    *,
    confidence: float = 0.95,
    segments: int | None = None,
) -> Fit:
    """Fit alpha and beta to measured times of one collective.

    Least squares on relative errors, as times span orders of magnitude and their noise is a share of them; alpha and
    beta are not negative; a measurement far off the line (a scheduler that looked away) counts less, by Huber's rule.

    Args:
        sizes_bytes: size of the buffer of each measurement, as `collective_time` counts it; a size may come again.
        seconds: time of each measurement.
        op: the collective.
        algorithm: as `schedule` names it; what library measured it does not matter, if it works that way.
        ranks: how many took part, at least 2.
        confidence: of the intervals, below 1.
        segments: of "tree", "double_tree" or "chain".

    Returns:
        The fit, which predicts other sizes.

    Raises:
        ArithmeticInputError: for fewer than 3 sizes, lists of different length, times or sizes that are not above 0, or
            an unknown name.

    Source: Hockney 1994, "The communication challenge for MPP: Intel Paragon and Meiko CS-2" (the line); Huber 1981,
        Robust Statistics, sections 7.6 and 7.8 (weights, covariance).
    """
    check_count("ranks", ranks, minimum=2)
    made = schedule(op, ranks, algorithm, segments=segments)
    sizes, took = _numbers("sizes_bytes", sizes_bytes), _numbers("seconds", seconds)
    _check_measurements(sizes, took)
    if not 0 < confidence < 1:
        raise ArithmeticInputError.of("confidence", confidence, "must be above 0 and below 1", "write 0.95 for 95 %")
    share = price(made, Switch(ranks, 1.0, 0.0)).seconds(1.0)
    points = [(float(made.steps), share * size) for size in sizes]
    line = robust_line(points, took, groups=sizes)
    predicted = [a * line.first + b * line.second for a, b in points]
    residuals = tuple(y / p - 1 for y, p in zip(took, predicted, strict=True))
    t = two_sided_t(confidence, len(points) - 2)
    alpha_range, beta_range = line.intervals(t)
    return Fit(
        op=op,
        algorithm=algorithm,
        ranks=ranks,
        alpha_seconds=line.first,
        beta_seconds_per_byte=line.second,
        alpha_interval=alpha_range,
        beta_interval=beta_range,
        residuals=residuals,
        relative_rms=math.sqrt(statistics.fmean(r * r for r in residuals)),
        outliers=tuple(i for i, weight in enumerate(line.weights) if weight < 0.5),
        confidence=confidence,
        steps=made.steps,
        bytes_share=share,
        smallest_bytes=min(sizes),
        largest_bytes=max(sizes),
        _line=line,
        _t=t,
    )


def _numbers(name: str, values: Sequence[float]) -> list[float]:
    try:
        return [float(value) for value in values]  # whole numbers of NumPy are no int
    except (TypeError, ValueError):
        remedy = "give one number for each measurement"
        raise ArithmeticInputError.of(name, values, "must be a list of numbers", remedy) from None


def _check_measurements(sizes_bytes: Sequence[float], seconds: Sequence[float]) -> None:
    if len(sizes_bytes) != len(seconds):
        limit = f"must be as many as the {len(sizes_bytes)} sizes"
        raise ArithmeticInputError.of("len(seconds)", len(seconds), limit, "give one time for each size, in order")
    for size, took in zip(sizes_bytes, seconds, strict=True):
        check_positive("sizes_bytes", size)
        check_positive("seconds", took, "drop the measurement, or time more repetitions at once")
    distinct = len(set(sizes_bytes))
    if distinct < 3:
        remedy = "measure at least 3 sizes, from latency (1 KiB) to bandwidth (64 MiB)"
        raise ArithmeticInputError.of("sizes_bytes", distinct, "are too few different sizes for a line", remedy)
