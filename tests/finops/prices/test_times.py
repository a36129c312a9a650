"""Where a run's hours go. Oracle: a Monte Carlo of failing runs, written here with NumPy."""

import math

import numpy as np
import pytest

from course_lib.finops.prices import PriceError, RunTimes, expected_times, measured_times

HOUR = 3600.0


def played(useful, interval, checkpoint, mtbf, restart, seed):
    """One run that fails at random: seconds of finished checkpoints and seconds lost."""
    random = np.random.default_rng(seed)
    until_failure = random.exponential(mtbf)
    writing = lost = 0.0
    for _ in range(round(useful / interval)):
        spent = 0.0  # since this segment began, without its own success
        need = interval + checkpoint
        while until_failure < need:
            spent += until_failure
            until_failure = random.exponential(mtbf)
            while until_failure < restart:  # a failure during a restart starts the restart anew
                spent += until_failure
                until_failure = random.exponential(mtbf)
            spent += restart
            until_failure -= restart
        until_failure -= need
        writing += checkpoint
        lost += spent
    return writing, lost


def test_the_expected_split_is_that_of_simulated_runs():
    checkpoint, mtbf, restart, interval = 120.0, 4 * HOUR, 600.0, 1800.0
    useful = 400 * interval
    expected = expected_times(
        useful,
        checkpoint_seconds=checkpoint,
        interval_seconds=interval,
        mtbf_seconds=mtbf,
        restart_seconds=restart,
    )
    runs = np.array([played(useful, interval, checkpoint, mtbf, restart, seed) for seed in range(200)])
    error = runs[:, 1].std() / math.sqrt(len(runs))
    assert expected.checkpoint_seconds == pytest.approx(runs[0, 0])
    assert abs(runs[:, 1].mean() - expected.lost_seconds) < 3.5 * error
    assert error < 0.02 * expected.lost_seconds, "or the comparison says nothing"


def test_the_default_interval_is_dalys():
    """Oracle: Daly's 0.49441 h and E/W = 1.18959 for C = 2 min, M = 4 h, R = 10 min, as published for this course."""
    times = expected_times(100 * HOUR, checkpoint_seconds=120, mtbf_seconds=4 * HOUR, restart_seconds=600)
    assert times.seconds / times.useful_seconds == pytest.approx(1.18959, abs=1e-5)
    assert times.checkpoint_seconds / times.useful_seconds == pytest.approx(120 / (0.49441 * HOUR), rel=1e-4)
    assert times.goodput == pytest.approx(1 / 1.18959, rel=1e-5)


def test_without_failures_only_checkpoints_cost():
    assert expected_times(7200, checkpoint_seconds=60, interval_seconds=600) == RunTimes(7200, 720, 0, 0)
    assert expected_times(7200, idle_seconds=100) == RunTimes(7200, 0, 0, 100)


def test_what_is_allocated_and_unaccounted_for_is_idle():
    times = measured_times(10_000, 7_000, checkpoint_seconds=500, lost_seconds=1_500)
    assert (times.idle_seconds, times.seconds, times.goodput) == (1_000, 10_000, 0.7)
    with pytest.raises(PriceError, match=r"allocated_seconds=100 is less than the 120 s"):
        measured_times(100, 120)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"useful_seconds": -1}, r"useful_seconds=-1"),
        ({"useful_seconds": math.nan}, r"useful_seconds=nan"),
        ({"useful_seconds": 1, "idle_seconds": -1}, r"idle_seconds=-1"),
        ({"useful_seconds": 1, "mtbf_seconds": 0}, r"mtbf_seconds=0"),
        ({"useful_seconds": 1, "mtbf_seconds": 10}, r"checkpoint_seconds=0.0 gives no best interval"),
        ({"useful_seconds": 1, "interval_seconds": 0}, r"interval_seconds=0"),
        ({"useful_seconds": 1, "restart_seconds": math.inf}, r"restart_seconds=inf"),
    ],
)
def test_times_out_of_range_are_refused(asked, told):
    useful = asked.pop("useful_seconds")
    with pytest.raises(PriceError, match=told):
        expected_times(useful, **asked)


def test_a_run_that_never_ends_says_so():
    with pytest.raises(ValueError, match=r"never ends"):
        expected_times(1e6, checkpoint_seconds=1, interval_seconds=1e6, mtbf_seconds=10)
