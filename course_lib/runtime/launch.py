"""Run one function in several real processes of this machine, as the ranks of one process group.

The counterpart of torchrun for notebooks and tests: results come back, prints arrive with their rank's number, and when
one rank fails there is one error instead of as many tracebacks as ranks. Nothing that was started outlives the call.
"""

from __future__ import annotations

import functools
import importlib
import importlib.machinery
import io
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from socket import socketpair
from types import ModuleType, TracebackType
from typing import Any, Literal, Self, TypeVar

from course_lib.runtime.launch_errors import LaunchError, RankFailed, RanksTimedOut
from course_lib.runtime.rank import Job
from course_lib.runtime.torchrun import call_as_rank, under_torchrun

Result = TypeVar("Result")
Output = Literal["all", "first", "none"]
GOODBYE_SECONDS = 5.0
# The nursery must find the course where this process found it, which need not be where Python looks by itself.
BIRTH = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from course_lib.runtime.nursery import main; main()"
MOST_RANKS = 128  # each is a process of about 200 MB


class Launcher:
    """Starts ranks from a process that has torch loaded already: the first launch takes seconds, the others do not.

    Use as a context manager; leaving it ends every process that it started.
    """

    def __init__(self) -> None:
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
        _check(fn, world_size, timeout_seconds, patience_seconds, output, threads_per_rank)
        if under_torchrun():
            return call_as_rank(functools.partial(fn, *args, **kwargs), world_size, hardware)
        import cloudpickle

        with _carried(fn):
            call = _pickled(functools.partial(fn, *args, **kwargs))
        job = Job(
            call=call,
            path=tuple(sys.path),
            modules=tuple(name for name in sys.modules if name.startswith("course_lib.")),
            world_size=world_size,
            kind=hardware,
            threads=threads_per_rank or max(1, (os.cpu_count() or 1) // world_size),
            timeout_seconds=timeout_seconds,
            patience_seconds=patience_seconds,
            port=port,
            horovod=horovod,
        )
        try:
            return [cloudpickle.loads(result) for result in self._run(job, output)]
        except BaseException as error:
            # an interrupt leaves ranks at work, which no later launch may meet; a reported failure does not
            if not isinstance(error, LaunchError) or self._nursery is None or self._nursery.poll() is not None:
                self.close()
            raise

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
        try:
            connection.send(job)
            while True:
                what, value = connection.recv()
                if what != "output":
                    break
                rank, text = value
                if output == "all" or (output == "first" and rank == 0):
                    prefix = f"[rank {rank}] " if job.world_size > 1 and output == "all" else ""
                    print("\n".join(prefix + line for line in text.split("\n")))
        except (EOFError, ConnectionError) as error:
            raise LaunchError(
                "the process that starts the ranks has ended. Remedy: look for lack of memory."
            ) from error
        if what == "refused":
            raise value
        if what == "timeout":
            raise RanksTimedOut(job.timeout_seconds, value)
        if what == "failed":
            raise RankFailed(value[0], job.world_size, value[1])
        results: list[bytes] = value
        return results

    def _start(self) -> Connection:
        if self._connection is None:
            ours, theirs = socketpair()
            command = [sys.executable, "-c", BIRTH, json.dumps(sys.path), str(theirs.fileno())]
            self._nursery = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
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


def _pickled(call: Callable[..., object]) -> bytes:
    """A call with all that its code refers to, modules by name.

    A function that says `dist.` and `.config` refers, for cloudpickle, to the module torch.distributed.config, which is
    an instance of a class of its own and could not be pickled.
    """
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, ModuleType) and type(obj) is not ModuleType:
                return importlib.import_module, (obj.__name__,)
            return super().reducer_override(obj)

    packed = io.BytesIO()
    Pickler(packed).dump(call)
    return packed.getvalue()


@contextmanager
def _carried(fn: Callable[..., object]) -> Iterator[None]:
    """Within: a function of a module that ranks can't import is sent with its code, not by name."""
    import cloudpickle

    module = sys.modules.get(getattr(fn, "__module__", None) or "")
    if module is None or module.__name__ == "__main__" or _can_be_imported(module.__name__):
        yield
        return
    cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def _can_be_imported(name: str) -> bool:
    try:
        return importlib.machinery.PathFinder.find_spec(name.partition(".")[0]) is not None
    except ImportError:
        return False


def _check(fn: object, world_size: object, timeout: object, patience: object, output: object, threads: object) -> None:
    if not callable(fn):
        raise LaunchError(f"fn={fn!r} can't be called. Remedy: pass a function, without calling it: launch(train, 2).")
    if isinstance(world_size, bool) or not isinstance(world_size, int) or not 1 <= world_size <= MOST_RANKS:
        raise LaunchError(
            f"world_size={world_size!r} must be a whole number from 1 to {MOST_RANKS} (each rank is a process of about "
            "200 MB). Remedy: give a few; more belong on more machines, under torchrun."
        )
    for name, value in (("timeout_seconds", timeout), ("patience_seconds", patience)):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or value <= 0:  # type: ignore[operator, arg-type]
            raise LaunchError(f"{name}={value!r} must be a finite number of seconds above 0. Remedy: such as 60.")
    if output not in ("all", "first", "none"):
        raise LaunchError(f"output={output!r} is not known. Remedy: use 'all', 'first' or 'none'.")
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
        raise LaunchError(f"threads_per_rank={threads!r} must be a whole number of at least 1. Remedy: leave it out.")
