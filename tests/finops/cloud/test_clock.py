"""The account's clock. Oracle: arithmetic on times by hand, and a real clock that the test turns itself."""

from datetime import UTC, datetime, timedelta

import pytest

from course_lib.finops.cloud.clock import Clock
from course_lib.finops.errors import FinopsError

START = datetime(2026, 12, 1, 8, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Due:
    """Things that are due at given minutes after the start; remembers what the clock showed when each happened."""

    def __init__(self, clock, *minutes):
        self.clock, self.waiting, self.seen = clock, sorted(START + m * MINUTE for m in minutes), []

    def next(self):
        return self.waiting[0] if self.waiting else None

    def happen(self, now):
        self.seen.append((self.waiting.pop(0), self.clock.now()))


def test_a_clock_runs_so_many_seconds_a_second():
    real = [100.0]
    clock = Clock(START, 60, real=lambda: real[0])
    real[0] += 2
    assert clock.now() == START + 2 * MINUTE
    clock.run_at(0)
    real[0] += 100
    assert clock.now() == START + 2 * MINUTE
    clock.run_at(1)
    real[0] += 5
    assert clock.now() == START + 2 * MINUTE + timedelta(seconds=5)


def test_each_thing_happens_while_the_clock_shows_its_moment():
    clock = Clock(START, 0)
    due = Due(clock, 5, 10, 90)
    assert clock.reach(START + timedelta(hours=1), due.next, due.happen) == 2
    assert due.seen == [(START + 5 * MINUTE, START + 5 * MINUTE), (START + 10 * MINUTE, START + 10 * MINUTE)]
    assert clock.now() == START + timedelta(hours=1)


def test_what_was_due_before_anybody_looked_happens_now_and_time_never_runs_back():
    clock = Clock(START, 0)
    due = Due(clock, -30)
    clock.reach(START, due.next, due.happen)
    assert due.seen == [(START - 30 * MINUTE, START)]
    clock.reach(START - timedelta(hours=5), due.next, due.happen)
    assert clock.now() == START


def test_what_a_happening_makes_due_happens_on_the_way():
    clock = Clock(START, 0)
    due = Due(clock, 5)
    happen = due.happen

    def chain(now):
        happen(now)
        if len(due.seen) < 3:
            due.waiting.append(now + 5 * MINUTE)

    clock.reach(START + timedelta(hours=1), due.next, chain)
    assert [shown for _, shown in due.seen] == [START + m * MINUTE for m in (5, 10, 15)]


def test_a_failure_on_the_way_leaves_a_clock_that_goes_on():
    clock = Clock(START, 0)
    due = Due(clock, 5)

    def fail(now):
        due.happen(now)
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk"):
        clock.reach(START + timedelta(hours=1), due.next, fail)
    clock.reach(START + timedelta(hours=1), due.next, due.happen)
    assert clock.now() == START + timedelta(hours=1)


@pytest.mark.parametrize("speed", [-1, float("inf"), float("nan")])
def test_a_speed_that_is_none_is_refused(speed):
    with pytest.raises(FinopsError, match=r"speed=.*0 or more"):
        Clock(START, speed)


def test_a_start_without_a_time_zone_is_refused():
    with pytest.raises(FinopsError, match=r"2026-12-01T08:00:00.*names no time zone.*\+00:00"):
        Clock(START.replace(tzinfo=None))
