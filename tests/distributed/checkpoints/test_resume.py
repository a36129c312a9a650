"""A resumed run is the run that never stopped, bit by bit. Oracle: the same number of steps without a stop."""

import importlib.util
import random
import shutil

import numpy as np
import pytest
import torch
import torch.distributed as dist

from course_lib.distributed import CheckpointManager, Run, build_engine, markov_batches, train
from course_lib.distributed.mesh import Layout
from tests.distributed.curves import assert_equal_curves, run_engine, single_process, small_config

BEFORE, AFTER = 3, 3
NO_HOROVOD = pytest.mark.skipif(importlib.util.find_spec("horovod") is None, reason="Horovod is not built here")
LAYOUTS = [
    ("single", 1, None),
    ("ddp", 2, None),
    ("fsdp", 2, None),
    ("hybrid", 2, None),
    pytest.param("horovod", 2, None, marks=NO_HOROVOD),
    pytest.param("tensor", 2, None, marks=pytest.mark.slow),
    ("pipeline", 2, None),
    ("context", 2, None),
    pytest.param("composed", 4, Layout(shard=2, tensor=2), marks=pytest.mark.slow),
    ("composed", 4, Layout(shard=2, pipeline=2)),
]


def halving(step):
    return 0.5**step


def train_part(engine_name, config, folder, last, schedule=None, layout=None, forget=False):
    """Resume where the folder's newest checkpoint was taken, train up to step `last`, save."""
    engine = build_engine(engine_name, config, **with_layout(layout))
    manager = CheckpointManager(folder)
    first = manager.load(engine, weights_only=True).step if forget else manager.resume(engine)
    history = train(engine, markov_batches(config), last - first, first_step=first, schedule=schedule)
    manager.save(engine, last)
    weights = engine.full_state()
    engine.close()
    return first, history.losses, weights


def with_layout(layout):
    return {} if layout is None else {"layout": layout}


def in_two_parts(launch_ranks, engine, ranks, config, folder, second=None, forget=False, **options):
    """Train in one set of processes, go on in another, maybe of another kind and number."""
    needs = {"horovod": True} if engine == "horovod" else {}
    begun = launch_ranks(train_part, ranks, engine, config, folder, BEFORE, **options, **needs)[0]
    engine, ranks = second or (engine, ranks)
    last = BEFORE + AFTER
    ended = launch_ranks(train_part, ranks, engine, config, folder, last, forget=forget, **options, **needs)[0]
    assert (begun[0], ended[0]) == (0, BEFORE), "the second part did not start where the first had ended"
    return Run(engine, ranks, begun[1] + ended[1], [], ended[2])


def assert_same_bits(ours, reference):
    for name, value in reference.weights.items():
        assert torch.equal(ours.weights[name], value), name
    # losses are averaged over ranks at a call's end, in an order that depends on how many there are: one bit may differ
    torch.testing.assert_close(torch.tensor(ours.losses), torch.tensor(reference.losses), rtol=2**-22, atol=0)


@pytest.mark.parametrize(("engine", "ranks", "layout"), LAYOUTS)
def test_resuming_on_the_same_layout_changes_no_bit(launch_ranks, tmp_path, engine, ranks, layout):
    config = small_config(microbatch=2)
    straight = run_engine(launch_ranks, engine, config, ranks, BEFORE + AFTER, **with_layout(layout))
    assert_same_bits(in_two_parts(launch_ranks, engine, ranks, config, tmp_path, layout=layout), straight)


def test_resuming_with_weights_alone_is_another_run(launch_ranks, tmp_path):
    """The test above would not pass without the optimizer: its moments start from nothing."""
    config = small_config()
    straight = single_process(config)
    ours = in_two_parts(launch_ranks, "single", 1, config, tmp_path, forget=True)
    assert ours.losses[: BEFORE + 1] == straight.losses[: BEFORE + 1], "the weights themselves did come back"
    assert ours.losses[BEFORE + 1 :] != straight.losses[BEFORE + 1 :]
    assert not torch.equal(ours.weights["output.weight"], straight.weights["output.weight"])


