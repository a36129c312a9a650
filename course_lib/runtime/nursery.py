"""A process that imports torch once, then forks the ranks of each job, watches them and ends them.

It serves one launcher over an inherited socket. When the launcher goes away, for whatever reason, the socket closes and
every rank is ended.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from typing import IO, Any

from course_lib.runtime.kinship import adopt_orphans
from course_lib.runtime.launch_errors import LaunchError, RankFailure
from course_lib.runtime.rank import Job, live
from course_lib.runtime.whereabouts import last_lines, whereabouts

# After the first failure the others are heard for this long, so that a rank which was killed is not blamed on a peer
# that noticed it sooner, and what all refuse alike is said once.
HEARING_SECONDS = 1.5
LOOK_SECONDS = 0.5


@dataclass
class Rank:
    """One forked rank, as the nursery sees it."""

    number: int
    pid: int
    connection: Connection
    log: IO[bytes]
    result: bytes | None = None
    failure: RankFailure | None = None
    open: bool = field(default=True)

    @property
    def settled(self) -> bool:
        """Whether it has returned, raised or died."""
        return self.result is not None or self.failure is not None


def serve(launcher: Connection) -> None:
    """Run jobs until the launcher closes its end."""
    # The ranks inherit it. Every optimizer and dispatch mode imports it: a second of work, better once than in each.
    import torch._dynamo  # noqa: F401

    while True:
        try:
            job = launcher.recv()
        except (EOFError, ConnectionError):
            return
        ranks: list[Rank] = []
        try:
            outcome = _run(job, launcher, ranks)
        except (EOFError, ConnectionError):
            return
        except LaunchError as error:
            outcome = "refused", error
        except OSError as error:
            why = f"the ranks could not be started: {error}"
            remedy = "free space in the folder of temporary files, end other processes, or ask for fewer ranks"
            outcome = "refused", LaunchError(f"{why}. Remedy: {remedy}.")
        finally:
            _end(ranks)  # before the launcher hears of it: whoever looks then finds no process
        try:
            launcher.send(outcome)
        except ConnectionError:
            return


def _run(job: Job, launcher: Connection, ranks: list[Rank]) -> tuple[str, Any]:
    """Fork the ranks and follow them to the end; says what came of it."""
    deadline = time.monotonic() + job.timeout_seconds
    sys.path[:] = job.path
    os.chdir(job.folder)  # a notebook may have moved since the launcher was started
    for module in job.modules:
        with suppress(ImportError):  # a rank that needs it says so itself, in its own traceback
            importlib.import_module(module)
    for number in range(job.world_size):
        ranks.append(_fork(number, job, ranks, launcher))
    # The store serves from a thread of its own, so it is opened after the last fork.
    from course_lib.runtime.meeting_places import meeting_places

    with meeting_places(job) as environment_of:
        for rank in ranks:
            _tell(rank, job.environment | environment_of(rank.number))
        while not all(rank.settled for rank in ranks):
            left = deadline - time.monotonic()
            if left <= 0:
                return "timeout", {r.number: "returned" if r.result else whereabouts(r.pid, r.log) for r in ranks}
            _listen(ranks, launcher, left)
            if any(rank.failure for rank in ranks):
                return _hear(ranks, launcher)
    return "results", [rank.result for rank in ranks]


def _tell(rank: Rank, environment: dict[str, str]) -> None:
    try:
        rank.connection.send(environment)
    except BrokenPipeError:
        rank.failure = _death(rank, os.waitpid(rank.pid, 0)[1])


def _fork(number: int, job: Job, elder: list[Rank], launcher: Connection) -> Rank:
    log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the rank
    ours, theirs = Pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            launcher.close()
            ours.close()
            for rank in elder:
                rank.connection.close()
            status = live(number, job, theirs, log)
        finally:
            os._exit(status)  # never back into the nursery's own code
    theirs.close()
    return Rank(number, pid, ours, log)


def _listen(ranks: list[Rank], launcher: Connection, seconds: float) -> None:
    """Take every message that is there, waiting a little for the first; raises EOFError when the launcher is gone."""
    by_source: dict[object, Rank] = {rank.connection: rank for rank in ranks if rank.open}
    for source in wait([*by_source, launcher], timeout=min(seconds, LOOK_SECONDS)):  # type: ignore[list-item]
        if source is launcher:
            raise EOFError
        rank = by_source[source]
        try:
            what, value = rank.connection.recv()
        except (EOFError, ConnectionResetError):
            rank.open = False
            if not rank.settled:
                rank.failure = _death(rank, os.waitpid(rank.pid, 0)[1])
            continue
        if what == "output":
            launcher.send(("output", (rank.number, value)))
        elif what == "result":
            rank.result = value
        else:
            rank.failure = value
    for rank in ranks:  # a process that the rank started can hold its connection open after its death
        if rank.settled or rank.connection.poll():
            continue
        pid, status = os.waitpid(rank.pid, os.WNOHANG)
        if pid:
            rank.failure = _death(rank, status)


def _hear(ranks: list[Rank], launcher: Connection) -> tuple[str, Any]:
    """Who is to blame: a rank that died without a word before one that raised, else the first that raised."""
    first = next(rank for rank in ranks if rank.failure)
    limit = time.monotonic() + HEARING_SECONDS
    while (left := limit - time.monotonic()) > 0 and not all(rank.settled for rank in ranks):
        _listen(ranks, launcher, left)
    failures = [rank.failure for rank in ranks if rank.failure]
    blamed = next((failure for failure in failures if failure.silent), first.failure)
    return "failed", (blamed, tuple(failure for failure in failures if failure is not blamed))


def _death(rank: Rank, status: int) -> RankFailure:
    """A rank that ended before it reported: how?"""
    code = os.waitstatus_to_exitcode(status)
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"
    return RankFailure(rank.number, how, last_lines(rank.log), silent=True)


def _end(ranks: list[Rank]) -> None:
    """Kill the ranks and whatever they have started, and reap all of it.

    On Linux orphans are handed to the nursery, so that even a process which left its rank's group is found.
    """
    import psutil

    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.kill()
    for rank in ranks:
        with suppress(ProcessLookupError):
            os.killpg(rank.pid, signal.SIGKILL)
        rank.connection.close()
        rank.log.close()
    with suppress(ChildProcessError):  # no child is left
        while True:
            os.waitpid(-1, 0)


def main() -> None:
    """Be the nursery of the launcher at the other end of the inherited socket, whose number is the last argument."""
    adopt_orphans()
    serve(Connection(int(sys.argv[-1])))
