"""Capacity, the selection bias and the numbers of balance. Oracle: transformers' Switch router, plain loops, NumPy."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.moe.balance import (
    drop_over_capacity,
    dropped_share,
    expert_capacity,
    limit_capacity,
    load_variation,
    max_violation,
    updated_bias,
)
from course_lib.moe.config import MoEConfig
from course_lib.moe.errors import MoEError
from course_lib.moe.layer import MoELayer
from course_lib.moe.routers import make_router
from course_lib.moe.routing import Routing


def routing_of(tokens, experts, k, seed):
    logits = torch.randn(tokens, experts, generator=torch.Generator().manual_seed(seed)) + torch.arange(experts) * 0.3
    probabilities = logits.softmax(-1)
    weights, chosen = probabilities.topk(k, dim=-1)
    return Routing(chosen, weights, probabilities, logits)


def by_loop(routing, capacity, drop):
    """Seat pairs one after the other, in plain Python."""
    tokens, k = routing.experts.shape
    pairs = [(token, choice) for choice in range(k) for token in range(tokens)]
    if drop == "weight":
        pairs.sort(key=lambda pair: -float(routing.weights[pair]))
    experts, seated = routing.experts.clone(), [0] * routing.logits.shape[1]
    for pair in pairs:
        expert = int(experts[pair])
        if seated[expert] == capacity:
            experts[pair] = -1
        else:
            seated[expert] += 1
    return experts


@settings(max_examples=40)
@given(
    tokens=st.integers(1, 25),
    experts=st.integers(2, 8),
    k=st.integers(1, 2),
    capacity=st.integers(1, 12),
    drop=st.sampled_from(["position", "weight"]),
    seed=st.integers(0, 99),
)
def test_nobody_is_over_capacity_and_the_right_ones_stay(tokens, experts, k, capacity, drop, seed):
    """Oracle: a plain loop that seats pairs one by one."""
    routing = routing_of(tokens, experts, k, seed)
    limited = drop_over_capacity(routing, capacity, drop)
    assert int(limited.load().max()) <= capacity
    assert torch.equal(limited.experts, by_loop(routing, capacity, drop))
    assert torch.equal(limited.weights, torch.where(limited.experts < 0, 0, routing.weights))
    assert dropped_share(limited) == pytest.approx(1 - int(limited.load().sum()) / (tokens * k))


def test_the_order_by_position_is_switchs():
    """Oracle: transformers' SwitchTransformersTop1Router with a capacity of 3."""
    from transformers import SwitchTransformersConfig
    from transformers.models.switch_transformers.modeling_switch_transformers import SwitchTransformersTop1Router

    router = make_router(
        MoEConfig(hidden_size=12, expert_hidden_size=8, experts=4, experts_per_token=1, router="switch")
    )
    torch.nn.init.normal_(router.weight, std=0.5, generator=torch.Generator().manual_seed(0))
    theirs = SwitchTransformersTop1Router(
        SwitchTransformersConfig(hidden_size=12, num_experts=4, expert_capacity=3, router_jitter_noise=0.0)
    )
    theirs.classifier.weight.data.copy_(router.weight.data)
    x = torch.randn(20, 12, generator=torch.Generator().manual_seed(1))
    mask = theirs(x[None])[0][0]  # (tokens, experts), a row of zeros where dropped
    expected = torch.where(mask.sum(-1) > 0, mask.argmax(-1), -1)
    limited = drop_over_capacity(router(x), 3)
    assert torch.equal(limited.experts[:, 0], expected)
    assert 0 < dropped_share(limited) < 1


def test_a_dropped_token_adds_nothing_and_others_are_as_they_were():
    """Oracle: the same layer without a limit; gradient of a dropped token is that of the residual path, none."""
    options = dict(
        hidden_size=12, expert_hidden_size=8, experts=4, experts_per_token=1, router="switch", execution="loop"
    )
    full = MoELayer(MoEConfig(**options))
    limited = MoELayer(MoEConfig(**options, capacity_factor=0.5))
    torch.nn.init.normal_(full.router.weight, std=0.5)
    limited.load_state_dict(full.state_dict())
    x = torch.randn(24, 12, requires_grad=True)
    out, expected = limited(x), full(x)
    dropped = limited.last_routing.experts[:, 0] < 0
    assert 0 < int(dropped.sum()) < 24
    assert bool((out[dropped] == 0).all())
    torch.testing.assert_close(out[~dropped], expected[~dropped])
    out.sum().backward()
    assert bool((x.grad[dropped] == 0).all())
    assert int(limited.last_choice.load().sum()) == 24


@pytest.mark.parametrize(
    ("tokens", "experts", "k", "factor", "expected"),
    [
        (64, 8, 2, 1.25, 20),
        (64, 8, 1, 1.0, 8),
        (65, 8, 1, 1.0, 9),
        (10, 1, 1, 1.1, 10),
        (100, 10, 1, 1.1, 11),
        (1, 256, 8, 1.0, 1),
        (0, 8, 2, 1.0, 0),
        (64, 8, 2, 1000.0, 64),
    ],
    ids=str,
)
def test_capacity_is_the_published_formula(tokens, experts, k, factor, expected):
    """Oracle: ceil(factor * tokens * k / E) by hand; 1.1 * 10 is 11 although floating point says a little more."""
    assert expert_capacity(tokens, experts, k, factor) == expected


