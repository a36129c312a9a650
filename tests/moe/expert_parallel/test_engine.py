"""Expert parallelism equals one process. Oracle: the same run in a single process, no torch.distributed in it."""

import pytest
import torch
import torch.distributed as dist

from course_lib.distributed import (
    LaunchError,
    RankFailed,
    TrainConfig,
    TrainingSetupError,
    build_engine,
    markov_batches,
    parameter_bytes,
    run,
)
from course_lib.distributed.dtensors import whole
from course_lib.moe import expert_parallel, load_full_state, moe_layers
from tests.distributed.curves import assert_equal_curves
from tests.moe.expert_parallel.parallel import STEPS, WEIGHTS, one_process, slow, small_moe

BIAS = {"moe": {"router": "sigmoid_bias", "bias_update_rate": 0.1}}  # learned from the loads of all ranks
CONFIG = small_moe(clip_norm=0.5, shape={"shared_experts": 1}, moe={"balance_loss": 0.01, "z_loss": 0.001})


@pytest.mark.parametrize(
    ("ranks", "options"),
    [
        slow(1, {}),
        slow(2, {}),
        slow(3, {}),
        slow(4, {}),
        (4, {"expert_ranks": 2}),
        slow(2, {"expert_ranks": 1}),
        slow(2, {"shard_dense": True}),
        slow(4, {"expert_ranks": 2, "shard_dense": True}),
    ],
    ids=lambda value: str(value).replace("'", "") if value != {} else "all",
)
def test_the_curve_equals_one_process(launch_ranks, ranks, options):
    ours = run(expert_parallel, CONFIG, ranks, steps=STEPS, launcher=launch_ranks, **options)
    assert_equal_curves(ours, one_process(CONFIG), rtol=1e-6, weights_atol=WEIGHTS)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [{"recomputation": "full"}, {"optimizer": "lamb"}, {"optimizer": "sgd", "learning_rate": 0.5}, BIAS],
    ids=["full", "lamb", "sgd", "bias"],
)
def test_neither_microbatches_nor_other_settings_change_what_is_computed(launch_ranks, changes):
    ours = run(expert_parallel, small_moe(microbatch=2, **changes), 2, steps=STEPS, launcher=launch_ranks)
    changes = {name: value for name, value in changes.items() if name != "recomputation"}
    assert_equal_curves(ours, one_process(small_moe(**changes)), rtol=1e-6, weights_atol=WEIGHTS)


def test_half_precision_matmuls_stay_near_one_process(launch_ranks):
    """Oracle: one process in fp32; bf16 has 8 bits, so that losses agree to about one part in a hundred."""
    ours = run(expert_parallel, small_moe(precision="bf16"), 2, steps=STEPS, launcher=launch_ranks)
    assert ours.losses == pytest.approx(one_process(small_moe()).losses, rel=1e-2)


@pytest.mark.slow
def test_equal_blocks_that_drop_nothing_equal_one_process(launch_ranks):
    config = small_moe(moe={"capacity_factor": 6.0})
    ours = run(expert_parallel, config, 4, steps=STEPS, launcher=launch_ranks, exchange="capacity", expert_ranks=2)
    assert_equal_curves(ours, one_process(config), rtol=1e-6, weights_atol=WEIGHTS)


def test_equal_blocks_that_drop_tokens_drop_those_of_one_process_that_takes_as_many_at_once(launch_ranks):
    """Oracle: one process whose microbatches are the ranks' rows, so that its experts fill up alike."""
    alone = small_moe(moe={"capacity_factor": 0.75}, microbatch=4)
    config = small_moe(moe={"capacity_factor": 0.75})
    ours = run(expert_parallel, config, 3, steps=STEPS, launcher=launch_ranks, exchange="capacity")
    assert_equal_curves(ours, one_process(alone), rtol=1e-6, weights_atol=WEIGHTS)
    assert one_process(alone).losses != one_process(small_moe()).losses, "nothing was dropped"


def gradients(builder, config, state=None, **options):
    """Whole gradients of the first batch by name, and their norm as clipping sees it."""
    engine = build_engine(builder, config, **options)
    if state is not None:
        load_full_state(engine.model, state)
    engine.forward_backward(engine.share.of(markov_batches(config)[0]))
    found = {name: whole(p.grad).clone() for name, p in engine.model.named_parameters()}
    return found, float((engine.clip or engine._clip_local)(1e9))


