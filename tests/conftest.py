"""What every test needs: the environment's commands on PATH, as an activated environment or `make` has them.

nbgrader starts `alembic`, and Jupyter its own commands, by name. A busy machine fails no test for being slow:
Hypothesis gives each example 200 ms unless told otherwise. And no process outlives the file of tests that started it.
"""

import functools
import os
import signal
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from course_lib.runtime import Launcher, adopt_orphans
from tests.survivors import Watch

if "PYTEST_XDIST_WORKER" in os.environ:
    # Several workers that all use every core take turns instead of running at once, and lose time by it.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
# CI tries the same examples each time, so that it says something about the change; by hand each run tries new ones.
FIXED = os.environ.get("FIXED_EXAMPLES") == "1"
settings.register_profile("no-deadline", parent=settings(), deadline=None, derandomize=FIXED)
settings.load_profile("no-deadline")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A job in the background starts so; what a test interrupts, and the processes that it starts, must hear of it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

WATCH = pytest.StashKey[Watch]()


def pytest_sessionstart(session: pytest.Session) -> None:
    adopt_orphans()
    session.stash[WATCH] = Watch()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """The hook is only there with pytest-xdist."""
    from tests.workers import ByFileAndLab

    return ByFileAndLab(config, log)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    """After a file's last test, when its fixtures are gone, all that it started must be gone; a test may start late."""
    watch = item.session.stash[WATCH]
    watch.look(item.nodeid)
    yield
    watch.look(item.nodeid)
    last_of_the_file = nextitem is None or nextitem.path != item.path
    if last_of_the_file and (left := watch.survivors(at_the_end=nextitem is None)):
        pytest.fail("these processes were left running:\n" + "\n".join(left), pytrace=False)


@pytest.fixture(scope="session")
def launch_ranks() -> Generator[Callable[..., list[Any]]]:
    """`launch_ranks(fn, world_size, *args)` → each rank's result; ranks that can't finish are ended after 2 minutes.

    One warm launcher for all tests of real ranks: torch is imported once, each launch is a fork.
    """
    with Launcher() as launcher:
        yield functools.partial(launcher, timeout_seconds=120, output="none", threads_per_rank=1)
