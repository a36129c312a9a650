"""Run one function in several real processes of this machine, as the ranks of one process group.

The counterpart of torchrun for notebooks and tests: results come back, prints arrive with their rank's number, and when
one rank fails there is one error instead of as many tracebacks as ranks. Nothing that was started outlives the call.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from socket import socketpair
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from course_lib.runtime.launch_checks import check_call, check_settings, current_folder
from course_lib.runtime.launch_errors import LaunchError, RankFailed, RanksTimedOut
from course_lib.runtime.packing import pack_call, unpack_result
from course_lib.runtime.rank import Job
from course_lib.runtime.torchrun import call_as_rank, under_torchrun

Result = TypeVar("Result")
Output = Literal["all", "first", "none"]
GOODBYE_SECONDS = 5.0
# The nursery must find the course where this process found it, which need not be where Python looks by itself.
BIRTH = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from course_lib.runtime.nursery import main; main()"


class Launcher:
    """Starts ranks from a process that has torch loaded already: the first launch takes seconds, the others do not.

    Use as a context manager; leaving it ends every process that it started. Calls from several threads take turns.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._nursery: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __call__(
        self,
        fn: Callable[..., Result],
        world_size: int,
        *args: Any,
        hardware: str = "cpu",
        threads_per_rank: int | None = None,
        timeout_seconds: float = 600.0,
        patience_seconds: float = 60.0,
        port: int | None = None,
        horovod: bool = False,
        output: Output = "all",
        **kwargs: Any,
    ) -> list[Result]:
        """Call `fn(*args, **kwargs)` in each of `world_size` processes; see `launch`."""
        check_settings(fn, world_size, timeout_seconds, patience_seconds, output, threads_per_rank)
        if under_torchrun():
            return call_as_rank(functools.partial(fn, *args, **kwargs), world_size, hardware)
        check_call(fn, args, kwargs)
        job = Job(
            call=pack_call(fn, args, kwargs),
            path=tuple(sys.path),
            folder=current_folder(),
            environment=dict(os.environ),
            modules=tuple(name for name in sys.modules if name.startswith("course_lib.")),
            world_size=world_size,
            kind=hardware,
            threads=threads_per_rank or max(1, (os.cpu_count() or 1) // world_size),
            timeout_seconds=timeout_seconds,
            patience_seconds=patience_seconds,
            port=port,
            horovod=horovod,
        )
        with self._turn:
            try:
                results = self._run(job, output)
            except BaseException as error:
                # an interrupt leaves ranks at work, which no later launch may meet; a reported failure does not
                if not isinstance(error, LaunchError) or self._nursery is None or self._nursery.poll() is not None:
                    self.close()
                raise
        return [unpack_result(rank, result) for rank, result in enumerate(results)]

    def close(self) -> None:
        """End every process of this launcher; it can be used again afterwards."""
        nursery, self._nursery = self._nursery, None
        connection, self._connection = self._connection, None
        if nursery is None or connection is None:
            return
        connection.close()  # the nursery takes this as the sign to end its ranks and itself
        try:
            nursery.wait(GOODBYE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(nursery.pid, signal.SIGKILL)  # its ranks die with it
            nursery.wait()

    def _run(self, job: Job, output: Output) -> list[bytes]:
        connection = self._start()
        what, value = self._exchange(connection, job)
        while what == "output":
            rank, text = value
            if output == "all" or (output == "first" and rank == 0):
                prefix = f"[rank {rank}] " if job.world_size > 1 and output == "all" else ""
                _print("\n".join(prefix + line for line in text.split("\n")))
            what, value = self._exchange(connection)
        if what == "refused":
            raise value
        if what == "timeout":
            raise RanksTimedOut(job.timeout_seconds, value)
        if what == "failed":
            raise RankFailed(value[0], job.world_size, value[1])
        results: list[bytes] = value
        return results

    def _exchange(self, connection: Connection, job: Job | None = None) -> tuple[str, Any]:
        """Hand a job over, if there is one, and wait for the nursery's next message."""
        try:
            if job is not None:
                connection.send(job)
            message: tuple[str, Any] = connection.recv()
        except (EOFError, ConnectionError) as error:
            assert self._nursery is not None
            try:
                code = self._nursery.wait(GOODBYE_SECONDS)
                how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
            except subprocess.TimeoutExpired:
                how = "it answers no more"
            raise LaunchError(
                f"the process that starts the ranks has ended ({how}). Remedy: SIGKILL is mostly lack of memory: use "
                "fewer ranks or a smaller model; else see what it wrote to standard error."
            ) from error
        return message

    def _start(self) -> Connection:
        if self._connection is None:
            ours, theirs = socketpair()
            command = [sys.executable, "-c", BIRTH, json.dumps(sys.path), str(theirs.fileno())]
            self._nursery = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C in the terminal is the launcher's to handle
            )
            theirs.close()
            self._connection = Connection(ours.detach())
        return self._connection


def launch(fn: Callable[..., Result], world_size: int, *args: Any, **options: Any) -> list[Result]:
    """Call `fn(*args)` in each of `world_size` processes that form one process group, and collect what they return.

    Inside, `torch.distributed.get_rank()` tells who one is; the variables RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR and
    MASTER_PORT are set as torchrun sets them. `fn` may be defined in a notebook. In a script that torchrun started, on
    one machine or many, the call runs in the ranks that exist and returns the same list on each of them.

    Args:
        fn: what each rank runs.
        world_size: number of ranks, 1 to 128, all on this machine.
        *args: handed to `fn`.
        **options: `hardware` ("cpu" by default; "auto", "cuda", "neuron", "hpu"), `threads_per_rank` (the machine's
            cores divided by the ranks), `timeout_seconds` (600) for the whole call, `patience_seconds` (60) for the
            last rank to arrive, `port` of the rendezvous (a free one), `horovod` (False; True opens Horovod's
            rendezvous too, so that `hvd.init()` works), `output` ("all", "first" for rank 0 only, "none"). Any other
            keyword is handed to `fn`.

    Returns:
        What `fn` returned, in the order of ranks.

    Raises:
        RankFailed: when a rank raised or died, with that rank's traceback.
        RanksTimedOut: when the time was up, with the line at which each rank was.
        LaunchError: when the ranks could not be started: a port in use, Horovod not built, a bad option.
    """
    with Launcher() as launcher:
        return launcher(fn, world_size, *args, **options)


def _print(text: str) -> None:
    """Print what ranks have printed; a character that this output can't show becomes its number."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))
