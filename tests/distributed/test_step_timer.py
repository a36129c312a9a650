"""Where a step's time goes. Oracle: a clock that the work itself moves on, so that every second is known."""

import time

import pytest

from course_lib.distributed import TrainingSetupError
from course_lib.distributed.step_timer import StepTimer, across_ranks


class Clock:
    def __init__(self):
        self.now, self.pending = 0.0, 0.0

    def __call__(self):
        return self.now

    def work(self, seconds):
        self.now += seconds

    def ask(self, seconds):
        """Work that a device does later."""
        self.pending += seconds

    def synchronize(self):
        self.now, self.pending = self.now + self.pending, 0.0


def loader(clock, waits):
    for wait in waits:
        clock.work(wait)
        yield wait


def timed(waits, synchronize=True):
    clock = Clock()
    timer = StepTimer(clock.synchronize if synchronize else lambda: None, clock=clock)
    for _ in timer.waiting(loader(clock, waits)):
        for _ in range(2):  # microbatches
            with timer.phase("forward"):
                clock.ask(1.0)
            with timer.phase("backward"):
                clock.ask(2.0)
        with timer.phase("optimizer"):
            clock.ask(0.5)
        clock.work(0.25)
        timer.end_step()
    return timer


def test_each_phase_gets_its_own_seconds_and_the_rest_is_other():
    """Oracle: the clock; microbatches add up."""
    times = timed([100.0, 4.0, 4.0, 4.0]).times()
    assert times.seconds == {"data": 4.0, "forward": 2.0, "backward": 4.0, "optimizer": 0.5, "other": 0.25}
    assert (times.step_seconds, times.steps) == (10.75, 3)
    assert times.shares["data"] == pytest.approx(4 / 10.75)
    assert sum(times.shares.values()) == pytest.approx(1)


def test_a_slow_loader_is_the_bottleneck_and_its_bound_is_amdahls():
    """Oracle: 27 seconds with the loader, 7 without."""
    times = timed([20.25] * 3).times()
    assert times.bottleneck == "data"
    assert times.bound("data") == pytest.approx(27 / 6.75)


def test_without_waiting_for_the_device_only_the_asking_is_timed():
    """Oracle: the clock, whose device works later."""
    assert timed([4.0] * 3, synchronize=False).times().seconds["backward"] == 0.0


def test_medians_ignore_one_slow_step():
    """Oracle: statistics.median by hand."""
    assert timed([1.0, 1.0, 50.0, 1.0]).times().seconds["data"] == 1.0
    assert timed([9.0, 1.0]).times(skip=0).seconds["data"] == 5.0


def test_a_real_clock_finds_a_real_wait():
    """Oracle: time.sleep, which never sleeps less."""
    timer = StepTimer()
    for _ in range(3):
        with timer.phase("data"):
            time.sleep(0.02)
        timer.end_step()
    assert timer.times().seconds["data"] >= 0.02
    assert across_ranks(timer.times()) == [timer.times()]


def test_a_phase_that_fails_is_closed():
    """Oracle: the next phase can begin."""
    timer = StepTimer()
    with pytest.raises(KeyError), timer.phase("forward"):
        {}["loss"]
    with timer.phase("forward"):
        pass
    timer.end_step()
    assert timer.times(skip=0).steps == 1


def on_a_rank():
    import torch.distributed as dist

    clock = Clock()
    timer = StepTimer(clock=clock)
    for _ in range(3):
        with timer.phase("data"):
            clock.work(1.0 + dist.get_rank())
        timer.end_step()
    return across_ranks(timer.times())


def test_all_ranks_see_which_one_is_slow(launch_ranks):
    """Oracle: clocks that run differently on each rank."""
    one, other = launch_ranks(on_a_rank, 2)
    assert one == other
    assert [(times.rank, times.seconds["data"]) for times in one] == [(0, 1.0), (1, 2.0)]


def nested(timer):
    with timer.phase("forward"), timer.phase("backward"):
        pass


def other(timer):
    with timer.phase("other"):
        pass


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (nested, "phase='backward' begins inside of 'forward'"),
        (other, "phase='other' is what no phase covers"),
        (lambda timer: timer.times(), "skip=1 leaves none of 0 steps"),
        (lambda timer: timer.times(skip=-1), "skip=-1"),
        (lambda timer: timed([1.0] * 2).times().bound("network"), "phase='network' was not timed.*data, forward"),
    ],
)
def test_what_cannot_be_timed_is_refused(bad, words):
    """Oracle: the message."""
    with pytest.raises(TrainingSetupError, match=words):
        bad(StepTimer())
