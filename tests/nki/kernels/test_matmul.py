"""Oracle: torch's matmul in float64 of the same inputs."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from course_lib.nki import simulate
from course_lib.nki.kernels import matmul, matmul_blocked, matmul_blocked_free, matmul_hoisted, matmul_tiled

STAGES = pytest.mark.parametrize("stage", [matmul_tiled, matmul_hoisted, matmul_blocked_free, matmul_blocked, matmul])
EDGES = st.sampled_from([1, 2, 127, 128, 129, 255, 513])


def check(kernel, target, k, m, n, dtype):
    torch.manual_seed(0)
    lhs_t, rhs = torch.randn(k, m).to(dtype), torch.randn(k, n).to(dtype)
    found = simulate(kernel, target=target, uninitialised="error")(lhs_t, rhs)
    exact = lhs_t.double().T @ rhs.double()
    assert found.dtype == dtype
    assert found.shape == (m, n)
    # Products of bfloat16 are exact in float32; what is left are float32 sums and one rounding of the result.
    torch.testing.assert_close(
        found.double(), exact, rtol=2**-8 if dtype == torch.bfloat16 else 1e-6, atol=1e-6 * k + 1e-6
    )


@STAGES
@settings(max_examples=6, deadline=None)
@given(
    target=st.sampled_from(["gen2", "gen3", "gen4"]),
    k=EDGES,
    m=EDGES,
    n=EDGES,
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
@example(target="gen3", k=129, m=129, n=513, dtype=torch.bfloat16)
def test_every_stage_is_the_same_product(stage, target, k, m, n, dtype):
    check(stage, target, k, m, n, dtype)


@STAGES
def test_every_stage_handles_blocks_and_what_is_left_of_them(stage):
    check(stage, "gen3", k=1024 + 257, m=512 + 129, n=1024 + 3, dtype=torch.bfloat16)


def test_stage_5_reloads_the_right_operand_when_it_exceeds_sbuf():
    check(matmul, "gen2", k=5 * 1024 + 1, m=513, n=100, dtype=torch.float32)
