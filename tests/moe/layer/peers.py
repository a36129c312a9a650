"""transformers' mixture blocks and our layers with the same weights."""

import torch

from course_lib.moe import MoEConfig, MoELayer

HIDDEN, INNER = 32, 24
FAMILIES = ("mixtral", "olmoe", "qwen3", "deepseek", "switch")
SHAPE = {"hidden_size": HIDDEN, "expert_hidden_size": INNER}


def pair(family, seed=0):
    """(transformers' block, our layer); all weights random, equal on both sides."""
    torch.manual_seed(seed)
    peer, layer = globals()[f"_{family}"]()
    with torch.no_grad():
        for parameter in peer.parameters():
            parameter.normal_(std=0.3)
        for ours, theirs in weights(peer, layer).items():
            layer.get_parameter(ours).copy_(theirs)
    return peer, layer


def weights(peer, layer, of=lambda parameter: parameter):
    """Our parameters' names, and what transformers holds for each; `of` picks the gradients instead."""
    if hasattr(peer, "router"):  # Switch: a module for each expert
        parts = [peer.experts[f"expert_{i}"] for i in range(layer.config.experts)]
        return {
            "router.weight": of(peer.router.classifier.weight),
            "experts.up": torch.stack([of(part.wi.weight) for part in parts]),
            "experts.down": torch.stack([of(part.wo.weight) for part in parts]),
        }
    found = {
        "router.weight": of(peer.gate.weight),
        "experts.up": of(peer.experts.gate_up_proj),
        "experts.down": of(peer.experts.down_proj),
    }
    if hasattr(peer, "shared_experts"):
        shared = peer.shared_experts
        theirs = (shared.gate_proj, shared.down_proj, shared.up_proj)
        found |= {f"shared.w{i}.weight": of(part.weight) for i, part in enumerate(theirs, 1)}
    return found


def _mixtral():
    from transformers import MixtralConfig
    from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock

    config = MixtralConfig(hidden_size=HIDDEN, intermediate_size=INNER, num_local_experts=8, num_experts_per_tok=2)
    config._experts_implementation = "eager"
    return MixtralSparseMoeBlock(config), MoELayer(MoEConfig(**SHAPE))


def _olmoe():
    from transformers import OlmoeConfig
    from transformers.models.olmoe.modeling_olmoe import OlmoeSparseMoeBlock

    config = OlmoeConfig(hidden_size=HIDDEN, intermediate_size=INNER, num_experts=64, num_experts_per_tok=8)
    config._experts_implementation = "eager"
    return OlmoeSparseMoeBlock(config), MoELayer(MoEConfig(**SHAPE, experts=64, experts_per_token=8, normalize=False))


def _qwen3():
    from transformers import Qwen3MoeConfig
    from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeSparseMoeBlock

    config = Qwen3MoeConfig(
        hidden_size=HIDDEN, moe_intermediate_size=INNER, num_experts=16, num_experts_per_tok=4, norm_topk_prob=True
    )
    config._experts_implementation = "eager"
    return Qwen3MoeSparseMoeBlock(config), MoELayer(MoEConfig(**SHAPE, experts=16, experts_per_token=4))


def _deepseek():
    from transformers import DeepseekV3Config
    from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3MoE

    config = DeepseekV3Config(
        hidden_size=HIDDEN, moe_intermediate_size=INNER, n_routed_experts=16, num_local_experts=16,
        num_experts_per_tok=4, n_shared_experts=1, n_group=4, topk_group=2, routed_scaling_factor=2.5,
    )  # fmt: skip
    config._experts_implementation = "eager"
    peer, layer = (
        DeepseekV3MoE(config),
        MoELayer(
            MoEConfig(**SHAPE, experts=16, experts_per_token=4, router="sigmoid_bias", groups=4, groups_per_token=2,
                      scale=2.5, shared_experts=1)
        ),
    )  # fmt: skip
    bias = torch.randn(16) * 0.1
    peer.gate.e_score_correction_bias.copy_(bias)
    layer.router.bias.copy_(bias)
    return peer, layer


def _switch():
    from transformers import SwitchTransformersConfig
    from transformers.models.switch_transformers.modeling_switch_transformers import SwitchTransformersSparseMLP

    config = SwitchTransformersConfig(
        d_model=HIDDEN, d_ff=INNER, num_experts=8, expert_capacity=64, dropout_rate=0.0, router_jitter_noise=0.0
    )
    ours = MoEConfig(**SHAPE, experts=8, experts_per_token=1, router="switch", gated=False, activation="relu")
    return SwitchTransformersSparseMLP(config), MoELayer(ours)