def test_a_scheduled_learning_rate_goes_on_from_its_base(launch_ranks, tmp_path):
    config = small_config(optimizer="sgd")
    straight = run_engine(launch_ranks, "fsdp", config, 2, BEFORE + AFTER, schedule=halving)
    assert_same_bits(in_two_parts(launch_ranks, "fsdp", 2, config, tmp_path, schedule=halving), straight)


def test_the_learning_rate_comes_back_whatever_the_new_config_says(tmp_path):
    """Oracle: the saved run's rate, and its second step's half of it."""
    engine, again = (build_engine("single", small_config(learning_rate=rate)) for rate in (0.01, 0.5))
    train(engine, markov_batches(engine.config), 2, schedule=halving)
    CheckpointManager(tmp_path).save(engine, 2)
    assert CheckpointManager(tmp_path).resume(again) == 2
    (group,) = again.optimizer.param_groups
    assert (group["initial_lr"], group["lr"]) == (0.01, 0.005)


@pytest.fixture(scope="module")
def four_sharded(launch_ranks, tmp_path_factory):
    """The first steps of a run on four sharded ranks: their losses, and the folder with the checkpoint."""
    folder = tmp_path_factory.mktemp("four")
    return launch_ranks(train_part, 4, "fsdp", small_config(), folder, BEFORE)[0][1], folder


@pytest.mark.parametrize(("engine", "ranks"), [("fsdp", 2), ("ddp", 2), ("single", 1), ("hybrid", 4)])
def test_four_sharded_ranks_hand_over_to_any_other_layout(launch_ranks, four_sharded, tmp_path, engine, ranks):
    losses, folder = four_sharded
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    first, more, weights = launch_ranks(train_part, ranks, engine, small_config(), tmp_path, BEFORE + AFTER)[0]
    assert first == BEFORE
    assert_equal_curves(Run(engine, ranks, losses + more, [], weights), single_process(small_config()))


def test_one_process_hands_over_to_sharded_ranks(launch_ranks, tmp_path):
    config = small_config()
    ours = in_two_parts(launch_ranks, "single", 1, config, tmp_path, ("fsdp", 2))
    assert_equal_curves(ours, single_process(config))


def test_writing_beside_the_training_changes_no_bit(launch_ranks, tmp_path):
    def run_on(folder):
        """The step after the save overwrites every weight while the save is still under way."""
        config = small_config()
        engine, manager = build_engine("fsdp", config), CheckpointManager(folder)
        save = manager.every(engine, 2, wait=False)
        train(engine, markov_batches(config), 5, on_step=save)
        manager.wait()
        assert manager.steps() == [2, 4]
        again = build_engine("fsdp", config)
        assert manager.load(again, 2).step == 2
        train(again, markov_batches(config), 3, first_step=2)
        ours, theirs = again.full_state(), engine.full_state()
        return all(torch.equal(value, theirs[name]) for name, value in ours.items())

    assert launch_ranks(run_on, 2, tmp_path) == [True, True]


def test_random_generators_and_a_rank_s_own_words_come_back(launch_ranks, tmp_path):
    """Oracle: what the generators would have drawn next had nothing stopped."""

    def draws():
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    def save(folder):
        torch.manual_seed(100 + dist.get_rank())
        engine = build_engine("ddp", small_config())
        CheckpointManager(folder).save(engine, 0, extra={"shard": dist.get_rank()})
        return draws()

    def load(folder):
        restored = CheckpointManager(folder).load(build_engine("ddp", small_config()))
        return draws(), restored.extra

    drawn = launch_ranks(save, 2, tmp_path)
    assert len(set(drawn)) == 2, "the ranks draw differently, so that each needs its own state"
    assert launch_ranks(load, 2, tmp_path) == [(drawn[0], {"shard": 0}), (drawn[1], {"shard": 1})]
    extras = [extra for _, extra in launch_ranks(load, 4, tmp_path)]
    assert extras == [{"shard": 0}, {"shard": 1}, None, None], "ranks that did not exist then have nothing to restore"


def test_saving_before_the_first_step_does_not_touch_the_optimizer(tmp_path):
    config = small_config()
    engine = build_engine("single", config)
    CheckpointManager(tmp_path).save(engine, 0)
    resumed = build_engine("single", config)
    assert CheckpointManager(tmp_path).resume(resumed) == 0
    for built in (engine, resumed):
        assert train(built, markov_batches(config), 6).losses == single_process(config).losses
