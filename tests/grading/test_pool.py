"""Workers that crash, hang and fail. The oracle is what each task was told to do."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from grading.pool import run_tasks


def work(task: str) -> str:
    """One worker's task."""
    if task == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "hang":
        time.sleep(60)
    if task.startswith("/"):
        try:
            time.sleep(60)
        finally:
            Path(task).touch()
    if task == "raise":
        raise ValueError("no good")
    if task == "exit":
        sys.exit("leaving")
    return task.upper()


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_bad_task_costs_itself_alone(jobs):
    tasks = ["a", "crash", "b", "hang", "c", "raise", "exit", "d"]
    done = {d.task: d for d in run_tasks("tests.grading.test_pool:work", tasks, jobs=jobs, deadline_seconds=6)}
    assert {task for task in done if done[task].trouble == ""} == {"a", "b", "c", "d"}
    assert all(done[task].result == task.upper() for task in "abcd")
    assert "died" in done["crash"].trouble
    assert done["crash"].lost
    assert "longer than 6 s" in done["hang"].trouble
    assert done["hang"].lost
    assert done["raise"].trouble == "ValueError: no good"
    assert not done["raise"].lost
    assert "leaving" in done["exit"].trouble


def test_no_tasks_need_no_workers():
    assert list(run_tasks("no.such:module", [], jobs=2, deadline_seconds=1)) == []


def test_a_stopped_worker_cleans_up_and_no_one_waits_for_it(tmp_path):
    started = time.monotonic()
    tasks = ["a", str(tmp_path / "cleaned")]
    ends = run_tasks(f"{__name__}:work", tasks, jobs=2, deadline_seconds=30)
    assert next(ends).result == "A"
    time.sleep(1)
    ends.close()
    assert (tmp_path / "cleaned").exists()
    assert time.monotonic() - started < 50  # the task itself sleeps for 60
