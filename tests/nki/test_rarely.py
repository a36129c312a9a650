"""Python's own account of its thresholds (`gc`) is the oracle."""

import gc
import threading

import numpy as np
import pytest

from course_lib.nki import profile, simulate
from course_lib.nki.rarely import rare_collections

ONES = np.ones((2, 2), np.float32)


@pytest.fixture(autouse=True)
def usual_thresholds():
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


@pytest.mark.parametrize("run", [simulate, profile])
def test_collections_are_rare_during_a_kernel_and_as_before_afterwards(run):
    seen = []

    def kernel(x):
        seen.append(gc.get_threshold()[0])
        return x

    run(kernel)(ONES)
    assert seen[0] > 10_000
    assert gc.get_threshold() == (700, 10, 10)


def test_an_error_restores_them_too():
    def kernel(x):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        simulate(kernel)(ONES)
    assert gc.get_threshold() == (700, 10, 10)


def test_the_last_of_several_threads_restores_them():
    entered, leave = threading.Event(), threading.Event()

    def wait():
        with rare_collections():
            entered.set()
            leave.wait(60)

    thread = threading.Thread(target=wait)
    thread.start()
    assert entered.wait(60)
    with rare_collections():
        leave.set()
        thread.join(60)
        assert gc.get_threshold()[0] > 10_000
    assert gc.get_threshold() == (700, 10, 10)


def test_a_process_without_collections_stays_without():
    gc.set_threshold(0, 10, 10)
    with rare_collections():
        assert gc.get_threshold() == (0, 10, 10)
