"""Oracle: the tensor engine's published bfloat16 peak, 79 TFLOP/s on NeuronCore-v3, and bytes counted by hand."""

from __future__ import annotations

import functools

import ml_dtypes
import numpy as np
import pytest

from course_lib.nki.kernels import matmul, matmul_blocked, matmul_blocked_free, matmul_hoisted, matmul_tiled
from course_lib.nki.profile import profile

PEAK_FLOPS_PER_S = 79e12


@functools.cache
def modelled(kernel, size):
    square = np.empty((size, size), dtype=ml_dtypes.bfloat16)
    return profile(kernel, target="gen3", execute=False)(square, square)


def test_stage_5_takes_a_fifth_of_stage_1s_time_or_less_at_4096():
    assert modelled(matmul_tiled, 4096).seconds >= 5 * modelled(matmul, 4096).seconds


def test_stage_5_reaches_85_percent_of_the_tensor_engines_peak_at_4096():
    assert 2 * 4096**3 / modelled(matmul, 4096).seconds >= 0.85 * PEAK_FLOPS_PER_S


def test_stage_5_leaves_room_in_sbuf_for_the_next_block_to_arrive():
    # The model lets transfers run ahead as if each tile had memory of its own; that is honest while two of all fit.
    assert 2 * modelled(matmul, 4096).sbuf_peak_bytes <= 192 * 1024


def test_every_stage_is_faster_than_the_one_before():
    stages = (matmul_tiled, matmul_hoisted, matmul_blocked_free, matmul_blocked, matmul)
    seconds = [modelled(stage, 2048).seconds for stage in stages]
    assert seconds == sorted(seconds, reverse=True)
    assert len(set(seconds)) == 5


@pytest.mark.parametrize(
    ("kernel", "loads_of_lhs", "loads_of_rhs"),
    [(matmul_tiled, 4, 16), (matmul_hoisted, 1, 16), (matmul_blocked_free, 2, 4), (matmul, 2, 1)],
)
def test_bytes_over_hbm_follow_from_the_loops(kernel, loads_of_lhs, loads_of_rhs):
    # 4 tiles of 512 columns or 2 blocks of 1024 reload lhs; 16 tiles of 128 rows or 4 blocks of 512 reload rhs.
    matrix_bytes = 2048 * 2048 * 2
    assert modelled(kernel, 2048).hbm_bytes == (loads_of_lhs + loads_of_rhs + 1) * matrix_bytes
