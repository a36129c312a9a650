"""NoticeWatcher and run_until_notice. Oracle: scripted sources and clocks, whose every second is known by hand."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from course_lib.finops.spot import (
    Finished,
    Interrupted,
    InterruptionNotice,
    LocalMetadataServer,
    MetadataClient,
    MetadataError,
    Notice,
    NoticeWatcher,
    SpotError,
    run_until_notice,
)

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


class Source:
    """Answers from a script: None, a notice, or an error."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.rebalance = None

    def interruption_notice(self):
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def rebalance_recommendation(self):
        return self.rebalance


class Clock:
    def __init__(self):
        self.seconds = 100.0

    def __call__(self):
        return self.seconds


def notice_in(seconds):
    return InterruptionNotice("terminate", NOON + timedelta(seconds=seconds))


@pytest.mark.parametrize(("announced", "left"), [(117, 117), (0, 0), (120, 120), (-3000, 115), (9000, 115)])
def test_the_deadline_is_what_aws_names_unless_this_machines_clock_is_wrong(announced, left):
    """Oracle: 120 s after the last look that saw nothing, 5 s ago, where the named moment can't be."""
    clock = Clock()
    watcher = NoticeWatcher(Source(None, notice_in(announced)), clock=clock, now=lambda: NOON)
    assert watcher.look() is None
    clock.seconds += 5
    assert watcher.look() == Notice("terminate", NOON + timedelta(seconds=announced), clock.seconds + left)


def test_callbacks_come_once_and_their_mistakes_end_nothing():
    heard, clock = [], Clock()
    source = Source(notice_in(100), notice_in(100))

    def on_notice(notice):
        heard.append(notice)
        raise KeyError("a mistake of the caller")

    watcher = NoticeWatcher(source, on_notice, on_rebalance=heard.append, clock=clock, now=lambda: NOON)
    source.rebalance = NOON
    first = watcher.look()
    assert watcher.look() is first
    assert heard == [first, NOON]
    assert watcher.rebalance == NOON
    assert isinstance(watcher.last_error, KeyError)


def test_errors_are_counted_and_survived():
    watcher = NoticeWatcher(Source(MetadataError("a"), MetadataError("b"), None, notice_in(60)), now=lambda: NOON)
    assert [watcher.look() and "notice" for _ in range(2)] == [None, None]
    assert watcher.failures == 2
    assert str(watcher.last_error) == "b"
    watcher.look()
    assert (watcher.failures, watcher.last_error) == (0, None)
    assert watcher.look().action == "terminate"


def test_a_broken_recommendation_does_not_hide_the_notice():
    class Broken(Source):
        def rebalance_recommendation(self):
            raise MetadataError("unreadable")

    watcher = NoticeWatcher(Broken(notice_in(60)), now=lambda: NOON)
    assert watcher.look() is not None


def test_the_thread_sees_the_local_services_notice_and_ends():
    with LocalMetadataServer() as server, NoticeWatcher(MetadataClient(server.url), poll_seconds=0.01) as watcher:
        assert watcher.wait(0.05) is None
        server.fail_next(503, 3)
        server.interrupt()
        notice = watcher.wait(30)
        assert notice.action == "terminate"
        assert 100 < notice.deadline - watcher.clock() <= 120
        watcher._thread.join(30)
        assert not watcher._thread.is_alive()


def test_stopping_ends_the_thread_at_once_however_long_it_would_sleep():
    watcher = NoticeWatcher(Source(), poll_seconds=3600).start()
    thread = watcher._thread
    assert watcher.start()._thread is thread
    assert thread.is_alive()
    watcher.stop()  # joins: would hang for an hour
    watcher.stop()
    assert not thread.is_alive()


def test_stopping_from_the_callback_does_not_wait_for_itself():
    done = threading.Event()

    def stop(_):
        watcher.stop()
        done.set()

    watcher = NoticeWatcher(Source(notice_in(60)), stop, now=lambda: NOON)
    watcher.start()
    assert done.wait(30)
    watcher.stop()


class Training:
    """Steps of 10 s and saves of 30 s on a clock of its own; the notice comes at a given second."""

    def __init__(self, notice_at=None, notice_seconds=120):
        self.clock = Clock()
        self.notice_at, self.notice_seconds = notice_at, notice_seconds
        self.done, self.saves = [], []

    @property
    def notice(self):
        if self.notice_at is None or self.clock.seconds < self.notice_at:
            return None
        return Notice("terminate", NOON, self.notice_at + self.notice_seconds)

    def train_step(self, step):
        self.done.append(step)
        self.clock.seconds += 10

    def save(self, steps):
        self.clock.seconds += 30
        self.saves.append(steps)

    def run(self, **more):
        return run_until_notice(self.train_step, self.save, self, clock=self.clock, **{"last_step": 8, **more})


def test_an_undisturbed_run_does_its_steps_and_saves_where_it_should():
    training = Training()
    assert training.run(save_every=3) == Finished(8)
    assert training.done == list(range(8))
    assert training.saves == [3, 6, 8]
    again = Training()
    assert again.run(first_step=8) == Finished(8)
    assert (again.done, again.saves) == ([], [])


def test_a_notice_ends_the_step_saves_once_and_says_what_is_safe():
    """Oracle: by hand: steps end at 110, 120, ...; the notice at 125 is met at 130; saved at 160, 85 s before 245."""
    training = Training(notice_at=125)
    outcome = training.run()
    assert outcome == Interrupted("notice", 3, 30, 85, training.notice)
    assert outcome.in_time
    assert outcome.requeue
    assert (training.done, training.saves) == ([0, 1, 2], [3])


def test_what_is_saved_already_is_not_saved_again():
    training = Training(notice_at=145)  # seen at 160, right after the save of 3 steps
    outcome = training.run(save_every=3)
    assert (outcome.saved_steps, outcome.save_seconds, training.saves) == (3, 0, [3])


def test_a_save_that_comes_too_late_is_not_called_safe():
    outcome = Training(notice_at=125, notice_seconds=20).run()
    assert not outcome.in_time
    assert outcome.spare_seconds == -15


def test_the_runs_own_deadline_leaves_room_for_a_step_and_a_save():
    """Oracle: by hand: saves take 30 s and steps 10 s, so after the save at 160 no step begins from 160 on."""
    training = Training()
    outcome = training.run(save_every=3, deadline=195)
    assert (outcome.reason, outcome.saved_steps, outcome.notice) == ("deadline", 3, None)
    assert outcome.spare_seconds == 35
    training = Training(notice_at=125)
    assert training.run(deadline=200).spare_seconds == 40  # the nearer of the two ends counts


def test_errors_of_the_caller_pass_through():
    def broken(_):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run_until_notice(lambda _: None, broken, Training(), last_step=1)


@pytest.mark.parametrize(
    "numbers", [{"last_step": 0}, {"last_step": 3, "first_step": 4}, {"last_step": 3, "save_every": 0}]
)
def test_impossible_step_numbers_are_refused(numbers):
    with pytest.raises(SpotError, match="Remedy"):
        run_until_notice(lambda _: None, lambda _: None, Training(), **numbers)
