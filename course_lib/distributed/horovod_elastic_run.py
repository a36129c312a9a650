"""An elastic Horovod run on this machine from one call, with a rank that dies or joins at a step of your choice.

`python -m course_lib.distributed.horovod_elastic_run FOLDER` is what horovodrun starts as each worker.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from course_lib.distributed.config import TrainConfig
from course_lib.distributed.errors import TrainingSetupError, check_count
from course_lib.distributed.horovod_elastic import ElasticHistory, train_elastically
from course_lib.runtime import LOOPBACK_HOSTS, elastic_job, end_with_parent, write_hosts


@dataclass(frozen=True)
class Order:
    """What each worker is told, beside its rank."""

    config: TrainConfig
    steps: int
    commit_every: int
    ranks: int
    kill_at: int | None
    join_at: int | None
    seconds_per_step: float


def elastic_run(
    config: TrainConfig,
    ranks: int = 2,
    *,
    steps: int = 20,
    commit_every: int = 1,
    min_ranks: int = 1,
    kill_at: int | None = None,
    join_at: int | None = None,
    seconds_per_step: float = 0.0,
    timeout_seconds: float = 240.0,
) -> ElasticHistory:
    """Train under the real horovodrun, on loopback, and wait for the result.

    Args:
        config: of the run.
        ranks: at the start, 1 to 4; each is a host of its own for horovodrun.
        steps: optimizer steps.
        commit_every: steps from one commit to the next.
        min_ranks: with fewer the job waits for more, and fails in the end.
        kill_at: the last rank kills itself (SIGKILL) before this step.
        join_at: a host for one rank more is added to the list before this step; horovodrun looks every second.
        seconds_per_step: sleep before each step, so that there is time to see the host join.
        timeout_seconds: for all of it.

    Returns:
        The history of rank 0.

    Raises:
        TrainingSetupError: for a number out of range.
        LaunchError: when Horovod is not built, or the job failed; it holds the last lines of the log.
    """
    most = len(LOOPBACK_HOSTS)
    for name, count in (("ranks", ranks), ("steps", steps), ("commit_every", commit_every), ("min_ranks", min_ranks)):
        check_count(name, count)
    starting = ranks + (join_at is not None)
    if starting > most or min_ranks > ranks:
        limit = f"must be from min_ranks={min_ranks} to {most} with those that join"
        raise TrainingSetupError.of("ranks", ranks, limit, "give 2")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_hosts(folder / "hosts", dict.fromkeys(LOOPBACK_HOSTS[:ranks], 1))
        (folder / "order").write_bytes(
            pickle.dumps(Order(config, steps, commit_every, ranks, kill_at, join_at, seconds_per_step))
        )
        command = [sys.executable, "-m", "course_lib.distributed.horovod_elastic_run", name]
        with elastic_job(command, folder / "hosts", ranks, min_ranks=min_ranks, max_ranks=starting) as job:
            job.wait(timeout_seconds)
        told = json.loads((folder / "history").read_text())
    return ElasticHistory(**{field: tuple(values) for field, values in told.items()})


def work(folder: Path) -> None:
    """Be one worker of `elastic_run`: whoever is rank 0 at the end writes the history."""
    order: Order = pickle.loads((folder / "order").read_bytes())
    last_rank = None

    def on_step(step: int, rank: int, size: int) -> None:
        nonlocal last_rank
        last_rank = rank
        time.sleep(order.seconds_per_step)
        # Only while nobody has gone or come: after a restore the step comes again.
        if step == order.kill_at and size == order.ranks and rank == size - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if step == order.join_at and size == order.ranks and rank == 0:
            write_hosts(folder / "hosts", dict.fromkeys(LOOPBACK_HOSTS[: order.ranks + 1], 1))

    history = train_elastically(order.config, order.steps, commit_every=order.commit_every, on_step=on_step)
    if last_rank == 0:
        (folder / "history").write_text(json.dumps(dataclasses.asdict(history)))


if __name__ == "__main__":
    end_with_parent()
    work(Path(sys.argv[1]))
