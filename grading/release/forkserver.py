"""A warm interpreter that runs a notebook's code cells in a fork: thousands of variants without thousands of kernels.

Started by `runner.Runner` as a script; speaks JSON lines on stdin and stdout. It runs the
course's own sources, never a learner's: there is no sandbox around it.
"""

import contextlib
import io
import json
import os
import resource
import selectors
import signal
import sys
import time
from typing import Any

from course_lib.runtime import end_with_parent

MEMORY_BYTES = 8 * 2**30
KEPT_CHARACTERS = 20_000


def main() -> None:
    requests = os.fdopen(os.dup(0))
    replies = os.fdopen(os.dup(1), "w")
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    setup = json.loads(requests.readline())
    os.chdir(setup["folder"])
    os.environ["NBGRADER_EXECUTION"] = "autograde"
    sys.path.insert(0, "")
    shell = make_shell()
    ready = [run_cell(shell, source) for source in setup["ahead"]]
    for line in requests:
        print(json.dumps(ready + run_forked(shell, json.loads(line))), file=replies, flush=True)


def make_shell() -> Any:
    """An IPython shell that keeps no history and writes no color codes."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    config.InteractiveShell.xmode = "Minimal"  # nobody reads these tracebacks, and long ones take most of the time
    return InteractiveShell.instance(config=config)


def run_forked(shell: Any, job: dict[str, Any]) -> list[dict[str, Any]]:
    """Run one variant in a child; a child that hangs or dies costs only the cells it had not finished."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        os.setsid()
        end_with_parent()  # a variant that never ends would outlive a check that is killed
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
        try:
            run_cells(shell, job, write_end)
        finally:
            os._exit(0)
    os.close(write_end)
    text = read_until(read_end, time.monotonic() + job["seconds"])
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")]


def read_until(descriptor: int, deadline: float) -> str:
    """All that the child writes before it ends or the time is up."""
    parts = []
    with selectors.DefaultSelector() as waiting, os.fdopen(descriptor, "rb", buffering=0) as pipe:
        waiting.register(pipe, selectors.EVENT_READ)
        while waiting.select(max(0.0, deadline - time.monotonic())):
            part = pipe.read(1 << 16)
            if not part:
                break
            parts.append(part)
    return b"".join(parts).decode("utf-8", "replace")


def run_cells(shell: Any, job: dict[str, Any], descriptor: int) -> None:
    """Run the cells in order and write one JSON line for each, as soon as it is done."""
    with os.fdopen(descriptor, "w") as replies:
        for cell in job["cells"]:
            outcome = run_cell(shell, cell["source"])
            print(json.dumps(outcome), file=replies, flush=True)
            if job["stop_at_first_loss"] and cell["points"] and lost(outcome, cell["points"]):
                return


def run_cell(shell: Any, source: str) -> dict[str, Any]:
    """One cell's outcome in the terms of nbgrader's rule: error, stderr, last value."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        result = shell.run_cell(source, store_history=True)
        error = result.error_before_exec or result.error_in_exec
        value = None if result.result is None else repr(result.result)[:KEPT_CHARACTERS]
    return {
        "error": [type(error).__name__, str(error)[:KEPT_CHARACTERS]] if error else None,
        "stderr": err.getvalue()[:KEPT_CHARACTERS],
        "stdout": out.getvalue()[:KEPT_CHARACTERS],
        "value": value,
    }


def lost(outcome: dict[str, Any], points: float) -> bool:
    """Whether a graded cell with this outcome earns less than its points."""
    if outcome["error"] or outcome["stderr"]:
        return True
    try:
        return float(outcome["value"]) < points
    except (TypeError, ValueError):
        return False


if __name__ == "__main__":
    main()
