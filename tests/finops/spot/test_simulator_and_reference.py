"""simulate, run by run. Oracle: `run_once`, which plays one run event by event, given the same random numbers."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.finops.spot import (
    AWS_LINUX,
    EXACT,
    Draws,
    ExponentialInterruptions,
    ExponentialWait,
    InterruptionTrace,
    LogNormalInterruptions,
    PriceTrace,
    ReplayedInterruptions,
    SpotJob,
    SpotMarket,
    WeibullInterruptions,
    mean_reverting_prices,
    run_once,
    simulate,
)
from course_lib.finops.spot.outcomes import COLUMNS

HOUR = 3600
START = datetime(2026, 1, 1, tzinfo=UTC)


class Scripted:
    """Lives and waits in whole seconds, which floats hold exactly: ties are ties."""

    mean_seconds = 1.0

    def __init__(self, rounds):
        self.rounds = iter(rounds)

    def lifetimes(self, launched, generator):
        return np.full(launched.shape, float(next(self.rounds, 10_000)))

    def waits(self, runs, generator):
        return np.full(runs, float(next(self.rounds, 0)))


seconds = st.integers(1, 300)


@settings(max_examples=400)
@given(
    job=st.builds(
        SpotJob,
        useful_seconds=st.integers(1, 900),
        interval_seconds=seconds,
        checkpoint_seconds=st.integers(0, 90),
        restart_seconds=st.integers(0, 90),
        start_seconds=st.integers(0, 90),
        save_on_notice=st.booleans(),
        notice_seconds=st.integers(0, 120),
    ),
    lives=st.lists(seconds, max_size=6),
    waits=st.lists(st.integers(0, 200), max_size=6),
    slack=st.none() | st.integers(0, 900),
)
def test_whole_seconds_agree_exactly_ties_included(job, lives, waits, slack):
    deadline = None if slack is None else job.quiet_seconds + slack
    market = SpotMarket(Scripted(lives), 2.0, Scripted(waits), on_demand_usd_per_hour=5.0, taken_share=0.5)
    many = simulate(job, market, runs=1, deadline_seconds=deadline)
    one = run_once(
        job,
        market,
        lifetime=lambda launch, _: [*lives, *[10_000] * 99][launch],
        wait=lambda launch, _: [*waits, *[0] * 99][launch],
        deadline_seconds=deadline,
    )
    for name in COLUMNS:
        assert getattr(many, name)[0] == pytest.approx(getattr(one, name), rel=1e-12, abs=1e-12), name
    assert deadline is None or one.finish_seconds <= deadline


PRICES = mean_reverting_prices({"a": 2.0}, 200, seed=5, deviation=0.4)["a"]
REPLAY = ReplayedInterruptions(
    InterruptionTrace(START, np.sort(np.random.default_rng(8).uniform(0, 200 * HOUR, 60)), 200 * HOUR, "test")
)
MARKETS = {
    "exponential": SpotMarket(ExponentialInterruptions(4 * HOUR), 1.0, billing=EXACT),
    "aws_bill": SpotMarket(ExponentialInterruptions(HOUR), 1.0, billing=AWS_LINUX, taken_share=0.25),
    "waits": SpotMarket(WeibullInterruptions(4 * HOUR, 0.7), 1.0, ExponentialWait([600, 1200])),
    "prices": SpotMarket(LogNormalInterruptions(4 * HOUR, 1.5), PRICES, ExponentialWait(600)),
    "replay": SpotMarket(REPLAY, PRICES, ExponentialWait(600)),
}


@pytest.mark.parametrize("save_on_notice", [False, True])
@pytest.mark.parametrize("deadline", [None, 45 * HOUR])
@pytest.mark.parametrize("name", MARKETS)
def test_each_of_60_runs_is_the_one_that_the_reference_plays(name, deadline, save_on_notice):
    market = MARKETS[name]
    if deadline is not None:
        market = SpotMarket(
            market.interruptions,
            market.usd_per_hour,
            market.waits,
            on_demand_usd_per_hour=4.0,
            billing=market.billing,
            taken_share=market.taken_share,
        )
    job = SpotJob(40 * HOUR, 1800, 100, restart_seconds=600, start_seconds=900, save_on_notice=save_on_notice)
    draws = Draws()
    many = simulate(job, market, runs=60, seed=3, deadline_seconds=deadline, draws=draws)
    assert many.interruptions.sum() > 60
    fell_back = np.count_nonzero(many.on_demand_seconds)
    assert (fell_back > 0) == (deadline is not None)
    for run in range(60):

        def lifetime(launch, moment, run=run):
            if isinstance(market.interruptions, ReplayedInterruptions):  # from the log itself, at the moment of launch
                position = (draws.offsets[run] + moment) % (200 * HOUR)
                later = REPLAY.trace.seconds[REPLAY.trace.seconds > position]
                return (later[0] if later.size else REPLAY.trace.seconds[0] + 200 * HOUR) - position
            return draws.lifetimes[launch][run]

        one = run_once(
            job,
            market,
            lifetime=lifetime,
            wait=lambda launch, _, run=run: draws.waits[launch][run],
            offset_seconds=draws.offsets[run],
            deadline_seconds=deadline,
        )
        for column in COLUMNS:
            assert getattr(many, column)[run] == pytest.approx(getattr(one, column), rel=1e-9, abs=1e-5), column


def test_the_events_of_a_run_told_by_hand():
    """Oracle: a run worked out on paper."""
    job = SpotJob(100, 40, 10, restart_seconds=20, start_seconds=5)
    run = run_once(job, MARKETS["exponential"], lifetime=lambda launch, _: [115, 30, 1000][launch])
    told = [(event.seconds, event.kind, event.saved_seconds) for event in run.events]
    assert told == [
        (0, "launched", 0),
        (5, "working", 0),
        (55, "checkpoint", 40),
        (105, "checkpoint", 80),
        (115, "interrupted", 80),  # 10 s of work are lost
        (115, "launched", 80),
        (135, "working", 80),
        (145, "interrupted", 80),  # and 10 again
        (145, "launched", 80),
        (165, "working", 80),
        (195, "finished", 100),
    ]
    assert (run.lost_seconds, run.interruptions, run.finish_seconds) == (20, 2, 195)
    assert run.cost_usd == pytest.approx(195 / 3600)


def test_a_notice_saves_the_work_since_the_last_checkpoint_and_costs_its_two_minutes():
    """Oracle: a run worked out on paper."""
    job = SpotJob(1000, 400, 60, save_on_notice=True)
    run = run_once(job, MARKETS["exponential"], lifetime=lambda launch, _: [700, 10_000][launch])
    told = [(event.seconds, event.kind, event.saved_seconds) for event in run.events]
    assert told == [
        (0, "launched", 0),
        (0, "working", 0),
        (460, "checkpoint", 400),
        (640, "saved_on_notice", 520),  # the notice came at 580, after 120 s of work
        (700, "interrupted", 520),
        (700, "launched", 520),
        (700, "working", 520),
        (1160, "checkpoint", 920),
        (1300, "finished", 1000),
    ]
    assert run.lost_seconds == 0


def test_the_same_seed_gives_the_same_luck_to_another_policy():
    """Oracle: the definition of common random numbers; the first launch's life does not depend on the interval."""
    kept = []
    for interval in (600, 2400):
        draws = Draws()
        simulate(SpotJob(40 * HOUR, interval, 60), MARKETS["waits"], runs=50, seed=9, draws=draws)
        kept.append(draws)
    rounds = min(len(kept[0].lifetimes), len(kept[1].lifetimes))
    assert rounds > 5
    for launch in range(rounds):
        np.testing.assert_array_equal(kept[0].lifetimes[launch], kept[1].lifetimes[launch])
        np.testing.assert_array_equal(kept[0].waits[launch], kept[1].waits[launch])


