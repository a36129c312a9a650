"""What a process really sends, whatever library sends it: the operating system counts.

Formulas say what an algorithm should send. This says what a backend did send, so that the two can be compared.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import psutil

from course_lib.distributed.errors import TrainingSetupError


def sent_bytes(call: Callable[[], object]) -> int:
    """Bytes that this process writes to sockets and files while a call runs.

    Over TCP, as gloo and Horovod's gloo work, that is every byte of every collective with its headers. What goes
    through shared memory, NVLink or RDMA passes the operating system by, and is not seen.

    Args:
        call: must not print or save anything, for that would count as well; every rank of a collective calls it.

    Returns:
        Bytes, of all threads of this process.

    Raises:
        TrainingSetupError: on systems other than Linux, which do not count.

    Source: proc_pid_io(5), wchar.
    """
    if not sys.platform.startswith("linux"):
        raise TrainingSetupError.of("platform", sys.platform, "does not count what a process writes", "run it on Linux")
    process = psutil.Process()
    before = process.io_counters().write_chars
    call()
    return int(process.io_counters().write_chars - before)
