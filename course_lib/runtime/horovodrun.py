"""Elastic Horovod on this machine: the real horovodrun, with a list of hosts that can change while it runs.

Loopback has many names. horovodrun takes "localhost" and "127.0.0.1" for two hosts and starts the ranks of both without
ssh, which matters as a host whose rank has failed gets no second one.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from course_lib.runtime.horovod_meeting import PATIENCE_SECONDS, require_horovod
from course_lib.runtime.launch_errors import LaunchError
from course_lib.runtime.meeting_places import LOOPBACK_DEVICE

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "127.0.0.2", "127.0.0.3")
GOODBYE_SECONDS = 10.0
LAST_LINES = 20


class ElasticJob:
    """A running horovodrun; made by `elastic_job`.

    Args:
        process: horovodrun.
        log: what it and its ranks print.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
        self.process, self._log = process, log

    def wait(self, timeout_seconds: float) -> str:
        """Wait for the end.

        Returns:
            All that was printed, each line with its rank.

        Raises:
            LaunchError: when the job failed or took longer; it holds the last lines.
        """
        try:
            status = self.process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            raise LaunchError(
                f"the elastic job did not end within {timeout_seconds:g} s. Its last lines:\n{self._tail()}"
            ) from None
        if status:
            raise LaunchError(f"horovodrun ended with exit status {status}. Its last lines:\n{self._tail()}")
        return self._printed()

    def _printed(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def _tail(self) -> str:
        return "\n".join(self._printed().splitlines()[-LAST_LINES:])


@contextmanager
def elastic_job(
    command: Sequence[str], hosts_file: Path, ranks: int, *, min_ranks: int = 1, max_ranks: int | None = None
) -> Iterator[ElasticJob]:
    """Start a command under `horovodrun --gloo` in each of several ranks; on leaving, end all of it.

    Args:
        command: program and arguments of a rank.
        hosts_file: where the ranks may run, see `write_hosts`; read again every second.
        ranks: to start with; the job waits until there are slots for them.
        min_ranks: with fewer the job waits.
        max_ranks: with more slots it starts no further rank; `ranks` when left out.

    Yields:
        The job.

    Raises:
        LaunchError: when Horovod is not built here.

    Source: Horovod 0.28.1, docs/elastic.rst.
    """
    runner = Path(sys.executable).with_name("horovodrun")
    require_horovod()
    if not runner.exists():
        raise LaunchError(f"{runner} is missing, though Horovod is there. Remedy: `make setup FORCE=1` builds it anew.")
    line = [str(runner), "--gloo", "-np", str(ranks), "--min-np", str(min_ranks), "--max-np", str(max_ranks or ranks)]
    line += ["--host-discovery-script", f"cat {shlex.quote(str(hosts_file))}"]
    # With the interface named, horovodrun does not insist on two hosts from which to find it out.
    line += ["--network-interface", LOOPBACK_DEVICE, "--gloo-timeout-seconds", str(PATIENCE_SECONDS), *command]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        try:
            yield ElasticJob(process, log)
        finally:
            _end(process)


def write_hosts(file: Path, hosts: Mapping[str, int]) -> None:
    """Replace a list of hosts in one move, as horovodrun may read it at any time.

    Args:
        file: the list.
        hosts: name → slots, for instance {"localhost": 1, "127.0.0.1": 1}; names of this machine only.
    """
    new = file.with_suffix(".new")
    new.write_text("".join(f"{name}:{slots}\n" for name, slots in hosts.items()))
    new.replace(file)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask horovodrun to end its ranks, which live in sessions of their own; what stays is killed one by one."""
    import psutil

    with suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GOODBYE_SECONDS)
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
    process.kill()
    process.wait()
