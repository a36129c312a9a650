"""What happened on a spot market as data: prices that change now and then, and moments of interruption.

A trace covers a stretch of time, and a simulation that outlasts it starts it over: position `t` means
`t % length_seconds`. Nothing here invents a price; `source` says where the numbers come from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from course_lib.finops.spot.errors import SpotError, check_positive, check_utc

FloatArray: TypeAlias = NDArray[np.float64]
SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, eq=False)
class PriceTrace:
    """The spot price of one instance type in one zone: a step function.

    Args:
        start: the moment of position 0, in UTC.
        seconds: (changes,) positions at which a price begins, ascending, the first one 0.
        usd_per_hour: (changes,) the price that begins there, for one instance.
        length_seconds: how long the trace is; the last price lasts until then.
        source: where it was read, or how it was made.
        instance: instance type.
        zone: availability zone.

    Raises:
        SpotError: for an empty or unsorted trace, a price that is not above 0, a start without UTC.
    """

    start: datetime
    seconds: FloatArray
    usd_per_hour: FloatArray
    length_seconds: float
    source: str
    instance: str = ""
    zone: str = ""
    _knots: FloatArray = field(init=False, repr=False)  # where the price may bend what was paid
    _paid: FloatArray = field(init=False, repr=False)  # US dollars from 0 up to each knot

    def __post_init__(self) -> None:
        check_utc("start", self.start)
        _keep_positions(self, self.seconds, self.length_seconds)
        if self.seconds[0] != 0:
            raise SpotError.of("seconds[0]", float(self.seconds[0]), "must be 0", "count from the first price on")
        prices = np.array(self.usd_per_hour, dtype=np.float64)
        if prices.shape != self.seconds.shape:
            raise SpotError.of("usd_per_hour", prices.shape, f"must have {len(self.seconds)} values", "one per change")
        wrong = np.flatnonzero(~(np.isfinite(prices) & (prices > 0)))
        if wrong.size:
            first = int(wrong[0])
            remedy = "leave the row out: a spot price of 0 is a gap in the data, not a gift"
            raise SpotError.of(f"usd_per_hour[{first}]", float(prices[first]), "must be a number above 0", remedy)
        _freeze(self, "usd_per_hour", prices)
        spans = np.diff(self.seconds, append=self.length_seconds)
        _freeze(self, "_paid", np.concatenate([[0.0], np.cumsum(prices * spans) / SECONDS_PER_HOUR]))
        _freeze(self, "_knots", np.append(self.seconds, self.length_seconds))

    @property
    def mean_usd_per_hour(self) -> float:
        """The price averaged over time, not over changes."""
        return float(self._paid[-1] / self.length_seconds * SECONDS_PER_HOUR)

    def at(self, position: ArrayLike) -> FloatArray:
        """The price in USD per hour at each position (seconds, any shape)."""
        return self.usd_per_hour[self._step(np.asarray(position, dtype=np.float64))]

    def cost(self, launched: ArrayLike, seconds: ArrayLike) -> FloatArray:
        """What one instance costs from a position on.

        Args:
            launched: (...) positions in seconds.
            seconds: (...) how long each one is paid for.

        Returns:
            (...) US dollars: the integral of the price that is in effect.
        """
        begin = np.asarray(launched, dtype=np.float64)
        return self._paid_until(begin + np.asarray(seconds, dtype=np.float64)) - self._paid_until(begin)

    def next_time(self, position: FloatArray, limit: float, *, above: bool) -> FloatArray:
        """The first moment, from each position on, at which the price is above a limit, or is not.

        Args:
            position: (...) seconds.
            limit: USD per hour.
            above: True looks for a price above the limit, False for one at or below.

        Returns:
            (...) seconds, the position itself where it is so already; infinity where that never happens.
        """
        wanted = (self.usd_per_hour > limit) == above
        if not wanted.any():
            return np.full(position.shape, np.inf)
        steps = len(wanted)
        # twice around, so that each step finds a wanted one after it
        hits = np.flatnonzero(np.tile(wanted, 2))
        step = self._step(position)
        hit = hits[np.searchsorted(hits, step)]
        begins = self.seconds[hit % steps] + self.length_seconds * (hit // steps)
        lap = np.floor(position / self.length_seconds) * self.length_seconds
        return np.where(wanted[step], position, lap + begins)

    def _step(self, position: FloatArray) -> NDArray[np.intp]:
        return np.searchsorted(self.seconds, position % self.length_seconds, side="right") - 1

    def _paid_until(self, position: FloatArray) -> FloatArray:
        laps = np.floor(position / self.length_seconds)
        within = position - laps * self.length_seconds
        result: FloatArray = laps * self._paid[-1] + np.interp(within, self._knots, self._paid)
        return result


@dataclass(frozen=True, eq=False)
class InterruptionTrace:
    """The moments at which a pool took its instances back.

    Args:
        start: the moment of position 0, in UTC.
        seconds: (interruptions,) positions, ascending, within the trace.
        length_seconds: how long the pool was watched.
        source: where it was read, or how it was made.
        pool: name of the pool.

    Raises:
        SpotError: for an empty or unsorted trace, or a start without UTC.
    """

    start: datetime
    seconds: FloatArray
    length_seconds: float
    source: str
    pool: str = ""

    def __post_init__(self) -> None:
        check_utc("start", self.start)
        _keep_positions(self, self.seconds, self.length_seconds)

    @property
    def mean_seconds(self) -> float:
        """Watched time over interruptions."""
        return self.length_seconds / len(self.seconds)

    def next_after(self, position: ArrayLike) -> FloatArray:
        """The first interruption strictly after each position (seconds, any shape)."""
        wanted = np.asarray(position, dtype=np.float64)
        lap = np.floor(wanted / self.length_seconds) * self.length_seconds
        index = np.searchsorted(self.seconds, wanted - lap, side="right")
        again = index // len(self.seconds)  # 1 where this lap holds none any more
        result: FloatArray = lap + again * self.length_seconds + self.seconds[index % len(self.seconds)]
        return result


def _freeze(trace: object, name: str, values: FloatArray) -> None:
    values.setflags(write=False)
    object.__setattr__(trace, name, values)


def _keep_positions(trace: object, given: ArrayLike, length_seconds: float) -> None:
    check_positive("length_seconds", length_seconds)
    positions = np.array(given, dtype=np.float64)
    if positions.ndim != 1 or not positions.size:
        raise SpotError.of("seconds", positions.tolist(), "must hold at least one moment", "load a longer log")
    if not np.isfinite(positions).all() or positions[0] < 0 or positions[-1] >= length_seconds:
        ends = [float(positions[0]), float(positions[-1])]
        raise SpotError.of("seconds", ends, f"must lie in [0, {length_seconds:g})", "give a longer length_seconds")
    steps = np.diff(positions)
    if (steps <= 0).any():
        at = int(np.flatnonzero(steps <= 0)[0])
        pair = [float(value) for value in positions[at : at + 2]]
        raise SpotError.of(f"seconds[{at}:{at + 2}]", pair, "must ascend", "sort the trace by time and drop duplicates")
    _freeze(trace, "seconds", positions)
