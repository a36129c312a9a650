"""Oracle: torch's scaled_dot_product_attention (with its own gradients) on the CPU, in float32 of the same inputs."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from course_lib.nki import simulate
from course_lib.nki.kernels import flash_attention, flash_attention_backward

TARGETS = pytest.mark.parametrize("target", ["gen2", "gen3", "gen4"])
LENGTHS = st.sampled_from([1, 2, 127, 128, 129, 300, 513])
FORMATS = st.sampled_from([torch.float32, torch.bfloat16])


def inputs(heads, kv_heads, queries, keys, d_head, dtype):
    torch.manual_seed(0)
    shapes = [(heads, queries), (kv_heads, keys), (kv_heads, keys)]
    return [torch.randn(*shape, d_head).to(dtype) for shape in shapes]


def reference(query, key, value, scale, causal):
    return scaled_dot_product_attention(
        query.float()[None], key.float()[None], value.float()[None], is_causal=causal, scale=scale, enable_gqa=True
    )[0]


def check(target, tensors, causal):
    query = tensors[0]
    scale = query.shape[-1] ** -0.5
    found, log_sum = simulate(flash_attention, target=target, uninitialised="error")(*tensors, scale, causal)
    tolerance = 2**-6 if query.dtype == torch.bfloat16 else 2e-5
    assert found.dtype == query.dtype
    torch.testing.assert_close(found.float(), reference(*tensors, scale, causal), rtol=tolerance, atol=tolerance)
    return log_sum


@TARGETS
@settings(max_examples=6, deadline=None)
@given(queries=LENGTHS, keys=LENGTHS, d_head=st.sampled_from([1, 32, 64, 128]), causal=st.booleans(), dtype=FORMATS)
@example(queries=129, keys=513, d_head=64, causal=True, dtype=torch.bfloat16)
@example(queries=300, keys=129, d_head=64, causal=True, dtype=torch.float32)
def test_forward_is_torch_attention(target, queries, keys, d_head, causal, dtype):
    check(target, inputs(1, 1, queries, keys, d_head, dtype), causal)


@pytest.mark.parametrize("causal", [False, True])
def test_forward_far_beyond_one_block_of_keys(causal):
    check("gen3", inputs(1, 1, 200 if not causal else 2300, 2300, 64, torch.float32), causal)


def test_query_heads_share_keys_in_groups():
    check("gen3", inputs(4, 2, 130, 130, 16, torch.float32), True)


def test_log_sum_is_torch_logsumexp_of_the_scores():
    tensors = inputs(1, 1, 130, 1100, 32, torch.float32)
    log_sum = check("gen3", tensors, False)
    scores = tensors[0] @ tensors[1].transpose(1, 2) * 32**-0.5
    torch.testing.assert_close(log_sum, scores.logsumexp(dim=-1, keepdim=True), rtol=1e-5, atol=1e-5)


def test_large_scores_do_not_overflow():
    query, key, value = inputs(1, 1, 64, 1100, 32, torch.float32)
    check("gen3", [query * 100, key * 100, value], True)


@settings(max_examples=6, deadline=None)
@given(
    target=st.sampled_from(["gen2", "gen3", "gen4"]),
    queries=st.sampled_from([1, 127, 129, 260]),
    keys=st.sampled_from([1, 127, 129, 260]),
    causal=st.booleans(),
    dtype=FORMATS,
)
@example(target="gen3", queries=129, keys=260, causal=True, dtype=torch.float32)
def test_backward_is_torch_autograd(target, queries, keys, causal, dtype):
    torch.manual_seed(0)
    heads, kv_heads, d_head = 2, 1, 32
    tensors = inputs(heads, kv_heads, queries, keys, d_head, dtype)
    scale = d_head**-0.5
    d_out = torch.randn(heads, queries, d_head).to(dtype)
    options = {"target": target, "uninitialised": "error"}
    out, log_sum = simulate(flash_attention, **options)(*tensors, scale, causal)
    found = simulate(flash_attention_backward, **options)(*tensors, out, log_sum, d_out, scale, causal)

    leaves = [tensor.float().requires_grad_() for tensor in tensors]
    expected = torch.autograd.grad(reference(*leaves, scale, causal), leaves, d_out.float())
    tolerance = 2**-4 if dtype == torch.bfloat16 else 1e-4
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == dtype
        torch.testing.assert_close(ours.float(), theirs, rtol=tolerance, atol=tolerance)
