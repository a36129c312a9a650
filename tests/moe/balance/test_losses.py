"""Losses that balance experts. Oracle: transformers' load_balancing_loss_func and router_z_loss_func, NumPy."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.moe.balance import auxiliary_loss, importance_loss, load_balance_loss, load_loss, z_loss
from course_lib.moe.config import MoEConfig
from course_lib.moe.errors import MoEError
from course_lib.moe.layer import MoELayer
from course_lib.moe.routers import make_router
from course_lib.moe.routing import Routing


def config(**options):
    return MoEConfig(**({"hidden_size": 12, "expert_hidden_size": 8} | options))


def routing_of(logits, k=2):
    probabilities = logits.float().softmax(-1)
    weights, experts = probabilities.topk(k, dim=-1)
    return Routing(experts, weights, probabilities, logits)


def logits(tokens=48, experts=8, seed=0):
    return torch.randn(tokens, experts, generator=torch.Generator().manual_seed(seed)) * 2


@pytest.mark.parametrize("k", [1, 2, 8])
def test_the_huggingface_convention_is_mixtrals_loss_with_its_gradient(k):
    """Oracle: transformers' load_balancing_loss_func of Mixtral, value and gradient of the logits."""
    from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

    ours, theirs = logits().requires_grad_(), logits().requires_grad_()
    mine = load_balance_loss(routing_of(ours, k), convention="huggingface")
    expected = load_balancing_loss_func((theirs,), 8, k)
    torch.testing.assert_close(mine, expected)
    mine.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    torch.testing.assert_close(load_balance_loss(routing_of(ours, k)) * k, expected)


def test_the_switch_convention_is_switchs_loss_for_each_sequence():
    """Oracle: transformers' load_balancing_loss_func of Switch, which takes the mean over sequences of 12 tokens."""
    from transformers.models.switch_transformers.modeling_switch_transformers import load_balancing_loss_func

    routing = routing_of(logits(), 1)
    expected = load_balancing_loss_func(
        routing.probabilities.unflatten(0, (4, 12)), routing.experts.unflatten(0, (4, 12))
    )
    torch.testing.assert_close(load_balance_loss(routing, sequences=4), expected)
    assert float(load_balance_loss(routing)) != pytest.approx(float(expected), rel=1e-3)


@pytest.mark.parametrize("convention", ["switch", "huggingface"])
@pytest.mark.parametrize("k", [1, 2, 4])
def test_balance_and_collapse_give_the_published_ends(convention, k):
    """Oracle: minimum 1 (Switch) or k (Hugging Face), maximum E / k or E when everything goes to k experts."""
    balanced = torch.eye(8)[torch.arange(64) % 8] * 1e-3
    balanced = sum(balanced.roll(shift, 1) for shift in range(k))
    collapsed = torch.full((64, 8), -50.0)
    collapsed[:, :k] = 0
    unit = 1 if convention == "switch" else k
    assert float(load_balance_loss(routing_of(balanced, k), convention=convention)) == pytest.approx(unit, rel=1e-3)
    assert float(load_balance_loss(routing_of(collapsed, k), convention=convention)) == pytest.approx(8 / k * unit)


def test_the_z_loss_is_st_moes():
    """Oracle: transformers' router_z_loss_func of Switch, value and gradient."""
    from transformers.models.switch_transformers.modeling_switch_transformers import router_z_loss_func

    ours, theirs = logits().requires_grad_(), logits().requires_grad_()
    mine, expected = z_loss(routing_of(ours)), router_z_loss_func(theirs[None])
    torch.testing.assert_close(mine, expected)
    mine.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


@settings(max_examples=15)
@given(tokens=st.integers(1, 40), experts=st.integers(2, 9), seed=st.integers(0, 99))
def test_importance_is_the_squared_variation_of_summed_weights(tokens, experts, seed):
    """Oracle: NumPy's standard deviation over mean, squared."""
    routing = routing_of(logits(tokens, experts, seed), 2)
    importance = np.zeros(experts)
    np.add.at(importance, routing.experts.numpy(), routing.weights.numpy())
    expected = (importance.std() / importance.mean()) ** 2
    np.testing.assert_allclose(float(importance_loss(routing)), expected, rtol=1e-4, atol=1e-6)


def test_the_load_loss_evens_out_what_noise_gives_each_expert():
    """Oracle: NumPy on the expected load; a step along the gradient makes it smaller."""
    router = make_router(config(router="noisy_topk"))
    x = torch.randn(64, 12, generator=torch.Generator().manual_seed(0)) + 1
    torch.nn.init.normal_(router.weight, std=0.3, generator=torch.Generator().manual_seed(1))

    def measured():
        torch.manual_seed(2)
        return router(x)

    routing = measured()
    loads = routing.expected_load.detach().numpy()
    before = load_loss(routing)
    assert float(before.detach()) == pytest.approx(float(loads.std() / loads.mean()) ** 2, rel=1e-4)
    before.backward()
    with torch.no_grad():
        for parameter in router.parameters():
            parameter -= 0.02 * parameter.grad
    assert float(load_loss(measured()).detach()) < float(before.detach())
    with pytest.raises(MoEError, match="router='noisy_topk' in training"):
        load_loss(router.eval()(x))


