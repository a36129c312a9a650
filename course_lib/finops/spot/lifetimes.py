"""How long a spot instance lives, and how long the next one takes to come: random processes and replayed logs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from course_lib.finops.spot.errors import SpotError, check_not_negative, check_positive
from course_lib.finops.spot.traces import FloatArray, InterruptionTrace


class Interruptions(Protocol):
    """Draws, for instances that start now, the seconds until each is taken back."""

    @property
    def mean_seconds(self) -> float:
        """Mean life of an instance, in seconds."""
        ...

    def lifetimes(self, launched: FloatArray, generator: np.random.Generator) -> FloatArray:
        """Seconds from each launch to the interruption; `launched` are positions in a trace, (runs,) seconds."""
        ...


class Waits(Protocol):
    """Draws the seconds between asking for capacity and its launch."""

    def waits(self, runs: int, generator: np.random.Generator) -> FloatArray:
        """(runs,) seconds."""
        ...


@dataclass(frozen=True)
class ExponentialInterruptions:
    """An interruption is as likely in any second as in any other; the process of Young's and Daly's formulas.

    Args:
        mean_seconds: mean time between interruptions of the whole job, M.
    """

    mean_seconds: float

    def __post_init__(self) -> None:
        check_positive("mean_seconds", self.mean_seconds)

    def lifetimes(self, launched: FloatArray, generator: np.random.Generator) -> FloatArray:
        """See `Interruptions`."""
        return generator.exponential(self.mean_seconds, launched.shape)


@dataclass(frozen=True)
class WeibullInterruptions:
    """Interruptions whose rate changes with the age of the instance.

    Args:
        mean_seconds: mean life.
        shape: below 1 most die young, 1 is the exponential process, above 1 the old are at risk.

    Source: Weibull 1951, Journal of Applied Mechanics 18(3): mean = scale * gamma(1 + 1 / shape).
    """

    mean_seconds: float
    shape: float

    def __post_init__(self) -> None:
        check_positive("mean_seconds", self.mean_seconds)
        check_positive("shape", self.shape)

    def lifetimes(self, launched: FloatArray, generator: np.random.Generator) -> FloatArray:
        """See `Interruptions`."""
        scale = self.mean_seconds / math.gamma(1 + 1 / self.shape)
        return scale * generator.weibull(self.shape, launched.shape)


@dataclass(frozen=True)
class LogNormalInterruptions:
    """Lives whose logarithm is normal: many short ones and a few very long ones.

    Args:
        mean_seconds: mean life.
        sigma: standard deviation of the life's natural logarithm.
    """

    mean_seconds: float
    sigma: float

    def __post_init__(self) -> None:
        check_positive("mean_seconds", self.mean_seconds)
        check_positive("sigma", self.sigma)

    def lifetimes(self, launched: FloatArray, generator: np.random.Generator) -> FloatArray:
        """See `Interruptions`."""
        return generator.lognormal(math.log(self.mean_seconds) - self.sigma**2 / 2, self.sigma, launched.shape)


@dataclass(frozen=True, eq=False)
class ReplayedInterruptions:
    """The interruptions of a trace, at the moments at which they happened; each run begins at a random one."""

    trace: InterruptionTrace

    @property
    def mean_seconds(self) -> float:
        """Watched time over interruptions."""
        return self.trace.mean_seconds

    def lifetimes(self, launched: FloatArray, generator: np.random.Generator) -> FloatArray:
        """See `Interruptions`."""
        return self.trace.next_after(launched) - launched


@dataclass(frozen=True)
class ConstantWait:
    """Capacity comes after the same time every time; 0 is a market that always has room."""

    seconds: float = 0.0

    def __post_init__(self) -> None:
        check_not_negative("seconds", self.seconds)

    def waits(self, runs: int, generator: np.random.Generator) -> FloatArray:
        """See `Waits`."""
        return np.full(runs, float(self.seconds))


@dataclass(frozen=True)
class ExponentialWait:
    """Capacity in one or several pools, each free after an exponential time; the job starts when all have room.

    Args:
        mean_seconds: mean wait of each pool, one number for one pool.
    """

    mean_seconds: float | Sequence[float]

    def __post_init__(self) -> None:
        if not self._means:
            raise SpotError.of("mean_seconds", self.mean_seconds, "names no pool", "give one mean for each pool")
        for mean in self._means:
            check_not_negative("mean_seconds", mean)

    @property
    def _means(self) -> tuple[float, ...]:
        given = self.mean_seconds
        return tuple(given) if isinstance(given, Sequence) else (given,)

    def waits(self, runs: int, generator: np.random.Generator) -> FloatArray:
        """See `Waits`."""
        means = np.array(self._means, dtype=np.float64)
        slowest: FloatArray = (generator.standard_exponential((runs, len(means))) * means).max(axis=1)
        return slowest


@dataclass(frozen=True)
class SampledWait:
    """Waits that were observed, drawn again at random.

    Args:
        seconds: the observed waits, such as `InterruptionLog.waits_seconds`.
    """

    seconds: Sequence[float]

    def __post_init__(self) -> None:
        if not len(self.seconds):
            raise SpotError.of("seconds", self.seconds, "holds no wait", "use ConstantWait(0) if there never was one")
        for value in self.seconds:
            check_not_negative("seconds", value)

    def waits(self, runs: int, generator: np.random.Generator) -> FloatArray:
        """See `Waits`."""
        return generator.choice(np.array(self.seconds, dtype=np.float64), runs)
