"""One practice account that outlives the command which started it: up, down, and where it is.

A file in a folder says where it serves. A server that died without saying so is noticed, because the address is asked
before it is believed.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from course_lib.finops.cloud.back_door import BackDoor
from course_lib.finops.cloud.clock import Clock
from course_lib.finops.cloud.story import before, populate
from course_lib.finops.cloud.visit import Visit
from course_lib.finops.errors import FinopsError
from course_lib.runtime import server_environment, whole_file

FILE, LEDGER, LOG, LOCK = "account.json", "ledger.jsonl", "server.log", "lock"
PATIENCE = 60.0  # seconds until a server must have said its port, or must be gone


@dataclass(frozen=True)
class Running:
    """A practice account that is up.

    Attributes:
        url: where it serves.
        pid: its process.
        folder: where its ledger and log are.
        start: the time at which it began, or its story ended, ISO 8601.
        seed: of faults that come by chance, and of its story.
        story: its past; "" for an account that began empty.
    """

    url: str
    pid: int
    folder: str
    start: str = ""
    seed: int = 0
    story: str = ""

    @property
    def door(self) -> BackDoor:
        """Its back door."""
        return BackDoor(self.url)

    def insist(self, asked: Mapping[str, Any]) -> None:
        """Refuse settings that a running account can't take on.

        Args:
            asked: by name, any of port, speed, start, seed and story (None for an empty account).

        Raises:
            FinopsError: for the first that differs, with the way out.
        """
        has: dict[str, Any] = {"port": urlsplit(self.url).port, "seed": self.seed, "story": self.story or None}
        if "speed" in asked:
            has["speed"] = self.door.speed()
        if self.start:
            has["start"] = datetime.fromisoformat(self.start)
        for name, value in asked.items():
            if name in has and value != has[name]:
                raise FinopsError.of(
                    name,
                    value,
                    f"is not that of the account which is up at {self.url} ({name}={has[name]})",
                    "leave it out to use that account, or end it first with `course cloud down`",
                )


def find(folder: Path) -> Running | None:
    """The account that `folder` speaks of, if it answers."""
    try:
        running = Running(**json.loads((folder / FILE).read_text()))
        running.door.now()
    except (OSError, ValueError, TypeError, KeyError, urllib.error.URLError, HTTPException):
        return None  # something else may have taken the port since
    return running


def up(
    folder: Path,
    *,
    port: int = 0,
    speed: float = 1.0,
    start: datetime | None = None,
    seed: int = 0,
    story: str | None = None,
) -> tuple[Running, bool]:
    """Start an account in the background, or find the one that is up, whatever its settings; True when it is new.

    Args:
        folder: made if missing; holds where the account is, its ledger and its log.
        port: to serve on; 0 picks a free one.
        speed: simulated seconds per real second.
        start: the time at which the account begins; the real time when left out.
        seed: of faults that come by chance, and of a story's draws.
        story: "research-group" for a past of 90 days that ends at `start`; None for an empty account.

    Raises:
        FinopsError: when the server ends before it serves, such as for a port that is taken; with its last words.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second `up` waits, and finds the first one's account
        if running := find(folder):
            return running, False
        return _start(folder, port, speed, start, seed, story), True


def _start(folder: Path, port: int, speed: float, start: datetime | None, seed: int, story: str | None) -> Running:
    clock = Clock(start, speed)  # refused here, where the mistake is, not in the server's log
    if not 0 <= port < 65536:
        raise FinopsError.of("port", port, "is no port", "give one from 1024 to 65535, or 0 for a free one")
    start = start or clock.now().replace(microsecond=0)
    begin = start if story is None else before(story, start)
    pace = speed if story is None else 0.0  # a story is told while the clock stands still between its moments
    command = [sys.executable, "-m", "course_lib.finops.cloud.server", "--port", str(port), "--speed", str(pace)]
    command += ["--seed", str(seed), "--ledger", str(folder / LEDGER), "--start", begin.isoformat()]
    (folder / LEDGER).unlink(missing_ok=True)
    with (folder / LOG).open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=server_environment(),
            start_new_session=True,  # a Ctrl-C in the terminal is not meant for it
        )
    try:
        assert process.stdout is not None
        told = process.stdout.readline().decode().strip()
        process.stdout.close()
        if not told:
            process.wait(PATIENCE)  # its last words are complete when it has ended
            words = (folder / LOG).read_text(errors="replace").strip().splitlines()[-1:] or ["nothing"]
            raise FinopsError.of("port", port, f"gave no server; it said: {words[0]}", "try --port 0, or another port")
        when = start.astimezone(UTC).isoformat()
        running = Running(f"http://127.0.0.1:{told}", process.pid, str(folder), when, seed, story or "")
        if story is not None:
            populate(Visit(running.url), story, seed, speed)
        with whole_file(folder / FILE) as draft:
            draft.write_text(json.dumps(asdict(running)))
    except BaseException:
        process.terminate()  # half a past is none, and a server that nobody can find ends with nobody
        process.wait(PATIENCE)
        raise
    return running


def down(folder: Path) -> bool:
    """End the account; False if none was up. Its ledger stays."""
    running = find(folder)
    (folder / FILE).unlink(missing_ok=True)
    if running is None:
        return False
    os.kill(running.pid, signal.SIGTERM)
    ends = time.monotonic() + PATIENCE
    while _alive(running.pid):
        if time.monotonic() > ends:
            os.kill(running.pid, signal.SIGKILL)
        time.sleep(0.05)
    return True


def _alive(pid: int) -> bool:
    try:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    except ChildProcessError:
        pass  # somebody else's child: asked in the other way
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
