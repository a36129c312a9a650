"""Oracle: torch's matmul in float64 of the weights multiplied out."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from course_lib.nki import NkiValidationError, simulate
from course_lib.nki.kernels import quantized_matmul

EDGES = st.sampled_from([1, 127, 128, 129, 260])


def check(target, k, tokens, channels, weight):
    torch.manual_seed(0)
    x_t, scale = torch.randn(k, tokens).to(torch.bfloat16), torch.rand(channels) / 50
    found = simulate(quantized_matmul, target=target, uninitialised="error")(x_t, weight, scale)
    expected = (weight.double() * scale.double()).T @ x_t.double()
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), expected, rtol=2**-8, atol=1e-5 * k)


@pytest.mark.parametrize("target", ["gen2", "gen3", "gen4"])
@settings(max_examples=6, deadline=None)
@given(k=EDGES, tokens=EDGES, channels=EDGES)
@example(k=129, tokens=513, channels=129)
def test_int8_weights(target, k, tokens, channels):
    torch.manual_seed(0)
    check(target, k, tokens, channels, torch.randint(-128, 128, (k, channels), dtype=torch.int8))


@pytest.mark.parametrize(
    ("target", "dtype"),
    [("gen2", torch.float8_e5m2), ("gen3", torch.float8_e5m2), ("gen4", torch.float8_e4m3fn)],
)
def test_fp8_weights_go_into_the_tensor_engine_as_they_are(target, dtype):
    torch.manual_seed(0)
    check(target, 129, 65, 129, torch.randn(129, 129).to(dtype))


def test_float8_e4m3fn_is_refused_where_the_tensor_engine_lacks_it():
    torch.manual_seed(0)
    with pytest.raises(NkiValidationError, match="float8_e4m3fn"):
        check("gen3", 16, 16, 16, torch.randn(16, 16).to(torch.float8_e4m3fn))
