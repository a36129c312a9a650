"""Checkpoints of shared experts. Oracle: the run that never stopped, in one process."""

import pytest
import torch

from course_lib.distributed import CheckpointManager, LaunchError, Run, build_engine, markov_batches, train
from course_lib.moe import expert_parallel, load_full_state
from tests.distributed.curves import assert_equal_curves
from tests.moe.expert_parallel.parallel import WEIGHTS, one_process, slow, small_moe

CONFIG = small_moe(clip_norm=0.5)
BEFORE, AFTER = 2, 3


def train_part(builder, folder, last, options):
    """Resume where the folder's newest checkpoint was taken, train up to step `last`, save."""
    engine, manager = build_engine(builder, CONFIG, **options), CheckpointManager(folder)
    first = manager.resume(engine)
    history = train(engine, markov_batches(CONFIG), last - first, first_step=first)
    manager.save(engine, last)
    return first, history.losses, engine.full_state()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((expert_parallel, 4, {}), (expert_parallel, 2, {})),
        slow((expert_parallel, 2, {}), (expert_parallel, 4, {"expert_ranks": 2, "shard_dense": True})),
        slow((expert_parallel, 4, {"expert_ranks": 2}), ("single", 1, {})),
    ],
    ids=["4 expert ranks then 2", "2 then 2 x 2 sharded", "2 x 2 then one process"],
)
def test_what_one_number_of_expert_ranks_has_saved_another_goes_on_with(launch_ranks, tmp_path, first, second):
    builder, ranks, options = first
    begun = launch_ranks(train_part, ranks, builder, tmp_path, BEFORE, options)[0]
    builder, ranks, options = second
    ended = launch_ranks(train_part, ranks, builder, tmp_path, BEFORE + AFTER, options)[0]
    assert (begun[0], ended[0]) == (0, BEFORE)
    ours = Run("expert_parallel", ranks, begun[1] + ended[1], [], ended[2])
    assert_equal_curves(ours, one_process(CONFIG, BEFORE + AFTER), rtol=1e-6, weights_atol=WEIGHTS)


def test_whole_weights_go_in_and_come_out_bit_by_bit(launch_ranks):
    """Oracle: the weights that went in."""
    state = one_process(CONFIG).weights

    def there_and_back(state):
        engine = build_engine(expert_parallel, CONFIG)
        load_full_state(engine.model, state)
        return engine.full_state()

    for found in launch_ranks(there_and_back, 3, state):
        assert found.keys() == state.keys()
        assert all(torch.equal(found[name], value) for name, value in state.items())


@pytest.mark.parametrize("change", [None, slow(lambda value: value[:6])], ids=["missing", "too few experts"])
def test_weights_of_another_model_are_refused_by_name(launch_ranks, change):
    name, state = "layers.0.feed_forward.experts.up", dict(one_process(CONFIG).weights)
    whole = state.pop(name)
    if change is not None:
        state[name] = change(whole)

    def load(state):
        load_full_state(build_engine(expert_parallel, CONFIG).model, state)

    with pytest.raises(LaunchError, match=name.replace(".", r"\.") + r" is (None|\(6, )"):
        launch_ranks(load, 2, state)
