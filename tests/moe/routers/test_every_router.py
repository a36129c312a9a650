"""What holds for all routers. Oracle: NumPy, permutation of the tokens, autocast and torch.compile of PyTorch."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.moe.config import MoEConfig
from course_lib.moe.errors import MoEError
from course_lib.moe.routers import Place, SoftMoELayer, make_router

HIDDEN = 12
LEARNED = ("topk", "switch", "noisy_topk", "expert_choice", "sigmoid_bias", "sinkhorn", "base", "task")
NAMES = (*LEARNED, "hash")


def build(name, experts=8, k=2, place=None, **options):
    k = 1 if name in ("switch", "base") else k
    if name == "task":
        options.setdefault("tasks", 3)
    config = MoEConfig(
        hidden_size=HIDDEN, expert_hidden_size=8, experts=experts, experts_per_token=k, router=name, **options
    )
    torch.manual_seed(3)
    made = make_router(config, place)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return made.eval()


def inputs(count, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, HIDDEN, generator=generator).to(dtype)
    return x, torch.randint(0, 1000, (count,), generator=generator), torch.arange(count) % 3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_shapes_and_types_are_those_promised(name, training, dtype):
    """Oracle: the shapes and types that Routing documents, for many tokens, one and none."""
    router = build(name).train(training)
    for count in (37, 1, 0):
        x, ids, task = inputs(count, dtype)
        routing = router(x, ids, task)
        k = 8 if name == "expert_choice" else router.config.experts_per_token
        assert routing.experts.shape == routing.weights.shape == (count, k)
        assert (routing.experts.dtype, routing.weights.dtype) == (torch.int64, dtype)
        assert routing.logits.shape == routing.probabilities.shape == (count, 8)
        assert routing.logits.dtype == routing.probabilities.dtype == torch.float32
        np.testing.assert_allclose(routing.probabilities.detach().numpy().sum(1), np.ones(count), rtol=1e-5)
        assert int(routing.load().sum()) == int((routing.experts >= 0).sum())
        for row in routing.experts.tolist():
            chosen = [expert for expert in row if expert >= 0]
            assert len(set(chosen)) == len(chosen), "an expert twice for one token"


@pytest.mark.parametrize("name", [name for name in NAMES if name != "noisy_topk"])
@settings(max_examples=5)
@given(data=st.data())
def test_tokens_in_another_order_go_the_same_ways(name, data):
    """Oracle: the same permutation applied to inputs and outputs; outside of training, so that nobody draws noise."""
    count = data.draw(st.integers(1, 30))
    experts = data.draw(st.sampled_from([2, 5, 16]))
    order = torch.tensor(data.draw(st.permutations(range(count))))
    router = build(name, experts=experts)
    x, ids, task = inputs(count, seed=data.draw(st.integers(0, 99)))
    there, back = router(x, ids, task), router(x[order], ids[order], task[order])
    assert torch.equal(there.experts[order], back.experts)
    torch.testing.assert_close(there.weights[order], back.weights)


@pytest.mark.parametrize("name", LEARNED)
def test_gradient_reaches_the_matrix_through_the_weights(name):
    """Oracle: autograd; with normalized weights and k = 1 there would be none."""
    router = build(name).train()
    x, ids, task = inputs(37)
    x.requires_grad_()
    routing = router(x, ids, task)
    (routing.weights * torch.arange(routing.weights.numel()).reshape(routing.weights.shape)).sum().backward()
    for parameter in router.parameters():
        assert parameter.grad is not None
        assert float(parameter.grad.abs().max()) > 0
    assert float(x.grad.abs().max()) > 0


@pytest.mark.parametrize("name", ["topk", "sigmoid_bias"])
def test_scores_stay_in_fp32_under_autocast(name):
    """Oracle: PyTorch's autocast, which would compute the product in bf16."""
    router = build(name, groups=2, groups_per_token=1) if name == "sigmoid_bias" else build(name)
    x, *_ = inputs(37)
    plain = router(x)
    with torch.autocast("cpu", torch.bfloat16):
        cast = router(x)
    assert torch.equal(plain.logits, cast.logits)
    assert torch.equal(plain.experts, cast.experts)


@pytest.mark.parametrize("name", ["topk", "sigmoid_bias", "expert_choice"])
def test_a_router_compiles_as_one_graph(name):
    """Oracle: torch.compile with fullgraph, which refuses whatever it can't trace."""
    torch.compiler.reset()
    router = build(name)
    x, *_ = inputs(37)
    compiled = torch.compile(router, fullgraph=True, backend="aot_eager")
    made, expected = compiled(x), router(x)
    for field in ("experts", "weights", "probabilities", "logits"):
        torch.testing.assert_close(getattr(made, field), getattr(expected, field))


@pytest.mark.parametrize("name", LEARNED)
def test_a_score_that_is_not_finite_is_refused_with_its_place(name):
    """Oracle: the message names layer, step, token and expert, the count and the remedy."""
    x, ids, task = inputs(9)
    x[4, 2] = torch.nan
    with pytest.raises(MoEError, match=r"in layer 3, step 12, token 4, expert 0=nan .*8 of 72.*x already"):
        build(name, place=Place(3, 12))(x, ids, task)
    router = build(name)
    router.weight.data[5] = torch.inf
    with pytest.raises(MoEError, match=r"router logits, token 0, expert 5=.*the router's matrix already.*z_loss"):
        router(*inputs(9))


