"""Oracle: torch's topk and softmax on the CPU."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from course_lib.nki import simulate
from course_lib.nki.kernels import topk_router


@pytest.mark.parametrize("target", ["gen2", "gen3", "gen4"])
@settings(max_examples=10, deadline=None)
@given(
    tokens=st.sampled_from([1, 127, 129]),
    experts=st.sampled_from([1, 2, 7, 8, 9, 64, 129, 513]),
    wanted=st.integers(1, 20),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
@example(tokens=129, experts=12, wanted=12, dtype=torch.float32)
def test_router_is_topk_then_softmax(target, tokens, experts, wanted, dtype):
    torch.manual_seed(0)
    k = min(wanted, experts)
    scores = torch.randn(tokens, experts).to(dtype)
    weights, chosen = simulate(topk_router, target=target, uninitialised="error")(scores, k)
    best = torch.topk(scores.float(), k, dim=-1).values
    torch.testing.assert_close(weights, torch.softmax(best, dim=-1), rtol=1e-5, atol=1e-6)
    numbers = chosen.to(torch.int64)
    # Equal scores (frequent in bfloat16) may come in any order, but each expert once and with its own score.
    assert torch.equal(scores.float().gather(1, numbers), best)
    assert all(len(set(row)) == k for row in numbers.tolist())
