"""inference_flops and kv_cache_bytes. Oracle: transformers generating with its own cache, counted by torch."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.arithmetic import count_parameters, inference_flops, kv_cache_bytes

PROMPT, GENERATED = 5, 4


@pytest.mark.parametrize("name", ["llama3-tiny", "gpt-tiny", "mixtral-tiny", "qwen3-tiny"])
def test_generation_costs_what_torch_counts_and_caches_what_transformers_caches(name, tiny_shapes, hugging_face):
    """Oracle: FlopCounterMode around a prefill and three cached steps; bytes of the cache's tensors."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    shape = tiny_shapes[name]
    model = hugging_face[1](hugging_face[0](shape), device="cpu").eval()
    if shape.experts:
        model.set_experts_implementation("eager")
    tokens, cache = torch.randint(0, 90, (2, PROMPT)), None
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        for _ in range(GENERATED):
            out = model(tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache, tokens = out.past_key_values, out.logits.argmax(-1)
    rotary = sum(sum(v.values()) for k, v in counter.get_flop_counts().items() if k.endswith("rotary_emb"))
    ours = inference_flops(shape, PROMPT, GENERATED, batch=2)
    assert ours.total_flops == counter.get_total_flops() - rotary
    held = sum(t.nbytes for layer in cache.layers for t in (layer.keys, layer.values))
    assert kv_cache_bytes(shape, PROMPT + GENERATED - 1, batch=2, bytes_per_element=4) == held


@pytest.mark.parametrize(("name", "published_kb"), [("deepseek-v3", 70.272), ("llama3-405b", 516.096)])
def test_cache_per_token_is_what_deepseek_prints(name, published_kb):
    """Oracle: "Insights into DeepSeek-V3", arXiv:2505.09343, Table 1 (bf16, KB of 1000 bytes per token)."""
    assert kv_cache_bytes(name, 1) / 1e3 == published_kb


@pytest.mark.parametrize(("prompt", "generated"), [(3, 9), (50, 4), (127, 6), (128, 2), (300, 40)])
def test_decoding_looks_at_each_cached_key_once_and_a_window_no_further(prompt, generated):
    """Oracle: counting keys step by step in a loop, for gpt-oss's windows of 128 in half of its 24 layers."""
    keys = 0
    for step in range(1, generated):
        context = prompt + step
        keys += 12 * context + 12 * min(context, 128)
    ours = inference_flops("gpt-oss-20b", prompt, generated)
    alone = inference_flops("gpt-oss-20b", prompt)
    weights = ours.weight_flops - alone.weight_flops
    assert ours.decode_flops - weights == 2 * keys * 64 * (64 + 64)
    assert kv_cache_bytes("gpt-oss-20b", 300) == 12 * (300 + 128) * 2 * 8 * 64 * 2


def test_a_token_costs_two_flops_per_active_parameter_while_the_context_is_short():
    """Oracle: 2N, tables and norms aside."""
    for name in ("llama3-8b", "mixtral-8x7b", "deepseek-v3"):
        active = count_parameters(name, active_includes_input_embedding=False).active
        assert inference_flops(name, 1, 2).per_generated_token_flops == pytest.approx(2 * active, rel=2e-3)


@given(prompt=st.integers(1, 10_000), generated=st.integers(0, 500), batch=st.integers(1, 64))
def test_parts_add_up_and_requests_do_not_interfere(prompt, generated, batch):
    """Oracle: addition, and proportionality to the batch."""
    one = inference_flops("llama3-8b", prompt, generated)
    many = inference_flops("llama3-8b", prompt, generated, batch=batch)
    assert many.total_flops == batch * one.total_flops
    assert one.total_flops == one.prefill_flops + one.decode_flops == one.weight_flops + one.attention_flops
    assert kv_cache_bytes("llama3-8b", prompt, batch=batch) == batch * kv_cache_bytes("llama3-8b", prompt)
    assert inference_flops("llama3-8b", prompt, attention="causal").total_flops <= one.total_flops


def test_an_encoder_and_an_empty_decoder_keep_no_cache():
    """Oracle: BERT generates nothing; a decoder that has read nothing has cached nothing."""
    assert kv_cache_bytes("gpt2", 0) == 0
    assert kv_cache_bytes("bert-large", 512) == 0
