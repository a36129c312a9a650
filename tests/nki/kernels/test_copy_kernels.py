"""Oracle: torch's `+`, `.T` and `avg_pool2d` on the CPU, in float32 of the same inputs."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from course_lib.nki import simulate
from course_lib.nki.kernels import average_pool2d, tensor_add, transpose

TARGETS = pytest.mark.parametrize("target", ["gen2", "gen3", "gen4"])
FORMATS = st.sampled_from([torch.float32, torch.bfloat16])
EDGES = st.sampled_from([1, 2, 3, 64, 127, 128, 129, 200, 257])


@TARGETS
@settings(max_examples=8, deadline=None)
@given(rows=EDGES, columns=EDGES, dtype=FORMATS)
@example(rows=129, columns=2049, dtype=torch.bfloat16)
def test_tensor_add_is_torch_add_to_the_bit(target, rows, columns, dtype):
    torch.manual_seed(0)
    a, b = torch.randn(rows, columns).to(dtype), torch.randn(rows, columns).to(dtype)
    assert torch.equal(simulate(tensor_add, target=target, uninitialised="error")(a, b), a + b)


@TARGETS
@settings(max_examples=8, deadline=None)
@given(rows=EDGES, columns=EDGES, dtype=FORMATS)
@example(rows=1030, columns=1027, dtype=torch.float32)
def test_transpose_is_torch_transpose_to_the_bit(target, rows, columns, dtype):
    torch.manual_seed(0)
    x = torch.randn(rows, columns).to(dtype)
    assert torch.equal(simulate(transpose, target=target, uninitialised="error")(x), x.T)


@TARGETS
@settings(max_examples=8, deadline=None)
@given(
    channels=st.sampled_from([1, 3, 127, 129]),
    height=st.integers(5, 23),
    width=st.integers(5, 23),
    window=st.integers(1, 5),
    dtype=FORMATS,
)
def test_average_pool_is_torch_avg_pool2d(target, channels, height, width, window, dtype):
    torch.manual_seed(0)
    x = torch.randn(channels, height, width).to(dtype)
    found = simulate(average_pool2d, target=target, uninitialised="error")(x, window)
    expected = torch.nn.functional.avg_pool2d(x.float(), window)
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), expected, rtol=2**-8 if dtype == torch.bfloat16 else 1e-5, atol=1e-6)


def test_average_pool_splits_images_that_exceed_one_step():
    torch.manual_seed(0)
    x = torch.randn(2, 130, 258)
    found = simulate(average_pool2d, uninitialised="error")(x, 2)
    torch.testing.assert_close(found, torch.nn.functional.avg_pool2d(x, 2), rtol=1e-5, atol=1e-6)
