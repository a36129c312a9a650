"""What one rank does, from its birth as a fork of the nursery to its last message: join, call, report."""

from __future__ import annotations

import faulthandler
import io
import os
import signal
import sys
import threading
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import IO, Any

from course_lib.runtime.kinship import end_with_parent
from course_lib.runtime.launch_errors import LaunchError, RankFailure

WHERE_ARE_YOU = signal.SIGUSR1


@dataclass(frozen=True)
class Job:
    """One call of a function in every rank.

    Args:
        call: cloudpickle of a function without arguments.
        path: where the launcher's process finds modules.
        modules: of the course's own that it has loaded; loaded before the ranks are forked, they cost time only once.
        world_size: how many ranks.
        kind: of hardware.
        threads: OpenMP threads of each rank.
        timeout_seconds: for all of it.
        patience_seconds: for the rendezvous.
        port: of the rendezvous; None for a free one.
        horovod: whether Horovod's rendezvous is opened too.
    """

    call: bytes
    path: tuple[str, ...]
    modules: tuple[str, ...]
    world_size: int
    kind: str
    threads: int
    timeout_seconds: float
    patience_seconds: float
    port: int | None
    horovod: bool


class Tagged(io.TextIOBase):
    """A rank's stdout or stderr: whole lines go to the launcher, which prints them with the rank's number."""

    def __init__(self, connection: Connection, lock: threading.Lock) -> None:
        self._connection, self._lock = connection, lock
        self._line = ""

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Keep the last, unfinished line back until it ends or is flushed."""
        whole, newline, self._line = (self._line + text).rpartition("\n")
        if newline:
            self._send(whole)
        return len(text)

    def flush(self) -> None:
        """Nothing: an unfinished line is sent by `finish`, or lines of ranks would be torn apart."""

    def finish(self) -> None:
        """Send what no newline has ended."""
        if self._line:
            self._send(self._line)
            self._line = ""

    def _send(self, text: str) -> None:
        with self._lock:
            self._connection.send(("output", text))


def live(rank: int, job: Job, connection: Connection, log: IO[bytes]) -> int:
    """Be one rank: runs the job's call, sends its result or failure, and returns the exit status.

    Args:
        rank: which one.
        job: what to do.
        connection: to the nursery; it first brings the environment, with the rendezvous' address.
        log: takes what native code writes to the file descriptors of stdout and stderr.
    """
    end_with_parent()
    os.setpgid(0, 0)  # so that processes which the call starts can be ended together with their rank
    for descriptor in (1, 2):
        os.dup2(log.fileno(), descriptor)
    faulthandler.register(WHERE_ARE_YOU, file=log, all_threads=False)
    lock = threading.Lock()
    out, err = Tagged(connection, lock), Tagged(connection, lock)
    sys.stdout, sys.stderr = out, err
    os.environ.update(connection.recv())
    try:
        message: tuple[str, Any] = ("result", _call(rank, job))
    except BaseException as error:  # noqa: BLE001 - SystemExit and KeyboardInterrupt end a rank as much as any other
        message = ("failure", _failure(rank, error))
    out.finish()
    err.finish()
    with lock:
        connection.send(message)
    return int(message[0] == "failure")


def _call(rank: int, job: Job) -> bytes:
    import cloudpickle
    import torch
    import torch.distributed as dist

    from course_lib.runtime.hardware import hardware
    from course_lib.runtime.rendezvous import join_group

    torch.set_num_threads(job.threads)
    machine = hardware(job.kind)
    machine.claim(rank)
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    join_group(rank, job.world_size, address, port, machine.backend, patience_seconds=job.patience_seconds)
    result = cloudpickle.loads(job.call)()
    packed: bytes = cloudpickle.dumps(result)
    if dist.is_initialized():  # the call may have ended the group itself
        dist.destroy_process_group()
    return packed


def _failure(rank: int, error: BaseException) -> RankFailure:
    kind = type(error).__name__
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    text = "".join(traceback.format_exception(type(error), error, frames))
    plain = isinstance(error, LaunchError) or (isinstance(error, ValueError) and "Remedy: " in str(error))
    return RankFailure(rank, kind, str(error), text.rstrip(), plain=plain)
