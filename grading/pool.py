"""Worker processes that may die: each task has a deadline, and a worker that crashes or overruns costs its task alone.

concurrent.futures cannot stop one task and gives every waiting task up when one worker dies; hence this small pool.
"""

from __future__ import annotations

import importlib
import multiprocessing
import resource
import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any

from grading.limits import MIB

WORKER_MEMORY_BYTES = 4096 * MIB
CLEANING_SECONDS = 5


@dataclass(frozen=True)
class Done:
    """A task's end: its result, or in words why there is none.

    Args:
        task: the task as given.
        result: what the function returned.
        trouble: why there is no result; "" when there is one.
        seconds: how long it took.
        lost: the worker died or was stopped over this task; False when the function itself raised.
    """

    task: Any
    result: Any
    trouble: str
    seconds: float
    lost: bool = False


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    task: Any = None
    started: float = field(default_factory=time.monotonic)


def run_tasks(function: str, tasks: Sequence[Any], *, jobs: int, deadline_seconds: float) -> Iterator[Done]:
    """Runs `function(task)` for every task.

    Args:
        function: "module:name"; imported in the workers.
        tasks: plain data, one for each call.
        jobs: how many at a time.
        deadline_seconds: a task that takes longer is killed with its worker.

    Yields:
        Each task's end, in the order in which they come.
    """
    waiting = list(tasks)[::-1]
    workers: list[_Worker] = []
    try:
        while waiting or any(worker.task is not None for worker in workers):
            idle = sum(worker.task is None for worker in workers)
            while idle < len(waiting) and len(workers) < max(1, jobs):
                workers.append(_start(function))
                idle += 1
            for worker in workers:
                if worker.task is None and waiting:
                    worker.task, worker.started = waiting.pop(), time.monotonic()
                    worker.pipe.send(worker.task)
            busy = [worker for worker in workers if worker.task is not None]
            wait([worker.pipe for worker in busy], timeout=0.2)
            for worker in busy:
                done = _look(worker, deadline_seconds)
                if done is None:
                    continue
                if not worker.process.is_alive():
                    workers.remove(worker)
                yield done
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            _end(worker)


def _start(function: str) -> _Worker:
    # Forked from a server that has done the slow imports and nothing else: no thread's lock and no open database of
    # this process gets in, and a worker starts in milliseconds.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["grading.worker"])
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, function), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _serve(pipe: Connection, function: str) -> None:
    """A worker's life: take a task, do it, report; ends when the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    signal.signal(signal.SIGTERM, _leave)
    resource.setrlimit(resource.RLIMIT_DATA, (WORKER_MEMORY_BYTES, WORKER_MEMORY_BYTES))
    module, name = function.split(":")
    call = getattr(importlib.import_module(module), name)
    while True:
        try:
            task = pipe.recv()
        except (EOFError, ConnectionError):
            return
        try:
            answer = (call(task), "")
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the parent reports it with the task's name
            answer = (None, "".join(traceback.format_exception_only(error)).strip())
        if signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:  # it was told to leave while at work
            return
        try:
            pipe.send(answer)
        except ConnectionError:  # the parent has given this task up
            return


def _leave(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # once: the cleaning that follows is not to be cut off
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(CLEANING_SECONDS)  # but it ends, come what may
    raise SystemExit(0)


def _look(worker: _Worker, deadline_seconds: float) -> Done | None:
    """The worker's finished task, or None while it is at work."""
    seconds = time.monotonic() - worker.started
    result, trouble, lost = None, "", True
    if worker.pipe.poll():
        try:
            result, trouble = worker.pipe.recv()
            lost = False
        except EOFError:
            _end(worker)
            trouble = f"the grading process died (exit status {worker.process.exitcode})"
    elif not worker.process.is_alive():
        trouble = f"the grading process died (exit status {worker.process.exitcode})"
    elif seconds > deadline_seconds:
        _end(worker)
        trouble = f"grading took longer than {deadline_seconds:.0f} s and was stopped"
    else:
        return None
    task, worker.task = worker.task, None
    return Done(task, result, trouble, seconds, lost)


def _end(worker: _Worker) -> None:
    """Lets the worker stop its kernel and remove its files, then makes sure."""
    worker.pipe.close()
    worker.process.terminate()
    worker.process.join(timeout=CLEANING_SECONDS)
    worker.process.kill()
    worker.process.join(timeout=10)
