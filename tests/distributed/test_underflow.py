"""fp16's range against gradients. Oracle: NumPy's float16, element by element."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from course_lib.distributed import TrainingSetupError
from course_lib.distributed.underflow import gradient_ranges, loss_scale


def by_numpy(values, scale):
    with np.errstate(over="ignore"):
        held = np.abs(values.astype(np.float64) * scale).astype(np.float16)
    tiny = np.finfo(np.float16).smallest_normal
    return (
        np.mean(values == 0),
        np.mean((held == 0) & (values != 0)),
        np.mean((held > 0) & (held < tiny)),
        np.mean(~np.isfinite(held)),
    )


@settings(max_examples=50)
@given(
    exponents=st.lists(st.integers(-40, 25), min_size=1, max_size=30),
    scale=st.sampled_from([1.0, 0.5, 1024.0, 2.0**16]),
    zeros=st.integers(0, 3),
    broken=st.sampled_from([[], [np.inf], [np.nan]]),
)
def test_shares_are_those_of_numpys_float16(exponents, scale, zeros, broken):
    """Oracle: numpy.float16."""
    values = np.array([1.37 * 2.0**e for e in exponents] + [0.0] * zeros + broken, np.float32)
    [row] = gradient_ranges([("w", torch.from_numpy(values))], scale=scale)
    found = (row.zeros, row.flushed, row.subnormal, row.overflowing)
    assert found == pytest.approx(by_numpy(values, scale))
    assert row.max_abs == (np.inf if broken else np.abs(values).max())


def test_a_model_gives_one_row_per_gradient_and_unused_rows_count_as_zeros():
    """Oracle: an embedding of which two of eight rows are used."""
    model = nn.ModuleDict({"table": nn.Embedding(8, 2), "unused": nn.Linear(2, 2)})
    model["table"](torch.tensor([1, 3])).sum().backward()
    [row] = gradient_ranges(model)
    assert (row.name, row.elements, row.zeros) == ("table.weight", 16, 0.75)
    assert gradient_ranges([("none", torch.zeros(0))])[0].elements == 0


def test_bfloat16_flushes_nothing_that_float32_holds():
    """Oracle: the format: 8 bits of exponent."""
    gradient = torch.tensor([1e-30, 1e-7, 1e30])
    half, brain = (gradient_ranges([("w", gradient)], dtype=d)[0] for d in (torch.float16, torch.bfloat16))
    assert (half.flushed, half.subnormal, half.overflowing) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert (brain.flushed, brain.subnormal, brain.overflowing) == (0, 0, 0)
    assert loss_scale([("w", gradient)], dtype=torch.bfloat16) == 1.0


@given(largest=st.floats(1e-12, 1e4), headroom=st.sampled_from([1.0, 2.0, 8.0]))
def test_the_recommended_scale_is_the_largest_power_of_two_that_leaves_headroom(largest, headroom):
    """Oracle: numpy.float16: the scale does not overflow, its double does not leave the headroom."""
    gradient = torch.tensor([largest, largest / 3, 0.0])
    scale = loss_scale([("w", gradient)], headroom=headroom)
    exact = float(gradient[0])
    assert np.log2(scale) == int(np.log2(scale))
    assert exact * scale * headroom <= 65504 < exact * 2 * scale * headroom
    assert gradient_ranges([("w", gradient)], scale=scale)[0].overflowing == 0


def test_the_recommended_scale_saves_gradients_that_fp16_would_flush():
    """Oracle: shares before and after."""
    gradient = torch.logspace(-9, -5, 400)
    before, after = (gradient_ranges([("w", gradient)], scale=s)[0] for s in (1.0, loss_scale([("w", gradient)])))
    assert before.flushed > 0.3
    assert (after.flushed, after.subnormal, after.overflowing) == (0, 0, 0)


def test_zeros_infinities_and_bad_settings():
    """Oracle: by hand."""
    assert loss_scale([("w", torch.zeros(3))]) == 1.0
    assert loss_scale([]) == 1.0
    assert loss_scale([("w", torch.tensor([1.0, float("inf"), float("nan")]))], headroom=1) == 2.0**15
    for bad in (lambda: loss_scale([], headroom=0), lambda: gradient_ranges([], scale=-1.0)):
        with pytest.raises(TrainingSetupError, match=r"headroom=0|scale=-1\.0"):
            bad()
