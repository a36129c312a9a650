"""Routers against the publishers' own code. Oracle: transformers' routers with the same weights."""

import pytest
import torch

from course_lib.moe.config import MoEConfig
from course_lib.moe.routers import make_router

HIDDEN, EXPERTS = 24, 16


def tokens(count=40, seed=0, dtype=torch.float32):
    return torch.randn(count, HIDDEN, generator=torch.Generator().manual_seed(seed)).to(dtype)


def ours(name="topk", k=2, training=False, **options):
    made = make_router(
        MoEConfig(
            hidden_size=HIDDEN, expert_hidden_size=8, experts=EXPERTS, experts_per_token=k, router=name, **options
        )
    ).train(training)
    torch.nn.init.normal_(made.weight, std=0.5, generator=torch.Generator().manual_seed(7))
    return made


def assert_same_way(routing, experts, weights):
    """Experts in any order, each with its weight."""
    mine, theirs = routing.experts.sort(-1), experts.sort(-1)
    assert torch.equal(mine.values, theirs.values)
    torch.testing.assert_close(
        routing.weights.gather(1, mine.indices), weights.gather(1, theirs.indices), atol=1e-6, rtol=1e-5
    )


@pytest.mark.parametrize("k", [1, 2, 8, EXPERTS], ids=lambda k: f"top-{k}")
def test_topk_is_mixtrals_router(k):
    """Oracle: transformers' MixtralTopKRouter: softmax over all, top-k, weights scaled to sum to 1."""
    from transformers import MixtralConfig
    from transformers.models.mixtral.modeling_mixtral import MixtralTopKRouter

    router = ours(k=k)
    theirs = MixtralTopKRouter(MixtralConfig(hidden_size=HIDDEN, num_local_experts=EXPERTS, num_experts_per_tok=k))
    theirs.weight.data.copy_(router.weight.data)
    logits, weights, experts = theirs(tokens())
    routing = router(tokens())
    assert_same_way(routing, experts, weights)
    torch.testing.assert_close(routing.logits, logits)


@pytest.mark.parametrize("normalize", [False, True], ids=["as-it-is", "normalized"])
def test_topk_is_olmoes_router_with_its_gradient(normalize):
    """Oracle: transformers' OlmoeTopKRouter, forward and gradient of the router's matrix."""
    from transformers import OlmoeConfig
    from transformers.models.olmoe.modeling_olmoe import OlmoeTopKRouter

    router = ours(k=8, normalize=normalize)
    shape = OlmoeConfig(hidden_size=HIDDEN, num_experts=EXPERTS, num_experts_per_tok=8, norm_topk_prob=normalize)
    theirs = OlmoeTopKRouter(shape)
    theirs.weight.data.copy_(router.weight.data)
    _, weights, experts = theirs(tokens())
    routing = router(tokens())
    assert_same_way(routing, experts, weights)
    mix = torch.arange(1.0, EXPERTS + 1)
    (routing.weights * mix[routing.experts]).sum().backward()
    (weights * mix[experts]).sum().backward()
    torch.testing.assert_close(router.weight.grad, theirs.weight.grad, atol=1e-5, rtol=1e-4)


def test_switch_is_its_router():
    """Oracle: transformers' SwitchTransformersTop1Router without jitter, its capacity out of reach."""
    from transformers import SwitchTransformersConfig
    from transformers.models.switch_transformers.modeling_switch_transformers import SwitchTransformersTop1Router

    router = ours("switch", k=1)
    theirs = SwitchTransformersTop1Router(
        SwitchTransformersConfig(hidden_size=HIDDEN, num_experts=EXPERTS, expert_capacity=1000, router_jitter_noise=0.0)
    )
    theirs.classifier.weight.data.copy_(router.weight.data)
    mask, weights, logits = theirs(tokens()[None])
    routing = router(tokens())
    assert_same_way(routing, mask[0].argmax(-1, keepdim=True), weights[0])
    torch.testing.assert_close(routing.logits, logits[0])


@pytest.mark.parametrize(("groups", "kept"), [(1, 1), (4, 2), (8, 3)], ids=["no-groups", "2-of-4", "3-of-8"])
@pytest.mark.parametrize("normalize", [False, True], ids=["as-it-is", "normalized"])
def test_sigmoid_with_bias_is_deepseeks_router(groups, kept, normalize):
    """Oracle: transformers' DeepseekV3TopkRouter with a bias that changes the choice, forward and gradient."""
    from transformers import DeepseekV3Config
    from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3TopkRouter

    options = dict(groups=groups, groups_per_token=kept, normalize=normalize, scale=2.5)
    router = ours("sigmoid_bias", k=4, **options)
    theirs = DeepseekV3TopkRouter(
        DeepseekV3Config(
            hidden_size=HIDDEN,
            n_routed_experts=EXPERTS,
            num_experts_per_tok=4,
            n_group=groups,
            topk_group=kept,
            norm_topk_prob=normalize,
            routed_scaling_factor=2.5,
        )
    )
    theirs.weight.data.copy_(router.weight.data)
    unbiased = router(tokens()).experts.sort(-1).values
    for bias in (router.bias, theirs.e_score_correction_bias):
        bias.copy_(torch.linspace(-0.4, 0.4, EXPERTS))
    _, weights, experts = theirs(tokens())
    routing = router(tokens())
    assert_same_way(routing, experts, weights)
    assert not torch.equal(routing.experts.sort(-1).values, unbiased)
    mix = torch.arange(1.0, EXPERTS + 1)
    (routing.weights * mix[routing.experts]).sum().backward()
    (weights * mix[experts]).sum().backward()
    torch.testing.assert_close(router.weight.grad, theirs.weight.grad, atol=1e-5, rtol=1e-4)


def test_softmax_before_and_after_the_choice_agree_only_if_normalized():
    """Oracle: transformers' MixtralTopKRouter against a softmax over the chosen logits, as Shazeer 2017 has it."""
    before, after, raw = ours(), ours(softmax="after"), ours(normalize=False)
    same, also, other = before(tokens()), after(tokens()), raw(tokens())
    assert_same_way(also, same.experts, same.weights)
    assert float((other.weights.detach().sum(-1) - 1).abs().min()) > 1e-3
    chosen = other.logits.gather(1, also.experts).double().softmax(-1).float()
    torch.testing.assert_close(also.weights, chosen)
