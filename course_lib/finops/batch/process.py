"""One process group with an end: it ends by itself, by its timeout, or because its host is taken away."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

KILL_AFTER = 30.0  # https://docs.aws.amazon.com/batch/latest/userguide/job_timeouts.html: from SIGTERM to SIGKILL
LOOK = 0.02  # seconds between looks


@dataclass(frozen=True)
class Outcome:
    """How a process ended.

    Attributes:
        code: its exit code, 128 + signal when a signal ended it.
        why: "exit" by itself, "timeout", or "lost".
        seconds: from start to end.
    """

    code: int
    why: Literal["exit", "timeout", "lost"]
    seconds: float


def run_process(
    command: list[str],
    variables: dict[str, str],
    folder: Path,
    log: Path,
    timeout: float,
    lost: Callable[[], bool] | None = None,
    kill_after: float = KILL_AFTER,
) -> Outcome:
    """Run a command in a session of its own; nothing of it is left when this returns.

    Args:
        command: the words.
        variables: its whole environment.
        folder: where it runs.
        log: receives what it prints.
        timeout: seconds until SIGTERM.
        lost: asked while it runs; True ends it as the loss of a spot host does: SIGTERM, then SIGKILL.
        kill_after: seconds from SIGTERM to SIGKILL.
    """
    began = time.monotonic()
    with log.open("wb") as printed:
        process = subprocess.Popen(
            command,
            env=variables,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        why: Literal["exit", "timeout", "lost"] = "exit"
        kill_at = float("inf")
        try:
            while process.poll() is None:
                now = time.monotonic()
                if why == "exit" and lost is not None and lost():
                    why = "lost"
                elif why == "exit" and now - began > timeout:
                    why = "timeout"
                if why != "exit" and kill_at == float("inf"):
                    # A container's end: its first process is told, and decides about the others.
                    process.terminate()
                    kill_at = now + kill_after
                if now > kill_at:
                    break
                time.sleep(LOOK)
        finally:
            _kill_group(process)
    code = process.returncode
    return Outcome(128 - code if code < 0 else code, why, time.monotonic() - began)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """End whatever is left of the group, as the end of a container ends all of its processes."""
    with contextlib.suppress(ProcessLookupError):  # nothing was left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
