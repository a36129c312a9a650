"""Hugging Face's classes as oracle: the same shape, built by somebody else's code."""

import pytest

from course_lib.catalog import ModelConfig


def hf_config(c: ModelConfig):
    """The transformers configuration of a catalog row, or None where transformers has no such model."""
    import transformers as hf

    rope_decoder = {
        "vocab_size": c.vocab_size,
        "hidden_size": c.hidden_size,
        "num_hidden_layers": c.layers,
        "num_attention_heads": c.heads,
        "num_key_value_heads": c.kv_heads,
        "intermediate_size": c.ffn_hidden_size,
        "tie_word_embeddings": c.tied_embeddings,
        "max_position_embeddings": c.context_length,
    }
    moe = {"num_experts_per_tok": c.experts_per_token}
    match c.name.split("-")[0]:
        case "llama2" | "llama3":
            return hf.LlamaConfig(**rope_decoder, head_dim=c.head_dim)
        case "gpt2" | "gpt3" | "megatron" | "gpt":
            return hf.GPT2Config(
                vocab_size=c.vocab_size,
                n_positions=c.learned_positions,
                n_embd=c.hidden_size,
                n_layer=c.layers,
                n_head=c.heads,
            )
        case "bert":
            keys = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
            return hf.BertConfig(**{key: rope_decoder[key] for key in keys})
        case "t5":
            return hf.T5Config(**_t5(c))
        case "switch":
            return hf.SwitchTransformersConfig(
                **_t5(c),
                num_experts=c.experts,
                num_sparse_encoder_layers=c.encoder_layers // c.moe_every,
                num_sparse_decoder_layers=c.decoder_layers // c.moe_every,
            )
        case "mixtral":
            return hf.MixtralConfig(**rope_decoder, **moe, num_local_experts=c.experts, head_dim=c.head_dim)
        case "olmoe":
            return hf.OlmoeConfig(**rope_decoder, **moe, num_experts=c.experts)
        case "qwen3":
            return hf.Qwen3MoeConfig(
                **rope_decoder,
                **moe,
                head_dim=c.head_dim,
                num_experts=c.experts,
                moe_intermediate_size=c.expert_hidden_size,
            )
        case "deepseek":
            return hf.DeepseekV3Config(
                **rope_decoder,
                **moe,
                n_routed_experts=c.experts,
                n_shared_experts=c.shared_experts,
                moe_intermediate_size=c.expert_hidden_size,
                first_k_dense_replace=c.first_dense_layers,
                q_lora_rank=c.q_lora_rank or None,
                kv_lora_rank=c.kv_lora_rank,
                qk_nope_head_dim=c.qk_nope_head_dim,
                qk_rope_head_dim=c.qk_rope_head_dim,
                v_head_dim=c.v_head_dim,
                n_group=1,
                topk_group=1,
            )
        case "gpt_oss" | "gptoss":
            return hf.GptOssConfig(
                **rope_decoder,
                **moe,
                head_dim=c.head_dim,
                num_local_experts=c.experts,
                sliding_window=c.sliding_window,
            )
    return None


def _t5(c: ModelConfig):
    return {
        "vocab_size": c.vocab_size,
        "d_model": c.hidden_size,
        "d_ff": c.ffn_hidden_size,
        "d_kv": c.head_dim,
        "num_layers": c.encoder_layers,
        "num_decoder_layers": c.decoder_layers,
        "num_heads": c.heads,
    }


def hf_model(config, device: str = "meta"):
    """Build the model that a transformers configuration describes."""
    import torch
    import transformers as hf

    classes = {
        "bert": hf.BertModel,
        "t5": hf.T5ForConditionalGeneration,
        "switch_transformers": hf.SwitchTransformersForConditionalGeneration,
    }
    cls = classes.get(config.model_type)
    with torch.device(device):
        return cls(config) if cls else hf.AutoModelForCausalLM.from_config(config, attn_implementation="eager")


@pytest.fixture(scope="session")
def hugging_face():
    """(shape → transformers configuration, configuration → model)"""
    import torch

    torch.set_num_threads(1)  # tiny matrices gain nothing from threads, and a busy machine loses much
    return hf_config, hf_model


SMALL = {"vocab_size": 96, "hidden_size": 32, "layers": 2, "heads": 4, "context_length": 16}
LLAMA = {"gated_ffn": True, "norm": "rmsnorm"}


@pytest.fixture(scope="session")
def tiny_shapes():
    """One small shape per family: small enough to run for real on a CPU."""
    biased = {"qkv_bias": True, "output_bias": True, "ffn_bias": True}
    moe = {**SMALL, **LLAMA, "experts": 4, "experts_per_token": 2}
    shapes = [
        ModelConfig(name="llama3-tiny", **SMALL, **LLAMA, kv_heads=2, ffn_hidden_size=48),
        ModelConfig(name="llama2-wide-heads", **SMALL, **LLAMA, head_dim=16, ffn_hidden_size=40),
        ModelConfig(name="gpt-tiny", **SMALL, **biased, learned_positions=16, tied_embeddings=True, dropout=True),
        ModelConfig(name="mixtral-tiny", **moe, kv_heads=1, ffn_hidden_size=24),
        ModelConfig(name="olmoe-tiny", **moe, qk_norm="width", ffn_hidden_size=24),
        ModelConfig(name="qwen3-tiny", **moe, qk_norm="head", head_dim=16, kv_heads=2, expert_hidden_size=20),
        ModelConfig(
            name="deepseek-tiny",
            **{**moe, "layers": 3},
            head_dim=12,
            ffn_hidden_size=64,
            expert_hidden_size=24,
            shared_experts=2,
            first_dense_layers=1,
            q_lora_rank=20,
            kv_lora_rank=10,
            qk_nope_head_dim=8,
            qk_rope_head_dim=4,
            v_head_dim=6,
        ),
        ModelConfig(
            name="deepseek-whole-queries",
            **{**moe, "layers": 3},
            head_dim=12,
            ffn_hidden_size=64,
            expert_hidden_size=24,
            shared_experts=2,
            first_dense_layers=1,
            kv_lora_rank=10,
            qk_nope_head_dim=8,
            qk_rope_head_dim=4,
            v_head_dim=6,
        ),
        ModelConfig(
            name="gptoss-tiny",
            **moe,
            **biased,
            router_bias=True,
            attention_sinks=True,
            kv_heads=2,
            ffn_hidden_size=32,
            sliding_window=4,
            sliding_window_every=2,
        ),
    ]
    return {shape.name: shape for shape in shapes}
