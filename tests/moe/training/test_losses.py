"""What a run reports and what it descends: cross-entropy alone, and the sum with the routers' losses."""

import dataclasses
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from course_lib.distributed import LaunchError, TrainConfig, build_engine, markov_batches, run, train
from course_lib.moe import MoEConfig, MoEError, MoETrainConfig, moe_config, moe_layers
from tests.moe.training.cases import CASES, small


def gradients(engine, batch):
    engine.forward_backward(batch)
    return {name: parameter.grad.clone() for name, parameter in engine.model.named_parameters()}


def test_reported_losses_are_cross_entropy_alone():
    """Oracle: torch's cross_entropy of the model's logits; 5 nats of balance loss must not show."""
    config = small(moe={"balance_loss": 5.0, "z_loss": 1.0})
    engine = build_engine("single", config)
    batch = markov_batches(config)[0]
    expected = F.cross_entropy(engine.model(batch.tokens).flatten(0, 1), batch.targets.flatten())
    assert train(engine, [batch], 1).losses == pytest.approx([expected.item()], rel=1e-6)


def test_the_balance_loss_reaches_the_router():
    """transformers issue 28205: a loss without gradient. Oracle: autograd of the loss written out by hand."""
    config = small(moe={"balance_loss": 0.5}, shape={"layers": 1})
    batch = markov_batches(config)[0]
    plain = build_engine("single", dataclasses.replace(config, moe=dataclasses.replace(config.moe, balance_loss=0.0)))
    without, with_loss = gradients(plain, batch), gradients(build_engine("single", config), batch)
    model = config.build_model()
    model(batch.tokens)
    chosen = moe_layers(model)[0].last_routing
    share = F.one_hot(chosen.experts, 6).float().mean((0, 1))  # (experts,) of all choices
    (0.5 * 6 * (share * chosen.logits.softmax(-1).mean(0)).sum()).backward()
    name = "layers.0.feed_forward.router.weight"
    torch.testing.assert_close(with_loss[name] - without[name], dict(model.named_parameters())[name].grad)


def test_with_accumulation_each_microbatch_is_balanced_for_itself():
    """Oracle: the mean of the gradients of each microbatch taken as a batch of its own."""
    config = small(moe={"balance_loss": 0.5}, microbatch=4)
    batch = markov_batches(config)[0]
    alone = dataclasses.replace(config, microbatch=0, global_batch=4)
    parts = [gradients(build_engine("single", alone), batch.rows(first, first + 4)) for first in (0, 4, 8)]
    together = gradients(build_engine("single", config), batch)
    whole = gradients(build_engine("single", dataclasses.replace(config, microbatch=0)), batch)
    for name, value in together.items():
        torch.testing.assert_close(value, (parts[0][name] + parts[1][name] + parts[2][name]) / 3)
    router = "layers.0.feed_forward.router.weight"
    assert (together[router] - whole[router]).abs().max() > 1e-4 * whole[router].abs().max(), (
        "no difference to speak of"
    )


@pytest.mark.parametrize("moe", [{"jitter": 0.1}, {"router": "noisy_topk"}], ids=["jitter", "noisy"])
def test_recomputing_a_noisy_router_takes_the_same_decision(moe):
    """Oracle: the gradients without recomputation, from the same random numbers."""
    config = small(moe=moe)
    batch = markov_batches(config)[0]
    found = []
    for mode in ("none", "full"):
        torch.manual_seed(3)
        found.append(gradients(build_engine("single", dataclasses.replace(config, recomputation=mode)), batch))
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value)


def broken(layer):
    config = small()
    start = config.build_model().state_dict()
    start[f"layers.{layer}.feed_forward.router.weight"][2, 5] = math.nan
    return dataclasses.replace(config, start=start)


def test_router_logits_that_are_not_finite_end_the_run_and_say_where():
    config = broken(1)
    with pytest.raises(MoEError, match=r"router logits in layer 1, step 7, token 0, expert 2=nan must be finite"):
        train(build_engine("single", config), markov_batches(config), 2, first_step=7)


def test_a_run_on_ranks_ends_with_that_message(launch_ranks):
    with pytest.raises(LaunchError, match="router logits in layer 0, step 0"):
        run("ddp", broken(0), 2, steps=2, launcher=launch_ranks)


def test_a_rate_too_high_is_told_by_the_step_at_which_it_broke():
    """Oracle: the loss's own course: the step named is the first whose logits could not be computed."""
    config = small(learning_rate=1e18, optimizer="sgd")
    with pytest.raises(MoEError, match=r"router logits in layer \d, step [1-9]"):
        train(build_engine("single", config), markov_batches(config), 20)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda start: start.pop("norm.weight"), "norm.weight is missing"),
        (lambda start: start.update(more=torch.ones(1)), "more is too much"),
        (lambda start: start.update({"norm.weight": torch.ones(3)}), r"norm.weight is \(3,\) instead of \(32,\)"),
    ],
    ids=["missing", "extra", "shape"],
)
def test_weights_of_another_model_are_refused_by_name(change, told):
    config = CASES["balance"]
    start = config.build_model().state_dict()
    change(start)
    with pytest.raises(MoEError, match=told):
        dataclasses.replace(config, start=start).build_model()


def test_settings_that_make_no_mixture_are_refused():
    with pytest.raises(MoEError, match=r"has no experts\. Remedy: use TrainConfig"):
        MoETrainConfig(model=TrainConfig().model)
    with pytest.raises(MoEError, match="moe=8 is no MoEConfig"):
        MoETrainConfig(model=moe_config(), moe=8)


def test_the_extra_loss_is_the_sum_over_the_layers():
    """Oracle: E * sum of f * P of each layer in NumPy, times the coefficient, all layers added up."""
    shape = moe_config(layers=3, hidden_size=16, heads=2, experts=4)
    config = MoETrainConfig(
        model=shape, moe=MoEConfig.of(shape, balance_loss=0.5), sequence_length=8, global_batch=4, learning_rate=1e-3
    )
    model = config.build_model()
    model(torch.randint(0, 64, (4, 8), generator=torch.Generator().manual_seed(1)))
    expected = 0.0
    for layer in moe_layers(model):
        p = layer.last_choice.probabilities.detach().numpy()
        f = np.bincount(layer.last_choice.experts.flatten().numpy(), minlength=4) / layer.last_choice.experts.numel()
        expected += 0.5 * 4 * float((f * p.mean(0)).sum())
    assert float(config.extra_loss(model, lambda value: value)) == pytest.approx(expected, rel=1e-5)