@pytest.mark.parametrize("router", ["topk", "switch", "noisy_topk", "sigmoid_bias", "sinkhorn", "task"])
@pytest.mark.parametrize("loss", ["balance_loss", "z_loss", "importance_loss"])
def test_every_loss_reaches_the_routers_matrix(router, loss):
    """Oracle: autograd. Mixtral's loss in transformers 4.36 had no gradient (issue 28205 there)."""
    layer = MoELayer(
        config(
            router=router, experts_per_token=1 if router == "switch" else 2, tasks=2 * (router == "task"), **{loss: 1.0}
        )
    )
    torch.nn.init.normal_(layer.router.weight, std=0.5)
    layer(torch.randn(30, 12), task=torch.zeros(30, dtype=torch.int64) if router == "task" else None)
    term = layer.auxiliary_loss()
    term.backward()
    assert float(layer.router.weight.grad.abs().sum()) > 0
    assert all(parameter.grad is None for parameter in layer.experts.parameters())


def test_coefficients_add_up_and_none_asks_for_nothing():
    """Oracle: the sum by hand."""
    routing = routing_of(logits())
    asked = config(balance_loss=0.3, z_loss=0.02, importance_loss=0.1)
    expected = 0.3 * load_balance_loss(routing) + 0.02 * z_loss(routing) + 0.1 * importance_loss(routing)
    torch.testing.assert_close(auxiliary_loss(routing, asked), expected)
    expected = dataclasses.replace(routing, expected_load=torch.tensor([1.0, 3, 2, 2, 2, 2, 2, 2]))
    torch.testing.assert_close(
        auxiliary_loss(expected, config(importance_loss=0.1)),
        0.1 * (importance_loss(routing) + load_loss(expected)),
    )
    assert auxiliary_loss(routing, config()) is None


def test_losses_of_no_tokens_are_0_and_a_wrong_request_is_refused():
    """Oracle: the messages name value, limit and remedy."""
    for loss in (load_balance_loss, z_loss, importance_loss, lambda routing: load_balance_loss(routing, sequences=3)):
        empty = torch.zeros(0, 8, requires_grad=True)
        value = loss(routing_of(empty))
        value.backward()
        assert float(value.detach()) == 0
        assert empty.grad.shape == (0, 8)
    with pytest.raises(MoEError, match=r"convention='gshard' is not known.*switch, huggingface"):
        load_balance_loss(routing_of(logits()), convention="gshard")
    with pytest.raises(MoEError, match="sequences=5 does not divide 48 tokens"):
        load_balance_loss(routing_of(logits()), sequences=5)


@settings(max_examples=10)
@given(cuts=st.lists(st.integers(0, 48), min_size=1, max_size=3), seed=st.integers(0, 99))
def test_ranks_with_unequal_shares_have_the_loss_and_gradient_of_one_process(cuts, seed):
    """Oracle: the same tokens in one batch. Means over ranks are taken by hand here, by gloo in a test below."""
    edges = [0, *sorted(cuts), 48]
    whole = logits(seed=seed).requires_grad_()
    parts = [whole.detach()[a:b].clone().requires_grad_() for a, b in itertools.pairwise(edges)]
    seen = []
    for part in parts:
        load_balance_loss(routing_of(part), lambda value: seen.append(value) or value)
    together = torch.stack(seen).mean(0)
    loss = torch.stack([load_balance_loss(routing_of(part), lambda _: together) for part in parts]).mean()
    expected = load_balance_loss(routing_of(whole))
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(torch.cat([part.grad for part in parts]), whole.grad)


def balance_on_rank(scores):
    import torch.distributed as dist

    from course_lib.distributed.reductions import mean_over_ranks

    mine = scores.tensor_split(dist.get_world_size())[dist.get_rank()]
    routing = routing_of(mine)
    return float(load_balance_loss(routing, mean_over_ranks)), float(load_balance_loss(routing))


def test_the_mean_over_real_ranks_is_one_processs_loss(launch_ranks):
    """Oracle: one process with all tokens; gloo adds up the counts. Each rank's own counts give another number."""
    scores = logits(50, seed=3)
    found = launch_ranks(balance_on_rank, 2, scores)
    expected = float(load_balance_loss(routing_of(scores)))
    assert np.mean([shared for shared, _ in found]) == pytest.approx(expected, rel=1e-6)
    assert np.mean([alone for _, alone in found]) > expected + 1e-4


def test_the_loss_of_each_sequence_is_its_own_ranks_alone():
    """Oracle: the loss of each sequence by itself, whatever other ranks have counted."""
    probabilities = torch.rand(12, 4, generator=torch.Generator().manual_seed(4)).softmax(-1)
    weights, experts = probabilities.topk(2)
    rows = [slice(first, first + 4) for first in (0, 4, 8)]
    alone = [load_balance_loss(Routing(experts[r], weights[r], probabilities[r], probabilities[r])) for r in rows]
    others = torch.tensor([9.0, 1.0, 0.0, 2.0, 6.0])  # choices of each expert, and tokens
    routing = Routing(experts, weights, probabilities, probabilities)
    together = load_balance_loss(routing, lambda counted: (counted + others) / 2, sequences=3)
    torch.testing.assert_close(together, torch.stack(alone).mean())
