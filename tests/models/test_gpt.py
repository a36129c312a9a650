"""The small GPT against Hugging Face's Llama and GPT-2 and against counts that we did not make."""

import pytest
import torch

from course_lib.arithmetic import count_parameters
from course_lib.catalog import gpt_config, model
from course_lib.models import GPT, language_model_loss, tiny_config


def hugging_face_llama(config):
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.hidden_size,
            intermediate_size=config.ffn_hidden_size,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.kv_heads,
            rms_norm_eps=1e-5,
            rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
            tie_word_embeddings=config.tied_embeddings,
            attn_implementation="eager",
        )
    )


NAMES = {
    "attention.w": "self_attn.{}_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w2": "mlp.down_proj",
    "feed_forward.w3": "mlp.up_proj",
}


def theirs(name):
    name = name.replace("tok_embeddings", "model.embed_tokens").replace("output", "lm_head")
    if name == "norm.weight":
        return "model.norm.weight"
    for ours, other in NAMES.items():
        at = name.find(ours)
        if at >= 0 and ours == "attention.w":
            name = name[:at] + other.format(name[at + len(ours)]) + name[at + len(ours) + 1 :]
            break
        if at >= 0:
            name = name.replace(ours, other)
            break
    return name if name.startswith(("model", "lm_head")) else f"model.{name}"


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
def test_logits_and_gradients_equal_hugging_faces_llama(kv_heads):
    """Oracle: transformers' LlamaForCausalLM with the same weights."""
    config = tiny_config(layers=2, kv_heads=kv_heads)
    ours, peer = GPT(config, seed=3), hugging_face_llama(config)
    state = {theirs(name): value for name, value in ours.state_dict().items()}
    peer.load_state_dict(state, strict=True)
    tokens = torch.randint(0, 64, (2, 17), generator=torch.Generator().manual_seed(0))
    logits, expected = ours(tokens), peer(tokens).logits
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-6)
    language_model_loss(logits[:, :-1], tokens[:, 1:]).backward()
    peer(tokens, labels=tokens).loss.backward()
    gradients = dict(peer.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[theirs(name)].grad, rtol=1e-4, atol=1e-7)


def test_the_gelu_variant_equals_hugging_faces_gpt2():
    """Oracle: transformers' GPT2LMHeadModel with the same weights (its projections are stored transposed and fused)."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = gpt_config(hidden_size=32, layers=2, heads=4, vocab_size=50, context_length=16)
    ours = GPT(config, seed=1)
    peer = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=50, n_positions=16)).eval()
    mine = ours.state_dict()
    state = {
        "transformer.wte.weight": mine["tok_embeddings.weight"],
        "transformer.wpe.weight": mine["pos_embeddings.weight"],
    }
    for i in range(2):
        a, b = f"layers.{i}.", f"transformer.h.{i}."
        for kind in ("weight", "bias"):
            qkv = torch.cat([mine[f"{a}attention.w{x}.{kind}"] for x in "qkv"])
            state[f"{b}attn.c_attn.{kind}"] = qkv.T if kind == "weight" else qkv
            for source, target in (
                ("attention.wo", "attn.c_proj"),
                ("feed_forward.w1", "mlp.c_fc"),
                ("feed_forward.w2", "mlp.c_proj"),
            ):
                value = mine[f"{a}{source}.{kind}"]
                state[f"{b}{target}.{kind}"] = value.T if kind == "weight" else value
            state[f"{b}ln_1.{kind}"], state[f"{b}ln_2.{kind}"] = (
                mine[f"{a}attention_norm.{kind}"],
                mine[f"{a}ffn_norm.{kind}"],
            )
            state[f"transformer.ln_f.{kind}"] = mine[f"norm.{kind}"]
    missing = peer.load_state_dict(state, strict=False)
    assert missing.missing_keys == ["lm_head.weight"]  # tied to wte
    assert not missing.unexpected_keys
    tokens = torch.arange(16)[None] % 50
    torch.testing.assert_close(ours(tokens), peer(tokens).logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["llama2-7b", "llama3-8b", "gpt2-xl", "gpt3-175b"])
def test_parameters_of_known_models_equal_the_published_count(name):
    """Oracle: the exact count that the catalog's tests hold against the model cards; built without storage here."""
    with torch.device("meta"):
        built = GPT(model(name))
    assert sum(p.numel() for p in built.parameters()) == count_parameters(name).total


@pytest.mark.parametrize("name", ["mixtral-8x7b", "deepseek-v3", "bert-base", "t5-base"])
def test_a_shape_that_it_cannot_build_is_refused_by_field(name):
    with pytest.raises(ValueError, match=f"GPT can't build {name}: it has .*Remedy"):
        GPT(model(name))


def test_initial_weights_depend_on_the_seed_alone():
    first, again, other = GPT(tiny_config(), seed=1), GPT(tiny_config(), seed=1), GPT(tiny_config(), seed=2)
    torch.manual_seed(99)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.output.weight, other.output.weight)


def test_positions_let_a_rank_hold_the_second_half_of_a_sequence():
    """Oracle: a shift of all positions changes nothing with rotary embedding (arXiv:2104.09864 section 3.4.1)."""
    built = GPT(tiny_config(layers=1), seed=0)
    tokens = torch.arange(8)[None]
    torch.testing.assert_close(built(tokens), built(tokens, torch.arange(100, 108)), rtol=1e-4, atol=1e-5)