def test_a_maximum_price_interrupts_and_delays():
    """Oracle: a price of two steps, worked out on paper: 1 USD in even hours, 3 USD in odd ones, at most 2 USD."""
    length = 20 * HOUR
    price = PriceTrace(START, np.arange(20) * HOUR, np.tile([1.0, 3.0], 10), length, "test")
    calm = ReplayedInterruptions(InterruptionTrace(START, np.array([length - 1.0]), length, "test"))
    market = SpotMarket(calm, price, max_usd_per_hour=2.0, billing=EXACT)
    draws = Draws()
    runs = simulate(SpotJob(5400, 600, 0), market, runs=200, draws=draws)
    phase = draws.offsets % (2 * HOUR)
    usual = draws.offsets < length - 4 * HOUR  # away from the calm market's one interruption
    cheap = phase < HOUR
    first = np.where(cheap, HOUR - phase, HOUR)  # until the price rises
    done = np.floor(first / 600) * 600
    begins = np.where(cheap, 0, 2 * HOUR - phase)
    expected = begins + first + HOUR + (5400 - done)
    two = usual & (5400 - done <= HOUR)
    assert two.sum() > 50
    np.testing.assert_allclose(runs.finish_seconds[two], expected[two], rtol=1e-9)
    np.testing.assert_array_equal(runs.interruptions[two], 1)
    worked = runs.spot_seconds[two]
    np.testing.assert_allclose(runs.cost_usd[two], worked / HOUR, rtol=1e-9)  # never more than the spot price
