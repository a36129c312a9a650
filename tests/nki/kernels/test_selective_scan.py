"""Oracle: the recurrence of Mamba's paper written as a loop over positions in torch, float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from course_lib.nki import simulate
from course_lib.nki.kernels import selective_scan


def recurrence(x, delta, decay, b, c):
    x, delta, decay, b, c = (tensor.double() for tensor in (x, delta, decay, b, c))
    h = torch.zeros_like(decay)  # (channels, states)
    rows = []
    for t in range(x.shape[1]):
        step = delta[:, t, None]
        h = torch.exp(step * decay) * h + step * b[:, t] * x[:, t, None]
        rows.append(h @ c[:, t])
    return torch.stack(rows, dim=1)


@pytest.mark.parametrize("target", ["gen2", "gen3", "gen4"])
@settings(max_examples=5, deadline=None)
@given(
    channels=st.sampled_from([1, 127, 129]),
    positions=st.sampled_from([1, 2, 33, 127]),
    states=st.sampled_from([1, 4]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
@example(channels=130, positions=515, states=2, dtype=torch.float32)
def test_selective_scan_is_the_recurrence(target, channels, positions, states, dtype):
    torch.manual_seed(0)
    x, delta = torch.randn(channels, positions).to(dtype), torch.rand(channels, positions).to(dtype)
    decay = -torch.rand(channels, states) * 4
    b, c = torch.randn(states, positions).to(dtype), torch.randn(states, positions).to(dtype)
    found = simulate(selective_scan, target=target, uninitialised="error")(x, delta, decay, b, c)
    tolerance = 2**-7 if dtype == torch.bfloat16 else 1e-4
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), recurrence(x, delta, decay, b, c), rtol=tolerance, atol=tolerance)
