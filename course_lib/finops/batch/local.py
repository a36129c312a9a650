"""The same job on this machine: real processes with Batch's environment, timeouts and retries.

What a container would run, `contract.py` with the job's command, runs here as a process group of its own, with the
variables that Batch sets. The retry rules are the definition's, asked by the same function. What is not imitated: the
image, its user and its file system, cgroup limits, and the queue.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from course_lib.arithmetic import cost_usd
from course_lib.finops.batch import contract
from course_lib.finops.batch.definition import environment
from course_lib.finops.batch.errors import BatchError
from course_lib.finops.batch.job import Job
from course_lib.finops.batch.process import KILL_AFTER, run_process
from course_lib.finops.batch.retries import EXITED, RECLAIMED, TIMED_OUT, Ended

# Asked again and again while an attempt runs: child's index, attempt, its work folder. True takes the host away.
Reclaim = Callable[[int, int, Path], bool]
KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")  # of this process; a container has its own


@dataclass(frozen=True)
class Attempt:
    """One attempt of one child.

    Attributes:
        index: of the child; 0 for a single job.
        attempt: from 1.
        ended: exit code and reasons, as Batch would report them.
        seconds: how long it ran, which is what it would be billed for.
        verdict: why there was another attempt, or none.
        log: what the process printed.
    """

    index: int
    attempt: int
    ended: Ended
    seconds: float
    verdict: str
    log: Path

    @property
    def succeeded(self) -> bool:
        """Whether it ended with 0, by itself."""
        return self.ended.exit_code == 0 and not self.ended.status_reason.startswith("Host EC2")


@dataclass(frozen=True)
class LocalRun:
    """A job that ran here.

    Attributes:
        job: which.
        attempts: all of them, by child and number.
    """

    job: Job
    attempts: tuple[Attempt, ...]

    def status(self, index: int = 0) -> Literal["SUCCEEDED", "FAILED"]:
        """What became of a child."""
        last = max((one for one in self.attempts if one.index == index), key=lambda one: one.attempt)
        return "SUCCEEDED" if last.succeeded else "FAILED"

    @property
    def failed(self) -> list[int]:
        """The children that failed for good."""
        return [index for index in range(self.job.array_size) if self.status(index) == "FAILED"]

    def usd(self) -> float:
        """What the attempts' seconds would have cost on the job's instances.

        Raises:
            BatchError: when nobody knows the price.
        """
        hours = sum(one.seconds for one in self.attempts) / 3600
        return cost_usd(hours, self.job.machine.usd_per_hour(self.job.usd_per_hour))


def run_local(
    job: Job,
    folder: Path,
    aws: Mapping[str, str] | None = None,
    *,
    parallel: int = 2,
    reclaim: Reclaim | None = None,
    kill_after: float = KILL_AFTER,
    job_id: str = "local",
) -> LocalRun:
    """Run a job's command here, all children and attempts.

    Args:
        job: what to run. Multi-node jobs need several machines and are refused.
        folder: for work folders and logs; each attempt has a fresh one, as a fresh host would.
        aws: variables by which boto3 in the process finds the account, such as AWS_ENDPOINT_URL and keys.
        parallel: how many children at a time.
        reclaim: a fault to inject, see `Reclaim`.
        kill_after: seconds from SIGTERM to SIGKILL.
        job_id: what AWS_BATCH_JOB_ID says.

    Raises:
        BatchError: for a multi-node job, or a job with S3 addresses but no account.
    """
    if job.nodes > 1:
        raise BatchError.of("nodes", job.nodes, "can't run on one machine", "try the command with nodes=1")
    if (job.inputs or job.outputs) and not aws:
        raise BatchError("the job reads or writes S3, and no account is given. Remedy: course cloud up, or log in.")
    BatchError.check_count("parallel", parallel)
    folder.mkdir(parents=True, exist_ok=True)

    def child(index: int) -> list[Attempt]:
        done: list[Attempt] = []
        again = True
        while again and not stopped.is_set():
            one, again = _attempt(job, folder, dict(aws or {}), index, len(done) + 1, taken, kill_after, job_id)
            done.append(one)
        return done

    stopped = threading.Event()

    def taken(index: int, attempt: int, work: Path) -> bool:
        return stopped.is_set() or (reclaim is not None and reclaim(index, attempt, work))

    pool = ThreadPoolExecutor(parallel)
    try:
        children = list(pool.map(child, range(job.array_size)))
    except BaseException:  # a Ctrl-C, say: what runs is ended as the loss of its host would end it
        stopped.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return LocalRun(job, tuple(one for attempts in children for one in attempts))


def batch_variables(job: Job, index: int, attempt: int, job_id: str = "local") -> dict[str, str]:
    """The variables that Batch itself sets.

    Source: https://docs.aws.amazon.com/batch/latest/userguide/job_env_vars.html
    """
    known = {
        "AWS_BATCH_JOB_ID": f"{job_id}:{index}" if job.array_size > 1 else job_id,
        "AWS_BATCH_JOB_ATTEMPT": str(attempt),
        "AWS_BATCH_JQ_NAME": "local",
        "AWS_BATCH_CE_NAME": "local",
    }
    array = {"AWS_BATCH_JOB_ARRAY_INDEX": str(index), "AWS_BATCH_JOB_ARRAY_SIZE": str(job.array_size)}
    return known | (array if job.array_size > 1 else {})


def _attempt(
    job: Job,
    folder: Path,
    aws: dict[str, str],
    index: int,
    attempt: int,
    reclaim: Reclaim,
    kill_after: float,
    job_id: str,
) -> tuple[Attempt, bool]:
    work = folder / f"{index}-{attempt}"
    if work.exists():
        raise BatchError.of(
            "folder", str(folder), "holds an earlier run", "give an empty folder: each attempt is a new host"
        )
    work.mkdir()
    log = work / "log.txt"
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    variables = {**kept, **environment(job), **batch_variables(job, index, attempt, job_id), "COURSE_WORK": str(work)}
    command = [sys.executable, contract.__file__, *job.command]
    limit = job.timeout.total_seconds()
    lost = partial(reclaim, index, attempt, work)
    outcome = run_process(command, {**variables, **aws}, work, log, limit, lost, kill_after)
    if outcome.why == "lost":
        ended = Ended(None, "", RECLAIMED.format(f"i-local-{index}-{attempt}"))
    elif outcome.why == "timeout":
        ended = Ended(outcome.code, "", TIMED_OUT, timed_out=True)
    else:
        ended = Ended(outcome.code, "", EXITED)
    if ended.exit_code == 0 and not ended.timed_out:
        return Attempt(index, attempt, ended, outcome.seconds, "it succeeded", log), False
    again, verdict = job.retry.again(ended, attempt)
    return Attempt(index, attempt, ended, outcome.seconds, verdict, log), again
