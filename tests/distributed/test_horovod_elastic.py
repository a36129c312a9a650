"""An elastic run's loss curve equals one process's, whoever dies or joins. Oracle: the same run in one process."""

import importlib.util
import time

import psutil
import pytest
import torch

from course_lib.distributed import LaunchError, TrainingSetupError
from course_lib.distributed.horovod_elastic_run import elastic_run
from course_lib.runtime.horovodrun import elastic_job, write_hosts
from tests.distributed.curves import single_process, small_config
from tests.survivors import told

built = pytest.mark.skipif(importlib.util.find_spec("horovod") is None, reason="Horovod is not built here")
STEPS = 12


def assert_same_curve(history, config, steps=STEPS):
    torch.testing.assert_close(
        torch.tensor(history.losses), torch.tensor(single_process(config, steps).losses), rtol=1e-5, atol=0
    )


@built
@pytest.mark.slow
def test_after_a_killed_rank_training_goes_on_from_the_last_commit():
    config = small_config(weight_decay=0.1)
    history = elastic_run(config, 2, steps=STEPS, commit_every=3, kill_at=7)
    assert history.world_sizes == (2,) * 6 + (1,) * 6
    assert history.attempts == (*range(8), *range(6, STEPS)), "steps 6 and 7 were undone: the commit was before step 6"
    assert_same_curve(history, config)


@built
@pytest.mark.slow
def test_a_rank_that_joins_takes_over_a_share_of_the_batch_and_the_optimizer_s_state():
    config = small_config(weight_decay=0.1)
    steps = 30
    history = elastic_run(config, 1, steps=steps, join_at=3, seconds_per_step=0.2)
    assert history.world_sizes == tuple(sorted(history.world_sizes))
    assert set(history.world_sizes) == {1, 2}
    assert_same_curve(history, config, steps)


@built
@pytest.mark.slow
def test_a_job_that_falls_below_its_least_number_of_ranks_fails_with_horovodrun_s_own_words():
    with pytest.raises(LaunchError, match="horovodrun ended with exit status"):
        elastic_run(small_config(), 1, steps=STEPS, kill_at=2)


def test_more_ranks_than_names_of_loopback_are_refused():
    with pytest.raises(TrainingSetupError, match="ranks=4 must be from min_ranks=1 to 4 with those that join"):
        elastic_run(small_config(), 4, join_at=2)


@built
@pytest.mark.slow
def test_leaving_a_job_ends_horovodrun_and_every_rank(tmp_path):
    def family():
        lines = {child.pid: told(child.pid) for child in psutil.Process().children(recursive=True)}
        return {pid: line for pid, line in lines.items() if line}  # none: it has ended

    write_hosts(tmp_path / "hosts", {"localhost": 1, "127.0.0.1": 1})
    before = family()
    with elastic_job(["sleep", "1234"], tmp_path / "hosts", 2) as job:
        limit = time.monotonic() + 60
        while sum(line == "sleep 1234" for line in family().values()) < 2:
            assert time.monotonic() < limit, "the ranks did not start"
            time.sleep(0.2)
        with pytest.raises(LaunchError, match="did not end within"):
            job.wait(0.1)
    left = {pid: line for pid, line in family().items() if pid not in before and "resource_tracker" not in line}
    assert not left
