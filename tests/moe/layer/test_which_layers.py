"""Which layers are mixtures, and what a layer keeps between steps. Oracle: transformers' Qwen3-MoE; counts by hand."""

import pytest
import torch
from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

from course_lib.moe import MoEConfig, MoELayer, MoEModel, moe_config
from course_lib.moe.balance import limit_capacity
from course_lib.moe.routing import Routing


@pytest.mark.parametrize(("first", "every"), [(0, 1), (0, 2), (0, 3), (2, 1), (1, 1)])
def test_the_layers_with_experts_are_those_of_qwen3(first, every):
    """Oracle: the modules that transformers' class builds for mlp_only_layers and decoder_sparse_step."""
    ours = MoEModel(moe_config(layers=6, hidden_size=16, heads=2, first_dense_layers=first, moe_every=every))
    with torch.device("meta"):
        theirs = Qwen3MoeForCausalLM(
            Qwen3MoeConfig(
                num_hidden_layers=6,
                hidden_size=16,
                num_attention_heads=2,
                num_key_value_heads=2,
                intermediate_size=16,
                moe_intermediate_size=8,
                num_experts=8,
                vocab_size=64,
                mlp_only_layers=list(range(first)),
                decoder_sparse_step=every,
            )
        )
    mixtures = [hasattr(layer.mlp, "experts") for layer in theirs.model.layers]
    assert [isinstance(block.feed_forward, MoELayer) for block in ours.layers.values()] == mixtures


def test_a_step_moves_the_bias_by_its_own_load_alone():
    """Oracle: one step of size 0.5 against the load of that step, by hand; what came before is forgotten."""
    config = MoEConfig(
        hidden_size=4, expert_hidden_size=4, experts=2, experts_per_token=1, router="sigmoid_bias", bias_update_rate=0.5
    )
    layer = MoELayer(config)
    layer.router.weight.data = torch.eye(2, 4)
    first, second = torch.eye(4)[[0] * 9 + [1]] * 8, torch.eye(4)[[0] + [1] * 3] * 8  # 9 to 1, then 1 to 3
    layer(first)
    layer.count_load()
    layer.after_step()
    assert layer.router.bias.tolist() == [-0.5, 0.5]
    layer.router.bias.zero_()
    layer(second)
    layer.count_load()
    layer(second[:1])  # another microbatch of the same step
    layer.count_load()
    assert layer.load_in_step.tolist() == [2, 3]
    layer.after_step()
    assert layer.router.bias.tolist() == [0.5, -0.5]
    assert layer.load_in_step is None


@pytest.mark.parametrize(("k", "factor", "room"), [(1, 1.0, 5), (2, 1.0, 10), (2, 1.25, 13), (4, 0.5, 10)])
def test_the_room_of_a_config_counts_every_choice_of_a_token(k, factor, room):
    """Oracle: ceil(factor * 20 tokens * k / 4 experts), where all tokens choose the same experts first."""
    config = MoEConfig(hidden_size=4, expert_hidden_size=4, experts=4, experts_per_token=k, capacity_factor=factor)
    experts = torch.arange(k).expand(20, k)
    routing = Routing(experts, torch.ones(20, k), torch.full((20, 4), 0.25), torch.zeros(20, 4))
    assert limit_capacity(routing, config).load().tolist() == [room] * k + [0] * (4 - k)
