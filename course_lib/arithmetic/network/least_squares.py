"""A line through two coefficients, fitted to relative errors: not negative, and not fooled by outliers."""

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]

# Huber's: 95 % as efficient as plain least squares where the noise is normal, yet bounded for any outlier.
_TURN = 1.345


@dataclass(frozen=True)
class Line:
    """first * x + second * y, and how sure it is.

    Args:
        first, second: the coefficients, 0 or more.
        free: the same without the bound at 0, around which the intervals lie.
        covariance: of the free ones: (first, first), (first, second), (second, second).
        scale: robust standard deviation of the relative errors.
        weights: of each measurement, 1 unless it is far off.
    """

    first: float
    second: float
    free: Point
    covariance: tuple[float, float, float]
    scale: float
    weights: tuple[float, ...]

    def intervals(self, t: float) -> tuple[tuple[float, float], tuple[float, float]]:
        """Intervals of both coefficients at t standard errors, cut off at 0.

        Where the bound at 0 moved the line, they reach from around the free coefficient to around the bounded one.
        """
        first, second = (
            (max(0.0, min(ends) - t * math.sqrt(variance)), max(0.0, max(ends) + t * math.sqrt(variance)))
            for ends, variance in (
                ((self.first, self.free[0]), self.covariance[0]),
                ((self.second, self.free[1]), self.covariance[2]),
            )
        )
        return first, second

    def spread_at(self, point: Point, predicted: float) -> float:
        """Relative standard deviation of one new measurement at a point whose prediction is given."""
        x, y = point
        line = x * x * self.covariance[0] + 2 * x * y * self.covariance[1] + y * y * self.covariance[2]
        return math.sqrt(self.scale**2 + max(0.0, line) / predicted**2)


def robust_line(points: Sequence[Point], values: Sequence[float], groups: Sequence[float]) -> Line:
    """Fit values = first * x + second * y by Huber's rule on relative errors.

    Args:
        points: (x, y) of each measurement.
        values: what was measured, above 0.
        groups: measurements of one group are repetitions; their median is where the search begins.

    Returns:
        The line.
    """
    rows = [(x / value, y / value) for (x, y), value in zip(points, values, strict=True)]
    by_group: defaultdict[float, list[int]] = defaultdict(list)
    for i, group in enumerate(groups):
        by_group[group].append(i)
    middles = [sorted(members, key=values.__getitem__)[len(members) // 2] for members in by_group.values()]
    line = _solve([rows[i] for i in middles], [1.0] * len(middles))
    weights = [1.0] * len(rows)
    for _ in range(100):
        weights = _huber_weights(rows, line)
        before, line = line, _solve(rows, weights)
        if all(math.isclose(a, b, rel_tol=1e-10) for a, b in zip(before, line, strict=True)):
            break
    bounded = _not_negative(rows, weights, line)
    return Line(*bounded, line, *_certainty(rows, line, bounded), tuple(weights))


def _errors(rows: Sequence[Point], line: Point) -> list[float]:
    return [1 - x * line[0] - y * line[1] for x, y in rows]


def _scale(errors: Sequence[float]) -> float:
    # the median of absolute errors times 1.4826 is the standard deviation where they are normal; the factor under the
    # root is for the two coefficients that the errors were made small with
    spare = math.sqrt(len(errors) / (len(errors) - 2))
    return 1.4826 * statistics.median(map(abs, errors)) * spare


def _huber_weights(rows: Sequence[Point], line: Point) -> list[float]:
    errors = _errors(rows, line)
    limit = _TURN * max(_scale(errors), 1e-12)
    return [min(1.0, limit / abs(error)) if error else 1.0 for error in errors]


def _normal(rows: Sequence[Point], weights: Sequence[float]) -> tuple[float, float, float, float, float]:
    xx = math.fsum(w * x * x for w, (x, _) in zip(weights, rows, strict=True))
    xy = math.fsum(w * x * y for w, (x, y) in zip(weights, rows, strict=True))
    yy = math.fsum(w * y * y for w, (_, y) in zip(weights, rows, strict=True))
    x1 = math.fsum(w * x for w, (x, _) in zip(weights, rows, strict=True))
    y1 = math.fsum(w * y for w, (_, y) in zip(weights, rows, strict=True))
    return xx, xy, yy, x1, y1


def _solve(rows: Sequence[Point], weights: Sequence[float]) -> Point:
    xx, xy, yy, x1, y1 = _normal(rows, weights)
    determinant = xx * yy - xy * xy
    return (x1 * yy - y1 * xy) / determinant, (y1 * xx - x1 * xy) / determinant


def _not_negative(rows: Sequence[Point], weights: Sequence[float], line: Point) -> Point:
    if min(line) >= 0:
        return line
    xx, _, yy, x1, y1 = _normal(rows, weights)
    return (x1 / xx, 0.0) if line[1] < 0 else (0.0, y1 / yy)


def _certainty(rows: Sequence[Point], line: Point, bounded: Point) -> tuple[tuple[float, float, float], float]:
    """Huber's covariance of the coefficients, and the scale of one new measurement's error."""
    errors = _errors(rows, line)
    count = len(rows)
    limit = _TURN * max(_scale(errors), 1e-12)
    inside = sum(abs(error) <= limit for error in errors) / count
    squares = math.fsum(min(abs(error), limit) ** 2 for error in errors) / (count - 2)
    # with few measurements the share inside is itself uncertain, which this factor allows for
    wider = 1 + 2 / count * (1 - inside) / inside
    variance = wider**2 * squares / inside**2
    xx, xy, yy, _, _ = _normal(rows, [1.0] * count)
    determinant = xx * yy - xy * xy
    covariance = (variance * yy / determinant, -variance * xy / determinant, variance * xx / determinant)
    # where the bound at 0 moved the line, what it misses for that reason is part of what it can miss
    return covariance, max(_scale(errors), _scale(_errors(rows, bounded)), math.sqrt(squares))
