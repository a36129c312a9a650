"""The layer against transformers' Mixtral, OLMoE, Qwen3, DeepSeek-V3 and Switch blocks with the same weights."""

import pytest
import torch

from course_lib.catalog import ModelConfig
from course_lib.moe import MoEConfig, MoEModel
from tests.moe.layer.peers import FAMILIES, HIDDEN, pair, weights

BF16 = 0.02  # of the largest entry: bf16 keeps 8 bits, and transformers rounds after each of its steps


@pytest.mark.parametrize("family", FAMILIES)
def test_outputs_and_every_gradient_equal_hugging_faces_block(family):
    """Oracle: transformers' block, experts_implementation="eager", in fp32."""
    peer, layer = pair(family)
    x = torch.randn(2, 19, HIDDEN)
    seen = [x.clone().requires_grad_() for _ in range(2)]
    out, expected = layer(seen[0]), peer(seen[1])
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    pull = torch.randn_like(out)
    out.backward(pull)
    expected.backward(pull)
    theirs = weights(peer, layer, lambda p: torch.zeros_like(p) if p.grad is None else p.grad)
    assert theirs.keys() == {name for name, _ in layer.named_parameters()}
    for name, gradient in (theirs | {"x": seen[1].grad}).items():
        ours = seen[0].grad if name == "x" else layer.get_parameter(name).grad
        largest = gradient.abs().max()
        torch.testing.assert_close(
            ours / largest, gradient / largest, rtol=1e-5, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("family", ["mixtral", "olmoe", "qwen3", "deepseek"])
def test_in_bf16_the_experts_equal_hugging_faces_within_two_percent(family):
    """Oracle: transformers' experts in bf16, for the routing of our layer: a tie in bf16 may fall either way."""
    peer, layer = (module.bfloat16() for module in pair(family))
    x = torch.randn(38, HIDDEN).bfloat16()
    routing = layer.router(x)
    sides = []
    for module in (peer.experts, layer.experts):
        seen, scales = x.clone().requires_grad_(), routing.weights.detach().clone().requires_grad_()
        out = (
            module(seen, routing.experts, scales)
            if module is peer.experts
            else module.mixture(seen, routing.experts, scales)
        )
        out.backward(x.flip(0))
        sides.append([out, seen.grad, scales.grad, *(parameter.grad for parameter in module.parameters())])
    for expected, ours in zip(*sides, strict=True):
        assert ours.dtype == expected.dtype == torch.bfloat16
        assert (ours - expected).abs().max() <= BF16 * expected.abs().max()


def test_switch_drops_whom_hugging_face_drops():
    """Oracle: transformers' Switch block with room for 3 tokens of a sequence in each expert."""
    peer, layer = pair("switch")
    x = torch.randn(1, 24, HIDDEN)
    peer.router.expert_capacity = 3
    layer.config = layer.router.config = MoEConfig(
        **{**vars(layer.config), "capacity_factor": 1.0}
    )  # ceil(1.0 * 24 tokens / 8 experts) = 3
    out, expected = layer(x), peer(x)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    assert (layer.last_routing.experts < 0).any()


def small(name, **more):
    return ModelConfig(
        name=name, vocab_size=48, hidden_size=32, layers=2, heads=4, ffn_hidden_size=24, gated_ffn=True, norm="rmsnorm",
        context_length=64, **more,
    )  # fmt: skip


def hugging_faces(config):
    import transformers

    shared = {
        "vocab_size": 48, "hidden_size": 32, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": config.kv_heads, "num_experts_per_tok": config.experts_per_token, "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0}, "attn_implementation": "eager",
    }  # fmt: skip
    if config.name == "mixtral":
        return transformers.MixtralForCausalLM(
            transformers.MixtralConfig(**shared, num_local_experts=config.experts, sliding_window=None)
        )
    return transformers.OlmoeForCausalLM(transformers.OlmoeConfig(**shared, num_experts=config.experts))


NAMES = {
    "tok_embeddings": "model.embed_tokens", "output": "lm_head", "layers": "model.layers", "attention_norm":
    "input_layernorm", "ffn_norm": "post_attention_layernorm", "feed_forward.router": "mlp.gate",
    "feed_forward.experts.up": "mlp.experts.gate_up_proj", "feed_forward.experts.down": "mlp.experts.down_proj",
    "attention.wq": "self_attn.q_proj", "attention.wk": "self_attn.k_proj", "attention.wv": "self_attn.v_proj",
    "attention.wo": "self_attn.o_proj", "attention.q_norm": "self_attn.q_norm",
    "attention.k_norm": "self_attn.k_norm",
}  # fmt: skip


def theirs(name):
    if name.startswith("norm."):
        return f"model.{name}"
    for ours, other in NAMES.items():
        name = name.replace(ours, other)
    return name


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        (small("mixtral", experts=8, experts_per_token=2, kv_heads=2), {}),
        (small("olmoe", experts=16, experts_per_token=4, qk_norm="width"), {"normalize": False}),
    ],
    ids=["mixtral", "olmoe"],
)
def test_a_whole_models_logits_equal_hugging_faces(shape, options):
    """Oracle: MixtralForCausalLM and OlmoeForCausalLM with the same random weights."""
    ours, peer = MoEModel(shape, MoEConfig.of(shape, **options), seed=2), hugging_faces(shape)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.mul_(4)  # so that norms, routers and experts all matter
    peer.load_state_dict({theirs(name): value for name, value in ours.state_dict().items()}, strict=True)
    tokens = torch.randint(0, 48, (2, 33), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours(tokens), peer(tokens).logits, rtol=1e-4, atol=1e-4)
