"""What one rank does, from its birth as a fork of the nursery to its last message: join, call, report."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import traceback
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import IO, Any

from course_lib.runtime.kinship import end_with_parent
from course_lib.runtime.launch_errors import LaunchError, RankFailure
from course_lib.runtime.tagged import Tagged

WHERE_ARE_YOU = signal.SIGUSR1
MOST_CHARACTERS = 20_000  # of an error's text; the rest of a printed matrix helps nobody


@dataclass(frozen=True)
class Job:
    """One call of a function in every rank.

    Args:
        call: cloudpickle of a function without arguments.
        path: where the launcher's process finds modules.
        folder: in which it works.
        environment: its variables.
        modules: loaded before the ranks are forked, so that they cost time only once.
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
    folder: str
    environment: dict[str, str]
    modules: tuple[str, ...]
    world_size: int
    kind: str
    threads: int
    timeout_seconds: float
    patience_seconds: float
    port: int | None
    horovod: bool


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
    born, status = os.getpid(), 0
    try:
        message: tuple[str, Any] = ("result", _call(rank, job))
    except BaseException as error:  # noqa: BLE001 - SystemExit and KeyboardInterrupt end a rank as much as any other
        message = ("failure", _failure(rank, error))
        status = int(not (isinstance(error, SystemExit) and error.code in (0, None)))
        if os.getpid() != born and not isinstance(error, SystemExit):
            print(message[1].traceback, file=err)
    out.finish()
    err.finish()
    if os.getpid() != born:  # a child that the call forked and let return: its parent speaks for the rank
        return status
    with lock:
        connection.send(message)
    # Ending here would close connections that others still read from, or are only just opening, and they would fail by
    # that. The nursery ends all ranks together.
    with suppress(EOFError, OSError):
        connection.recv()
    return int(message[0] == "failure")


def _call(rank: int, job: Job) -> bytes:
    import cloudpickle
    import torch

    from course_lib.runtime.hardware import hardware
    from course_lib.runtime.rendezvous import join_group

    torch.set_num_threads(job.threads)
    machine = hardware(job.kind)
    machine.claim(rank)
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    join_group(rank, job.world_size, address, port, machine.backend, patience_seconds=job.patience_seconds)
    born = os.getpid()
    result = cloudpickle.loads(job.call)()
    if os.getpid() != born:  # a forked child has no threads of the process group, and would wait for them to end it
        raise SystemExit(0)
    try:
        packed: bytes = cloudpickle.dumps(result)
        return packed
    except Exception as error:
        raise LaunchError(
            f"what fn returned, a {type(result).__name__}, can't be sent to the launcher: {error}. Remedy: return "
            "numbers, tensors, lists or dataclasses of these; no open file, lock, generator or process group."
        ) from error


def _failure(rank: int, error: BaseException) -> RankFailure:
    kind = type(error).__name__
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    text = _short("".join(traceback.format_exception(type(error), error, frames)).rstrip())
    try:
        message = str(error)
    except Exception as second:  # noqa: BLE001 - an exception whose own text can't be made must not hide that it was raised
        message = f"(its text can't be made: {type(second).__name__})"
    plain = isinstance(error, LaunchError) or (isinstance(error, ValueError) and "Remedy: " in message)
    return RankFailure(rank, kind, _short(message), text, plain=plain)


def _short(text: str) -> str:
    """A text without its middle, when it is longer than anyone reads."""
    left_out = len(text) - MOST_CHARACTERS
    if left_out <= 0:
        return text
    half = MOST_CHARACTERS // 2
    return f"{text[:half]}\n... ({left_out} characters left out) ...\n{text[-half:]}"
