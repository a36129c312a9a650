"""A resumed run of a mixture is the run that never stopped, bit by bit. Oracle: the same steps without a stop."""

import dataclasses

import pytest
import torch

from course_lib.distributed import CheckpointManager, build_engine, markov_batches, train
from tests.moe.training.cases import CASES, small

NOISY = small(moe={"router": "noisy_topk", "importance_loss": 0.1})


def parts(engine_name, config, folder, stops):
    """Train up to each stop in an engine of its own, resuming from the folder."""
    losses = []
    for last in stops:
        engine, manager = build_engine(engine_name, config), CheckpointManager(folder)
        first = manager.resume(engine)
        losses += train(engine, markov_batches(config), last - first, first_step=first).losses
        manager.save(engine, last)
        weights = engine.full_state()
    return losses, weights


def assert_same(ours, straight):
    for name, value in straight[1].items():
        assert torch.equal(ours[1][name], value), name
    assert ours[0] == pytest.approx(straight[0], rel=2**-22)


@pytest.mark.parametrize("config", [CASES["bias"], NOISY], ids=["bias", "noisy"])
def test_one_process_goes_on_where_it_stopped(tmp_path, config):
    torch.manual_seed(5)
    straight = parts("single", config, tmp_path / "straight", [6])
    torch.manual_seed(5)
    assert_same(parts("single", config, tmp_path / "stopped", [2, 6]), straight)


def test_sharded_ranks_go_on_where_they_stopped_and_one_process_takes_over(launch_ranks, tmp_path):
    def of_rank(folder):
        config = CASES["bias"]
        return parts("fsdp", config, folder / "straight", [6]), parts("fsdp", config, folder / "stopped", [3, 6])

    straight, stopped = launch_ranks(of_rank, 2, tmp_path)[0]
    assert_same(stopped, straight)
    assert max(float(straight[1][name].abs().max()) for name in straight[1] if name.endswith("router.bias")) > 0
    engine = build_engine("single", CASES["bias"])
    assert CheckpointManager(tmp_path / "stopped").load(engine).step == 6
    assert_same((stopped[0], engine.full_state()), straight)


def test_without_its_bias_a_resumed_run_is_another_one(tmp_path):
    """The tests above would not pass if the bias started again from zero."""
    config = small(moe={"router": "sigmoid_bias", "bias_update_rate": 0.2})
    straight = parts("single", config, tmp_path, [4])
    start = {name: value * (not name.endswith("router.bias")) for name, value in straight[1].items()}
    engines = [build_engine("single", dataclasses.replace(config, start=one)) for one in (straight[1], start)]
    losses = [train(engine, markov_batches(config), 1, first_step=4).losses for engine in engines]
    assert losses[0] != losses[1]