@pytest.mark.parametrize("name", NAMES)
def test_another_width_is_refused(name):
    """Oracle: the message names the shape and the width."""
    for wrong in (torch.zeros(4, HIDDEN + 1), torch.zeros(2, 4, HIDDEN)):
        with pytest.raises(MoEError, match=rf"x=\({wrong.shape[0]}, .* must be \(tokens, {HIDDEN}\)"):
            build(name)(wrong, torch.zeros(len(wrong), dtype=torch.int64), torch.zeros(len(wrong), dtype=torch.int64))


@pytest.mark.parametrize("name", NAMES)
def test_a_scale_multiplies_the_weights_and_changes_nothing_else(name):
    """Oracle: the definition in MoEConfig: a factor of the weights."""
    plain, scaled = (build(name, scale=scale)(*inputs(37)) for scale in (1.0, 2.5))
    torch.testing.assert_close(scaled.weights, 2.5 * plain.weights)
    assert torch.equal(scaled.experts, plain.experts)
    assert torch.equal(scaled.probabilities, plain.probabilities)


@pytest.mark.parametrize(("k", "factor", "room"), [(2, None, 10), (1, None, 5), (2, 1.5, 15), (2, 0.05, 1)])
def test_expert_choice_takes_as_many_tokens_as_its_capacity(k, factor, room):
    """Oracle: Zhou et al. 2022 section 3.2 by hand: ceil(factor * 40 tokens * k / 8), factor 1 if left out."""
    routing = build("expert_choice", k=k, capacity_factor=factor)(*inputs(40))
    assert routing.load().tolist() == [room] * 8


def test_sinkhorn_with_one_expert_weighs_by_its_probability():
    """Oracle: the softmax: scaled to sum to 1, a single weight would always be 1, and without a gradient."""
    router, (x, *_) = build("sinkhorn", k=1, normalize=True), inputs(37)
    routing = router(x)
    torch.testing.assert_close(routing.weights[:, 0], (x @ router.weight.T).softmax(-1).amax(-1))


@pytest.mark.parametrize("options", [{"normalize": False}, {"normalize": True}, {"softmax": "after"}], ids=str)
def test_noisy_topk_weighs_by_a_softmax_over_the_chosen_whatever_the_config_says(options):
    """Oracle: Shazeer et al. 2017 eq. 3 to 5 in NumPy, without noise: softmax of the k largest scores alone."""
    router, (x, *_) = build("noisy_topk", **options), inputs(37)
    routing = router(x)
    scores = x.numpy() @ router.weight.detach().numpy().T
    largest = np.sort(scores, axis=1)[:, :-3:-1]
    expected = np.exp(largest) / np.exp(largest).sum(1, keepdims=True)
    np.testing.assert_allclose(routing.weights.detach().numpy(), expected, rtol=1e-4)


@pytest.mark.parametrize("name", LEARNED)
def test_whole_numbers_are_refused(name):
    """Oracle: weights between 0 and 1 would all be 0 in the tokens' type."""
    x, ids, task = inputs(9)
    with pytest.raises(MoEError, match=r"x=torch.int64 must be a floating type"):
        build(name)(x.long(), ids, task)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("experts", [2, 256])
def test_two_to_256_experts(name, experts):
    """Oracle: counting; every expert index lies within range, also for k = E where the router allows it."""
    for k in sorted({1, 2, min(experts, 8)} if name not in ("switch", "base") else {1}):
        router = build(name, experts=experts, k=k).train()
        routing = router(*inputs(300))
        assert int(routing.experts.max()) < experts
        assert int(routing.load().sum()) >= 300


def test_every_router_says_whether_it_looks_at_later_tokens():
    """Oracle: changing the last token, which must not change an earlier one's way in a causal router."""
    for name in NAMES:
        for training in (False, True):
            router = build(name).train(training)
            x, ids, task = inputs(64)
            changed = x.clone()
            changed[32:] = -3 * x[32:] + 1
            if name == "noisy_topk":
                torch.manual_seed(5)
            before = router(x, ids, task).experts[:32]
            if name == "noisy_topk":
                torch.manual_seed(5)
            after = router(changed, ids, task).experts[:32]
            assert torch.equal(before, after) == router.causal, (name, training)


def test_soft_has_a_layer_of_its_own_and_unknown_names_none():
    """Oracle: the messages name the remedy."""
    config = MoEConfig(hidden_size=HIDDEN, expert_hidden_size=8, router="soft")
    with pytest.raises(MoEError, match="SoftMoELayer"):
        make_router(config)
    with pytest.raises(MoEError, match="router='topk' is not soft"):
        SoftMoELayer(dataclasses.replace(config, router="topk"))
    with pytest.raises(MoEError, match="router='nearest' is not known"):
        dataclasses.replace(config, router="nearest")
    with pytest.raises(MoEError, match="experts_per_token=9 is more than the 8 experts"):
        dataclasses.replace(config, router="topk", experts_per_token=9)
    with pytest.raises(MoEError, match="must be 1 for router 'base'"):
        make_router(dataclasses.replace(config, router="base"))