def test_what_cannot_be_a_capacity_is_refused():
    """Oracle: the messages name value, limit and remedy."""
    for factor in (0, -1.0, math.inf, math.nan, True):
        with pytest.raises(MoEError, match=r"capacity_factor=.* above 0.*1.25, or None"):
            expert_capacity(64, 8, 2, factor)
    routing = routing_of(4, 4, 1, 0)
    with pytest.raises(MoEError, match=r"capacity=0 must be .* at least 1"):
        drop_over_capacity(routing, 0)
    with pytest.raises(MoEError, match="drop='random' is not known"):
        drop_over_capacity(routing, 1, "random")
    with pytest.raises(MoEError, match="capacity_factor=0 leaves no expert a token"):
        MoEConfig(hidden_size=12, expert_hidden_size=8, capacity_factor=0)


def test_without_a_factor_nothing_is_dropped_and_no_tokens_need_no_room():
    """Oracle: the routing itself."""
    for count, factor in ((6, None), (0, 1.0)):
        routing = routing_of(count, 4, 2, 0)
        limits = MoEConfig(hidden_size=12, expert_hidden_size=8, experts=4, capacity_factor=factor)
        assert limit_capacity(routing, limits) is routing
    assert dropped_share(routing) == 0


def test_dropping_compiles_as_one_graph():
    """Oracle: torch.compile with fullgraph."""
    torch.compiler.reset()
    routing = routing_of(20, 4, 2, 0)
    for drop in ("position", "weight"):
        compiled = torch.compile(
            lambda r, drop=drop: drop_over_capacity(r, 5, drop).experts, fullgraph=True, backend="eager"
        )
        assert torch.equal(compiled(routing), drop_over_capacity(routing, 5, drop).experts)


def test_the_bias_moves_by_its_step_against_the_load():
    """Oracle: b + u sign(mean - load) of NumPy (Wang et al. 2024, algorithm 1)."""
    bias, load = torch.tensor([0.1, 0.2, 0.3, 0.4]), torch.tensor([10, 0, 5, 5])
    expected = bias.numpy() + 1e-3 * np.sign(5 - load.numpy())
    np.testing.assert_allclose(updated_bias(bias, load, 1e-3).numpy(), expected, rtol=1e-6)
    with pytest.raises(MoEError, match=r"load=\(3,\) must be \(4,\)"):
        updated_bias(bias, load[:3])
    with pytest.raises(MoEError, match="bias_update_rate=nan"):
        updated_bias(bias, load, math.nan)


def test_a_router_of_skewed_tokens_is_balanced_by_its_bias_alone():
    """Oracle: MaxVio by NumPy's max and mean; gates depend on the sigmoid alone, before and after."""
    options = dict(hidden_size=12, expert_hidden_size=8, experts=8, router="sigmoid_bias", bias_update_rate=1e-2)
    layer = MoELayer(MoEConfig(**options))
    torch.nn.init.normal_(layer.router.weight, std=0.3, generator=torch.Generator().manual_seed(0))
    x = torch.randn(2048, 12, generator=torch.Generator().manual_seed(1)) + 0.5
    violations = []
    for _ in range(60):
        load = layer.router(x).load()
        violations.append(load.numpy().max() / load.numpy().mean() - 1)
        assert max_violation(load) == pytest.approx(violations[-1])
        layer.router.rebalance(load.float())
    assert violations[0] > 0.5 > 0.1 > violations[-1]
    routing = layer.router(x)
    gates = routing.logits.double().sigmoid().gather(1, routing.experts)
    torch.testing.assert_close(routing.weights.double(), gates / gates.sum(-1, keepdim=True), atol=1e-6, rtol=1e-5)
    assert "router.bias" in layer.state_dict()
    assert "bias" not in dict(layer.router.named_parameters())


def test_a_layer_hands_the_load_of_all_its_forward_passes_to_the_bias():
    """Oracle: the rule applied to the sum of two microbatches' loads, by hand."""
    layer = MoELayer(
        MoEConfig(hidden_size=12, expert_hidden_size=8, router="sigmoid_bias", execution="loop", capacity_factor=0.5)
    )
    torch.nn.init.normal_(layer.router.weight, std=0.3)
    total = torch.zeros(8)
    for seed in (0, 1):
        layer(torch.randn(50, 12, generator=torch.Generator().manual_seed(seed)))
        layer.count_load()
        total += layer.last_choice.load()
    layer.after_step()
    torch.testing.assert_close(layer.router.bias, updated_bias(torch.zeros(8), total, 1e-3))
    assert layer.place.step == 1


@settings(max_examples=25)
@given(load=st.lists(st.integers(0, 1000), min_size=1, max_size=30))
def test_the_numbers_of_balance_are_numpys(load):
    """Oracle: NumPy's standard deviation, maximum and mean."""
    counts = np.array(load, dtype=float)
    mean = counts.mean()
    assert load_variation(torch.tensor(load)) == pytest.approx(counts.std() / mean if mean else 0, abs=1e-12)
    assert max_violation(torch.tensor(load)) == pytest.approx(counts.max() / mean - 1 if mean else 0, abs=1e-12)


def test_a_load_of_another_shape_is_refused():
    """Oracle: the message names the shape and the remedy."""
    for measure in (load_variation, max_violation):
        with pytest.raises(MoEError, match=r"load=\(2, 2\) must be \(experts,\)"):
            measure(torch.zeros(2, 2))
