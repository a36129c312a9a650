"""Price and interruption traces. Oracle: loops over single seconds and laps."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.finops.spot import (
    InterruptionTrace,
    PriceTrace,
    SpotError,
)

HOUR = 3600
START = datetime(2026, 1, 1, tzinfo=UTC)


def price_trace(seconds=(0, 100, 250), usd=(3.0, 1.0, 2.0), length=400.0):
    return PriceTrace(START, seconds, usd, length, "test")


def price_by_loop(trace, position):
    within = position % trace.length_seconds
    return [price for begin, price in zip(trace.seconds, trace.usd_per_hour, strict=True) if begin <= within][-1]


@given(st.integers(0, 2000), st.integers(0, 1500))
def test_cost_is_the_sum_of_the_prices_of_its_seconds(begin, seconds):
    """Oracle: a loop over single seconds, three times around the trace."""
    trace = price_trace()
    expected = sum(price_by_loop(trace, begin + second) for second in range(seconds)) / HOUR
    assert trace.cost(begin, seconds) == pytest.approx(expected, abs=1e-9)
    assert trace.at(begin) == price_by_loop(trace, begin)


@given(st.integers(0, 900), st.sampled_from([0.5, 1.0, 1.5, 2.0, 2.5, 3.0]), st.booleans())
def test_the_next_moment_above_or_below_a_limit_is_the_first_one(begin, limit, above):
    """Oracle: a search second by second over one lap."""
    trace = price_trace()
    wanted = [t for t in range(begin, begin + 401) if (price_by_loop(trace, t) > limit) == above]
    found = trace.next_time(np.array([float(begin)]), limit, above=above)[0]
    assert found == (wanted[0] if wanted else math.inf)


@given(st.floats(0, 900))
def test_the_next_interruption_is_the_first_one_after(position):
    """Oracle: a search through three laps."""
    trace = InterruptionTrace(START, (30.0, 31.0, 150.0), 300.0, "test")
    moments = [lap * 300 + second for lap in range(5) for second in (30, 31, 150)]
    assert trace.next_after(position) == next(moment for moment in moments if moment > position)


@pytest.mark.parametrize(
    ("seconds", "usd", "length", "words"),
    [
        ((), (), 10, "at least one moment"),
        ((0, 5, 4), (1, 1, 1), 10, "must ascend"),
        ((0, 5, 5), (1, 1, 1), 10, "must ascend"),
        ((1, 5), (1, 1), 10, "must be 0"),
        ((0, 10), (1, 1), 10, "longer length_seconds"),
        ((0, 5), (1, 0), 10, r"usd_per_hour\[1\]=0.0 must be a number above 0"),
        ((0, 5), (1, math.nan), 10, "above 0"),
        ((0, 5), (1,), 10, "must have 2 values"),
        ((0, math.nan), (1, 1), 10, "must lie in"),
        ((0,), (1,), 0, "length_seconds=0"),
    ],
)
def test_broken_traces_are_refused_with_the_place(seconds, usd, length, words):
    with pytest.raises(SpotError, match=words):
        price_trace(seconds, usd, length)


@pytest.mark.parametrize(
    "start", [datetime(2026, 1, 1), "2026-01-01", datetime.fromisoformat("2026-01-01T00:00+02:00")]
)
def test_only_utc_is_a_time(start):
    with pytest.raises(SpotError, match="UTC"):
        PriceTrace(start, (0,), (1,), 10, "test")
    with pytest.raises(SpotError, match="UTC"):
        InterruptionTrace(start, (0,), 10, "test")
