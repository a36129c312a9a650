"""Made-up markets for teaching and tests: every one is seeded and says in its `source` that it was made.

No price here pretends to be one of AWS: the mean comes from the caller (from the catalog, or from a history), and the
shape (how fast a price comes back to its mean, how far it strays) is a choice, not a measurement.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np

from course_lib.finops.spot.errors import SpotError, check_count, check_not_negative, check_positive
from course_lib.finops.spot.lifetimes import Interruptions
from course_lib.finops.spot.traces import SECONDS_PER_HOUR, InterruptionTrace, PriceTrace

START = datetime(2026, 1, 1, tzinfo=UTC)


def mean_reverting_prices(
    mean_usd_per_hour: Mapping[str, float],
    hours: int,
    *,
    seed: int,
    reversion_hours: float = 24.0,
    deviation: float = 0.1,
    correlation: float = 0.0,
    at_most: Mapping[str, float] | None = None,
    start: datetime = START,
) -> dict[str, PriceTrace]:
    """Hourly prices of several pools that wander around their means, more or less together.

    The logarithm of price over mean follows an Ornstein-Uhlenbeck process, stepped exactly: x' = a x + sqrt(1-a^2) d z
    with a = exp(-1 / reversion_hours), and price = mean * exp(x - d^2 / 2), so that its mean is the given one.

    Args:
        mean_usd_per_hour: pool → mean price.
        hours: length of the traces.
        seed: of the random numbers.
        reversion_hours: after this time a deviation has shrunk to 1/e on average.
        deviation: standard deviation of the logarithm, d; 0.1 is about 10 % of the price.
        correlation: of the pools' logarithms, 0 to 1.
        at_most: pool → on-demand price, which a spot price does not exceed; a cap pulls the mean down.
        start: the moment of position 0.

    Returns:
        pool → trace.

    Raises:
        SpotError: for no pool, an unknown pool in `at_most`, or a number out of range.

    Source: Uhlenbeck and Ornstein 1930, Physical Review 36. "Spot Instance pricing history", Amazon EC2 User Guide:
    prices adjust gradually and do not exceed the on-demand price.
    """
    _check_share("correlation", correlation)
    check_count("hours", hours)
    check_positive("reversion_hours", reversion_hours)
    check_not_negative("deviation", deviation)
    for pool, mean in mean_usd_per_hour.items():
        check_positive(f"mean_usd_per_hour[{pool!r}]", mean)
    _check_pools(mean_usd_per_hour, at_most or {})
    random = np.random.default_rng(seed)
    keeps = math.exp(-1 / reversion_hours)
    shared = random.standard_normal((hours, 1))
    own = random.standard_normal((hours, len(mean_usd_per_hour)))
    shocks = math.sqrt(correlation) * shared + math.sqrt(1 - correlation) * own
    states = np.empty_like(shocks)
    states[0] = shocks[0]  # the stationary distribution, so that the first hour is like any other
    for hour in range(1, hours):
        states[hour] = keeps * states[hour - 1] + math.sqrt(1 - keeps**2) * shocks[hour]
    factors = np.exp(deviation * states - deviation**2 / 2)
    source = f"synthetic, mean_reverting_prices(seed={seed})"
    return {
        pool: PriceTrace(
            start=start,
            seconds=np.arange(hours, dtype=np.float64) * SECONDS_PER_HOUR,
            usd_per_hour=np.minimum(mean * factors[:, column], (at_most or {}).get(pool, np.inf)),
            length_seconds=hours * SECONDS_PER_HOUR,
            source=source,
            instance=pool,
        )
        for column, (pool, mean) in enumerate(mean_usd_per_hour.items())
    }


def renewal_interruptions(
    process: Interruptions, length_seconds: float, *, seed: int, pool: str = "", start: datetime = START
) -> InterruptionTrace:
    """One pool whose instances are replaced at once: interruptions with the process's lives between them.

    Args:
        process: exponential, Weibull or log-normal lives.
        length_seconds: length of the trace.
        seed: of the random numbers.
        pool: its name.
        start: the moment of position 0.

    Returns:
        The trace.

    Raises:
        SpotError: when no interruption falls into the trace.
    """
    check_positive("length_seconds", length_seconds)
    random = np.random.default_rng(seed)
    moments = np.zeros(1)
    expected = int(length_seconds / process.mean_seconds) + 10
    while moments[-1] < length_seconds:
        lives = process.lifetimes(np.zeros(expected), random)
        moments = np.concatenate([moments, moments[-1] + np.cumsum(lives)])
    source = f"synthetic, renewal_interruptions({process!r}, seed={seed})"
    inside = moments[1:][moments[1:] < length_seconds]
    return InterruptionTrace(start, inside, length_seconds, source, pool)


def correlated_interruptions(
    mean_seconds: Mapping[str, float],
    length_seconds: float,
    *,
    seed: int,
    common_share: float = 0.0,
    start: datetime = START,
) -> dict[str, InterruptionTrace]:
    """Interruptions of several pools, some of which strike all pools at the same moment.

    Args:
        mean_seconds: pool → mean time between its interruptions.
        length_seconds: length of the traces.
        seed: of the random numbers.
        common_share: share, 0 to 1, of the calmest pool's interruptions that are common to all.
        start: the moment of position 0.

    Returns:
        pool → trace.

    Raises:
        SpotError: for no pool, a number out of range, or a pool without any interruption in the trace.

    Source: Marshall and Olkin 1967, Journal of the American Statistical Association 62: independent Poisson shocks, one
    kind for each pool and one for all of them.
    """
    _check_share("common_share", common_share)
    check_positive("length_seconds", length_seconds)
    _check_pools(mean_seconds, {})
    for pool, mean in mean_seconds.items():
        check_positive(f"mean_seconds[{pool!r}]", mean)
    random = np.random.default_rng(seed)
    common_rate = common_share / max(mean_seconds.values())

    def shocks(rate: float) -> np.ndarray:
        return random.uniform(0, length_seconds, random.poisson(rate * length_seconds))

    common = shocks(common_rate)
    source = f"synthetic, correlated_interruptions(seed={seed}, common_share={common_share})"
    traces = {}
    for pool, mean in mean_seconds.items():
        moments = np.unique(np.concatenate([common, shocks(max(1 / mean - common_rate, 0.0))]))
        traces[pool] = InterruptionTrace(start, moments, length_seconds, source, pool)
    return traces


def _check_share(name: str, value: float) -> None:
    check_not_negative(name, value)
    if value > 1:
        raise SpotError.of(name, value, "must be a share, 0 to 1", "write 0.3 for 30 %")


def _check_pools(pools: Mapping[str, float], named: Mapping[str, float]) -> None:
    if not pools:
        raise SpotError.of("pools", {}, "must name at least one pool", "give a mapping such as {'us-east-1a': 2.0}")
    if unknown := sorted(set(named) - set(pools)):
        raise SpotError.of("pool", unknown, "is unknown", f"name one of {sorted(pools)}")
