"""Oracle: torch's silu times a tensor and its autograd, in float64 on the CPU; bytes counted by hand from the loops."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from course_lib.nki import profile, simulate
from course_lib.nki.custom_op import as_custom_op
from course_lib.nki.kernels import swiglu, swiglu_backward

TARGETS = pytest.mark.parametrize("target", ["gen2", "gen3", "gen4"])
FORMATS = st.sampled_from([torch.float32, torch.bfloat16])
ROWS = st.sampled_from([1, 2, 127, 128, 129, 260])
COLUMNS = st.sampled_from([1, 7, 512, 1023, 1024, 1025, 2047, 2048, 2049, 3100])
SIZE = st.sampled_from([1.0, 30.0])


def sample(rows, columns, dtype, size, count):
    torch.manual_seed(0)
    return [(size * torch.randn(rows, columns)).to(dtype) for _ in range(count)]


def exact(gate, up):
    return torch.nn.functional.silu(gate) * up


def close(found, expected, dtype):
    assert found.dtype == dtype
    # One rounding of the result; float32 also rounds silu and the products before it.
    tolerance = 2**-8 if dtype == torch.bfloat16 else 2e-6
    torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=1e-4)


@TARGETS
@settings(max_examples=6, deadline=None)
@given(rows=ROWS, columns=COLUMNS, dtype=FORMATS, size=SIZE)
@example(rows=129, columns=2049, dtype=torch.bfloat16, size=1.0)
def test_swiglu_is_torch_silu_times_up(target, rows, columns, dtype, size):
    gate, up = sample(rows, columns, dtype, size, 2)
    found = simulate(swiglu, target=target, uninitialised="error")(gate, up)
    close(found, exact(gate.double(), up.double()), dtype)


@TARGETS
@settings(max_examples=6, deadline=None)
@given(rows=ROWS, columns=COLUMNS, dtype=FORMATS, size=SIZE)
@example(rows=129, columns=2049, dtype=torch.bfloat16, size=1.0)
def test_swiglu_backward_is_torch_autograd(target, rows, columns, dtype, size):
    gate, up, d_out = sample(rows, columns, dtype, size, 3)
    found = simulate(swiglu_backward, target=target, uninitialised="error")(gate, up, d_out)
    leaves = [gate.double().requires_grad_(), up.double().requires_grad_()]
    expected = torch.autograd.grad(exact(*leaves), leaves, d_out.double())
    for ours, theirs in zip(found, expected, strict=True):
        close(ours, theirs, dtype)


def test_far_from_zero_nothing_overflows():
    gate = torch.tensor([[-200.0, -90.0, 90.0, 200.0]])
    ones = torch.ones_like(gate)
    assert torch.equal(simulate(swiglu)(gate, ones), torch.tensor([[0.0, 0.0, 90.0, 200.0]]))
    assert torch.equal(simulate(swiglu_backward)(gate, ones, ones)[0], torch.tensor([[0.0, 0.0, 1.0, 1.0]]))


@pytest.mark.parametrize(("kernel", "inputs", "results"), [(swiglu, 2, 1), (swiglu_backward, 3, 2)])
def test_each_matrix_crosses_hbm_once_and_the_transfers_decide_the_time(kernel, inputs, results):
    matrix = torch.zeros(512, 8192, dtype=torch.bfloat16)
    made = profile(kernel, execute=False, target="gen3")(*[matrix] * inputs)
    assert made.hbm_read_bytes == inputs * matrix.nbytes
    assert made.hbm_written_bytes == results * matrix.nbytes
    assert made.engines["dma"].busy > 0.95
    assert made.psum_peak_bytes <= 8192  # leaves the other half to the next part


gradient = as_custom_op(
    swiglu_backward,
    "course_tests::swiglu_backward",
    lambda gate, up, d_out: (torch.empty_like(gate), torch.empty_like(up)),
    target="gen3",
)
operator = as_custom_op(
    swiglu,
    "course_tests::swiglu",
    lambda gate, up: torch.empty_like(gate),
    lambda inputs, outputs, gradients: gradient(*inputs, *gradients),
    target="gen3",
)


def test_the_operator_passes_opcheck_and_gradcheck():
    torch.manual_seed(0)
    inputs = tuple(torch.randn(3, 5, requires_grad=True) for _ in range(2))
    torch.library.opcheck(operator, inputs)
    # The simulator holds no float64, hence the wide step and the wide tolerance.
    with pytest.warns(UserWarning, match="double precision"):
        assert torch.autograd.gradcheck(operator, inputs, eps=1e-2, atol=1e-3, rtol=1e-3)
