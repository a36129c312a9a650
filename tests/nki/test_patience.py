"""Oracle: the halting of Python loops that by their own text never end, and the list of threads before and after."""

import math
import signal
import threading
import time

import numpy as np
import pytest

from course_lib.nki import NkiValidationError, jit, patience, simulate
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl
from course_lib.nki.collectives import launch, rank_id

ONES = np.ones((2, 2), np.float32)


def spins(x):
    while True:
        pass


def test_a_loop_of_python_alone_is_ended_with_its_line():
    with pytest.raises(NkiValidationError) as caught:
        simulate(spins, patience=0.1)(ONES)
    line = spins.__code__.co_firstlineno
    assert str(caught.value).startswith((f"test_patience.py:{line + 1}: ", f"test_patience.py:{line + 2}: "))
    assert "0.1 s without an instruction or an allocation" in str(caught.value)
    assert "Limit: 0.1 s of processor time (Options.patience)" in str(caught.value)
    assert "Try: look for a loop whose condition never changes" in str(caught.value)


def test_a_loop_after_some_instructions_and_within_a_helper_is_ended():
    def until_small(number):
        while number > 0:  # halving an infinite number leaves it as it is
            number = number / 2

    def kernel(x):
        tile = nl.load(x)
        nisa.tensor_copy(dst=tile, src=tile)
        try:
            until_small(math.inf)
        except Exception:  # noqa: BLE001 - what a kernel may write must not catch the end either
            return x

    with pytest.raises(NkiValidationError, match="without an instruction"):
        simulate(kernel, patience=0.1)(ONES)


def test_no_thread_is_left_and_the_next_kernel_runs():
    before = set(threading.enumerate())
    for _ in range(3):
        with pytest.raises(NkiValidationError):
            simulate(spins, patience=0.05)(ONES)
        assert np.array_equal(simulate(lambda x: x, patience=0.05)(ONES), ONES)
    assert set(threading.enumerate()) == before


def test_waiting_costs_no_patience():
    def waits(x):
        time.sleep(0.5)
        return x

    simulate(waits, patience=0.1)(ONES)


def works_for(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_a_kernel_that_makes_progress_may_take_longer_than_its_patience():
    def allocates(x):
        for _ in range(20):
            works_for(0.02)
            nl.ndarray((2, 2), nl.float32)

    def issues(x):
        tile = nl.load(x)
        for _ in range(20):
            works_for(0.02)
            nisa.tensor_copy(dst=tile, src=tile)

    simulate(allocates, patience=0.2)(ONES)
    simulate(issues, patience=0.2)(ONES)


@pytest.mark.parametrize("clock", ["of the thread", "of the process"])
def test_one_core_loops_while_the_other_waits_for_it(clock, monkeypatch):
    if clock == "of the process":
        monkeypatch.delattr(time, "pthread_getcpuclockid", raising=False)

    @jit
    def kernel(x):
        if nl.program_id(0) == 1:
            spins(x)
        nisa.core_barrier(x, (0, 1))

    with pytest.raises(NkiValidationError, match=r"test_patience\.py:.* without an instruction"):
        simulate(kernel[2], patience=0.1)(ONES)


@pytest.mark.parametrize("clock", ["of the thread", "of the process"])
def test_a_core_that_waits_for_a_busy_one_is_left_alone(clock, monkeypatch):
    if clock == "of the process":
        monkeypatch.delattr(time, "pthread_getcpuclockid", raising=False)

    @jit
    def kernel(x):
        tile = nl.zeros((2, 2), nl.float32)
        if nl.program_id(0) == 1:
            for _ in range(30):
                works_for(0.02)
                nisa.tensor_copy(dst=tile, src=tile)
        nisa.core_barrier(x, (0, 1))

    simulate(kernel[2], patience=0.2)(ONES)


def test_a_rank_of_a_collective_launch_is_ended_too():
    with pytest.raises(NkiValidationError, match="without an instruction"):
        launch(spins, 2, patience=0.1)([(ONES,), (ONES,)])


def interrupts(x):
    tile = nl.zeros((2, 2), nl.float32)
    if nl.program_id(0) + rank_id() == 0:
        time.sleep(0.2)  # until the others have begun
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    while True:
        nisa.tensor_copy(dst=tile, src=tile)


@pytest.mark.parametrize(
    "run",
    [
        lambda: simulate(jit(interrupts)[2], max_instructions=10**12)(ONES),
        lambda: launch(interrupts, 2, max_instructions=10**12)([(ONES,), (ONES,)]),
        lambda: launch(jit(interrupts)[2], 2, max_instructions=10**12)([(ONES,), (ONES,)]),
    ],
)
def test_an_interrupt_ends_all_cores(run):
    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        run()
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
        assert not thread.is_alive()


def test_patience_is_a_positive_number_or_unlimited():
    with pytest.raises(ValueError, match=r"patience=0 is not a positive number of seconds; math\.inf"):
        simulate(spins, patience=0)(ONES)
    before = threading.active_count()
    assert simulate(lambda x: threading.active_count(), patience=math.inf)(ONES) == before
    assert simulate(lambda x: threading.active_count(), patience=1)(ONES) == before + 1
    assert not patience._at_work
