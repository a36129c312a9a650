"""One warm launcher for all tests of real ranks: torch is imported once, each launch is a fork."""

import functools

import pytest

from course_lib.runtime import Launcher


@pytest.fixture(scope="session")
def launch_ranks():
    """`launch_ranks(fn, world_size, *args)` → each rank's result; ranks that can't finish are ended after 2 minutes."""
    with Launcher() as launcher:
        yield functools.partial(launcher, timeout_seconds=120, output="none", threads_per_rank=1)
