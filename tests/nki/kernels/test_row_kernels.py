"""Oracle: torch's softmax, rms_norm and layer_norm, and RoPE as a product of complex numbers, in float32 on the CPU."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from course_lib.nki import simulate
from course_lib.nki.kernels import layernorm, rmsnorm, rope, softmax

TARGETS = pytest.mark.parametrize("target", ["gen2", "gen3", "gen4"])
FORMATS = st.sampled_from([torch.float32, torch.bfloat16])
ROWS = st.sampled_from([1, 2, 127, 128, 129, 260])
COLUMNS = st.sampled_from([1, 2, 7, 127, 128, 129, 511, 512, 513, 1025])


def close(found, expected, dtype):
    assert found.dtype == dtype
    tolerance = 2**-7 if dtype == torch.bfloat16 else 2e-5
    torch.testing.assert_close(found.float(), expected.float(), rtol=tolerance, atol=tolerance / 2)


@TARGETS
@settings(max_examples=8, deadline=None)
@given(rows=ROWS, columns=COLUMNS, dtype=FORMATS, size=st.sampled_from([1.0, 100.0]))
def test_softmax_is_torch_softmax(target, rows, columns, dtype, size):
    torch.manual_seed(0)
    x = (size * torch.randn(rows, columns)).to(dtype)
    found = simulate(softmax, target=target, uninitialised="error")(x)
    close(found, torch.softmax(x.float(), dim=-1), dtype)


@TARGETS
@settings(max_examples=8, deadline=None)
@given(rows=ROWS, columns=COLUMNS, dtype=FORMATS)
@example(rows=129, columns=513, dtype=torch.bfloat16)
def test_rmsnorm_is_torch_rms_norm(target, rows, columns, dtype):
    torch.manual_seed(0)
    x, weight = torch.randn(rows, columns).to(dtype), torch.randn(columns).to(dtype)
    found = simulate(rmsnorm, target=target, uninitialised="error")(x, weight, 1e-5)
    close(found, torch.nn.functional.rms_norm(x.float(), (columns,), weight.float(), 1e-5), dtype)


@TARGETS
@settings(max_examples=8, deadline=None)
@given(rows=ROWS, columns=COLUMNS, dtype=FORMATS)
@example(rows=129, columns=513, dtype=torch.float32)
def test_layernorm_is_torch_layer_norm(target, rows, columns, dtype):
    torch.manual_seed(0)
    # An epsilon that keeps two nearly equal columns from magnifying the rounding of their mean.
    x = (3 + torch.randn(rows, columns)).to(dtype)
    weight, bias = torch.randn(columns).to(dtype), torch.randn(columns).to(dtype)
    found = simulate(layernorm, target=target, uninitialised="error")(x, weight, bias, 0.1)
    expected = torch.nn.functional.layer_norm(x.float(), (columns,), weight.float(), bias.float(), 0.1)
    close(found, expected, dtype)


@TARGETS
@settings(max_examples=8, deadline=None)
@given(heads=st.integers(1, 3), positions=ROWS, half=st.sampled_from([1, 16, 32, 64]), dtype=FORMATS)
def test_rope_turns_pairs_like_complex_numbers(target, heads, positions, half, dtype):
    torch.manual_seed(0)
    x = torch.randn(heads, positions, 2 * half).to(dtype)
    angles = torch.outer(torch.arange(positions).float(), 10000.0 ** (-torch.arange(half) / half))
    found = simulate(rope, target=target, uninitialised="error")(x, angles.cos(), angles.sin())
    turned = torch.complex(x[..., :half].float(), x[..., half:].float()) * torch.polar(torch.ones(()), angles)
    close(found, torch.cat([turned.real, turned.imag], dim=-1), dtype)


def test_rope_at_position_0_changes_nothing():
    torch.manual_seed(0)
    x = torch.randn(2, 1, 8)
    assert torch.equal(simulate(rope)(x, torch.ones(1, 4), torch.zeros(1, 4)), x)
