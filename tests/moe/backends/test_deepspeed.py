"""DeepSpeed-MoE under our model. The comparisons run where DeepSpeed is installed; it is no requirement."""

import importlib.util

import pytest

from course_lib.distributed import LaunchError, build_engine, markov_batches, run, train
from course_lib.moe import MoEConfig, MoEError, MoETrainConfig, moe_config
from course_lib.moe.backends import deepspeed_engine
from course_lib.moe.backends.deepspeed_layer import check_layer

STEPS = 4
INSTALLED = importlib.util.find_spec("deepspeed") is not None
needs_deepspeed = pytest.mark.skipif(not INSTALLED, reason="DeepSpeed is not installed")


def small(*, k=2, moe=None, **changes) -> MoETrainConfig:
    model = moe_config(layers=2, hidden_size=32, heads=4, vocab_size=32, experts=4, experts_per_token=k)
    settings = {"sequence_length": 8, "global_batch": 8, "learning_rate": 3e-3} | changes
    options = {"normalize": k > 1} | (moe or {})
    return MoETrainConfig(model=model, moe=MoEConfig.of(model, **options), **settings)


CASES = {
    "top-1": small(k=1),
    "top-1-balanced": small(k=1, moe={"balance_loss": 0.1, "balance_scope": "rank"}),
    "top-2": small(),
    "top-3-balanced": small(k=3, moe={"balance_loss": 0.1, "balance_scope": "rank"}),
    "accumulate": small(microbatch=2, weight_decay=0.1, recomputation="full"),
    "sgd": small(optimizer="sgd", learning_rate=0.1),
}


@needs_deepspeed
@pytest.mark.slow
@pytest.mark.parametrize(("world", "expert_ranks"), [(1, 1), (2, 2), (2, 1)], ids=["1", "2-shared", "2-copied"])
@pytest.mark.parametrize("name", CASES)
def test_deepspeed_trains_as_one_process_of_ours_does(name, world, expert_ranks, launch_ranks):
    """Oracle: DeepSpeed's own MoE layer, gradient exchange and step against the "single" engine."""
    config = CASES[name]
    found = run(deepspeed_engine, config, world, steps=STEPS, launcher=launch_ranks, expert_ranks=expert_ranks)
    single = build_engine("single", config)
    if world > 1 and config.moe.balance_loss:
        reference = run("ddp", config, world, steps=STEPS, launcher=launch_ranks)
        losses, weights = reference.losses, reference.weights
    else:
        losses, weights = train(single, markov_batches(config), STEPS).losses, single.full_state()
    assert found.losses == pytest.approx(losses, rel=1e-5)
    assert found.weights.keys() == weights.keys()
    worst = max(float((found.weights[key] - value).abs().max()) for key, value in weights.items())
    assert worst < 2e-5


@pytest.mark.skipif(INSTALLED, reason="DeepSpeed is installed here")
def test_without_deepspeed_the_error_names_the_remedy(launch_ranks):
    """Oracle: this environment, which has no DeepSpeed."""
    with pytest.raises(LaunchError, match=r"not installed here.*pip install"):
        run(deepspeed_engine, small(), 1, steps=1, launcher=launch_ranks)


REFUSED = {
    "router": small(moe={"router": "hash"}),
    "normalize": small(k=1, moe={"normalize": True}),
    "capacity_factor": small(moe={"capacity_factor": 1.0}),
    "balance_loss": small(moe={"balance_loss": 0.1, "balance_scope": "rank"}),
    "z_loss": small(moe={"z_loss": 0.1}),
    "clip_norm": small(clip_norm=1.0),
    "precision": small(precision="bf16"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_deepspeed_computes_differently_is_refused(name):
    """Oracle: the source of deepspeed 0.19.8's gate."""
    with pytest.raises(MoEError, match=f"{name}=.*Remedy"):
        check_layer(REFUSED[name])


@pytest.mark.parametrize("name", CASES)
def test_what_is_compared_is_not_refused(name):
    """Oracle: the cases above, which run where DeepSpeed is installed."""
    check_layer(CASES[name])
