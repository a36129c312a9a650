"""What the chapter says of DeepSpeed's gates. Oracle: those gates themselves, where DeepSpeed is installed."""

import importlib.util
import math

import pytest
import torch

from course_lib.moe import MoEConfig, MoELayer, drop_over_capacity, expert_capacity, load_balance_loss

TOKENS, EXPERTS = 64, 8
pytestmark = pytest.mark.skipif(importlib.util.find_spec("deepspeed") is None, reason="DeepSpeed is not installed")


def routed(k):
    torch.manual_seed(0)
    layer = MoELayer(MoEConfig(hidden_size=16, expert_hidden_size=8, experts=EXPERTS, experts_per_token=k))
    torch.nn.init.normal_(layer.router.weight, std=0.3)
    layer(torch.randn(TOKENS, 16) + torch.randn(16))
    return layer.last_routing


def gates(k, logits, **options):
    from deepspeed.moe import sharded_moe as theirs

    lone = {1: {"use_rts": False}, 2: {"top2_2nd_expert_sampling": False}}.get(k, {})
    if k > 2:
        return theirs.topkgating(logits.clone(), k, 1.0, 0, **options)
    return {1: theirs.top1gating, 2: theirs.top2gating}[k](logits.clone(), 1.0, 0, **options, **lone)


@pytest.mark.parametrize("k", [1, 3])
def test_the_balance_loss_of_one_and_of_many_choices_is_switch_s(k):
    routing = routed(k)
    found = gates(k, routing.logits, drop_tokens=False)[0]
    assert found.item() == pytest.approx(load_balance_loss(routing).item(), rel=1e-5)


def test_the_balance_loss_of_two_choices_counts_the_first_alone():
    routing = routed(2)
    first = routing.experts[:, 0].bincount(minlength=EXPERTS) / TOKENS
    expected = EXPERTS * (first * routing.probabilities.mean(0)).sum().item()
    assert gates(2, routing.logits, drop_tokens=False)[0].item() == pytest.approx(expected, rel=1e-5)
    assert expected != pytest.approx(load_balance_loss(routing).item(), rel=1e-2)


def test_no_expert_has_room_for_less_than_four_tokens_by_default():
    from deepspeed.moe.layer import MoE
    from deepspeed.moe.sharded_moe import _capacity

    gate = MoE(16, torch.nn.Linear(16, 16), num_experts=EXPERTS, k=2).deepspeed_moe.gate
    for tokens, factor in ((8, 1.0), (16, 1.0), (64, 1.25), (4096, 1.0)):
        found = int(_capacity(torch.zeros(tokens, EXPERTS), torch.tensor(factor * 2), torch.tensor(gate.min_capacity)))
        assert found == max(4, math.ceil(tokens / EXPERTS * factor * 2))
    assert expert_capacity(8, EXPERTS, 2, 1.0) == 2


def test_two_choices_are_dropped_in_our_order_and_what_is_left_is_scaled_to_1():
    routing = routed(2)
    kept = drop_over_capacity(routing, expert_capacity(TOKENS, EXPERTS, 2, 1.0))
    theirs = gates(2, routing.logits, drop_tokens=True)[1].sum(-1)  # (tokens, experts)
    ours = torch.zeros(TOKENS, EXPERTS + 1).scatter_add(1, kept.experts % (EXPERTS + 1), kept.weights)[:, :EXPERTS]
    assert torch.equal(theirs > 0, ours > 0)
    total = ours.sum(1, keepdim=True)
    assert bool(((total > 0) & (total < 0.99)).any())
    assert torch.allclose(theirs, torch.where(total > 0, ours / total.clamp(min=1e-9), 0), atol=1e-6)