@pytest.mark.parametrize("options", [slow({}), {"expert_ranks": 2}], ids=["ep", "ep x dp"])
def test_gradients_and_their_norm_are_those_of_the_global_batch(launch_ranks, options):
    """Oracle: one process, and torch's clip_grad_norm_ there; each kind of weight has a scale that can be wrong."""
    expected, norm = gradients("single", CONFIG)
    for found, ours in launch_ranks(gradients, 4, expert_parallel, CONFIG, **options):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-7, msg=lambda m, n=name: f"{n}: {m}")
        assert ours == pytest.approx(norm, rel=1e-6)


def test_experts_without_a_token_and_one_with_all_of_them_are_computed_alike(launch_ranks):
    """Oracle: one process with the same weights, whose routers send every token to the same two experts."""
    config = small_moe()
    state = build_engine("single", config).full_state()
    state = {name: torch.zeros_like(v) if "router" in name else v for name, v in state.items()}
    expected, _ = gradients("single", config, state)
    busy = [g.flatten(1).any(1).sum() for name, g in expected.items() if "experts.down" in name]
    assert busy == [2, 2], "the routing is not as skewed as it should be"
    for found, _ in launch_ranks(gradients, 3, expert_parallel, config, state):
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-7, msg=lambda m, n=name: f"{n}: {m}")


def test_a_rank_holds_its_experts_and_everything_else(launch_ranks):
    """Oracle: the parameter counts of the unshared torch modules, 4 bytes each."""

    def held():
        return parameter_bytes(build_engine(expert_parallel, CONFIG, expert_ranks=2).model)

    model = build_engine("single", CONFIG).model
    experts = sum(parameter_bytes(layer.experts) for layer in moe_layers(model))
    assert launch_ranks(held, 4) == [parameter_bytes(model) - experts + experts // 2] * 4


@pytest.mark.parametrize(
    ("config", "ranks", "options", "told"),
    [
        (
            small_moe(shape={"experts": 8}),
            3,
            {},
            "experts=8 can't be shared equally by 3 ranks. Remedy: use expert_ranks",
        ),
        (CONFIG, 4, {"expert_ranks": 3}, "expert_ranks=3 does not divide the 4 ranks of this run"),
        slow(CONFIG, 2, {"expert_ranks": 0}, "expert_ranks=0 must be a whole number of at least 1"),
        (CONFIG, 2, {"exchange": "capacity"}, "capacity_factor=None gives blocks of equal size no size"),
        slow(CONFIG, 2, {"exchange": "ring"}, "exchange='ring' is not known"),
        slow(small_moe(global_batch=5), 2, {}, "global_batch=5 can't be shared equally by 2"),
        (TrainConfig(), 2, {}, "has no experts to share"),
    ],
    ids=["experts", "mesh", "no ranks", "no capacity", "unknown", "batch", "dense"],
)
def test_what_can_not_run_is_refused_once_for_all_ranks(launch_ranks, config, ranks, options, told):
    with pytest.raises(LaunchError) as caught:
        run(expert_parallel, config, ranks, steps=1, launcher=launch_ranks, **options)
    assert str(caught.value).count(told) == 1
    assert "Remedy" in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_an_unknown_option_is_refused_before_any_rank_starts():
    with pytest.raises(TrainingSetupError, match="ranks=2 is no option of engine 'expert_parallel'"):
        run(expert_parallel, CONFIG, 2, ranks=2)


def test_a_rank_that_raises_between_two_exchanges_ends_the_run_with_its_message(launch_ranks):
    """Oracle: that the launcher ends the other ranks, which wait in an all-to-all."""

    def of_rank():
        engine = build_engine(expert_parallel, small_moe())
        if dist.get_rank() == 1:
            moe_layers(engine.model)[1].router.forward = lambda *_: 1 / 0
        engine.step(markov_batches(engine.config)[0])

    with pytest.raises(RankFailed, match=r"rank 1 of 3[\s\S]*ZeroDivisionError"):
        launch_ranks(of_rank, 3)
