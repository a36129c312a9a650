"""Where a rank is when the time is up, and what it wrote last: read from the log that its native code writes to."""

from __future__ import annotations

import os
import re
import time
from typing import IO

from course_lib.runtime.rank import WHERE_ARE_YOU

FRAME = re.compile(r'^  File "(?P<file>[^"]+)", line (?P<line>\d+) in (?P<function>.+)$', re.MULTILINE)
LIBRARIES = re.compile(r"[/\\](?:site|dist)-packages[/\\]|[/\\]lib[/\\]python3")
ANSWER_SECONDS = 2.0
LAST_LINES = 12


def whereabouts(pid: int, log: IO[bytes]) -> str:
    """Ask a rank for its stack and put it into one line.

    Args:
        pid: the rank's process, which has `faulthandler` registered for WHERE_ARE_YOU.
        log: where it writes the answer.

    Returns:
        The innermost call, and the line of the caller's own code that led to it.
    """
    before = os.fstat(log.fileno()).st_size
    try:
        os.kill(pid, WHERE_ARE_YOU)
    except ProcessLookupError:
        return "ended"
    limit = time.monotonic() + ANSWER_SECONDS
    text = ""
    while time.monotonic() < limit and "in _call" not in text:  # the launcher's own frame, near the end of a stack
        time.sleep(0.05)
        text = _read(log, before)
    frames = [match.groupdict() for match in FRAME.finditer(text)]
    if not frames:
        return "in native code, or stopped: it did not answer"
    inner = frames[0]
    own = next((f for f in frames if not LIBRARIES.search(f["file"])), inner)
    place = f"{os.path.basename(own['file'])}:{own['line']} in {own['function']}"
    return place if own is inner else f"waiting in {inner['function']}, called from {place}"


def last_lines(log: IO[bytes]) -> str:
    """The end of what a process wrote to its file descriptors."""
    lines = [line for line in _read(log, 0).splitlines() if line.strip() and not line.startswith("[Gloo]")]
    return "\n".join(lines[-LAST_LINES:])


def _read(log: IO[bytes], start: int) -> str:
    # pread leaves the offset alone, which the rank shares and writes at
    return os.pread(log.fileno(), 1 << 20, start).decode(errors="replace")
