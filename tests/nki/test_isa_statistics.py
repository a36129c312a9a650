"""Oracle: NumPy's mean and variance of the even and the odd elements, and of all of them, in float64."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import course_lib.nki.isa as nisa
import course_lib.nki.language as nl
from course_lib.nki import NkiValidationError

from .on_tiles import normal, run


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, np.float16, np.int8])
@pytest.mark.parametrize("count", [2, 7, 512])
def test_bn_stats_counts_even_and_odd_elements_apart(dtype, count):
    x = (3 * normal(5, count) + 1).astype(dtype)
    found = run(lambda dst, t: nisa.bn_stats(dst, t), x, shape=(5, 6), psum=(0,))
    wide = x.astype(np.float64)
    parts = []
    for half in (wide[:, 0::2], wide[:, 1::2]):
        counts = np.full(5, half.shape[1])
        parts += [counts, half.mean(axis=1), half.var(axis=1) * half.shape[1]]
    np.testing.assert_allclose(found, np.stack(parts, axis=1), rtol=1e-4, atol=1e-5)


def test_a_single_element_has_no_odd_part():
    found = run(lambda dst, t: nisa.bn_stats(dst, t), np.full((2, 1), 7.0, np.float32), shape=(2, 6))
    assert found.tolist() == [[1, 7, 0, 0, 0, 0]] * 2


@settings(max_examples=20, deadline=None)
@given(widths=st.lists(st.integers(1, 512), min_size=1, max_size=4), scale=st.floats(0.1, 100))
def test_bn_aggr_of_several_tiles_is_the_mean_and_variance_of_all(widths, scale):
    x = (scale * normal(3, sum(widths)) + scale).astype(np.float32)

    def body(dst, t):
        stats, start = nl.ndarray((3, 6 * len(widths)), nl.float32), 0
        for place, width in enumerate(widths):
            nisa.bn_stats(stats[:, 6 * place : 6 * place + 6], t[:, start : start + width])
            start += width
        nisa.bn_aggr(dst, stats)

    found = run(body, x, shape=(3, 2))
    wide = x.astype(np.float64)
    np.testing.assert_allclose(found[:, 0], wide.mean(axis=1), rtol=1e-4, atol=1e-4 * scale)
    np.testing.assert_allclose(found[:, 1], wide.var(axis=1), rtol=1e-4, atol=1e-4 * scale)


@pytest.mark.parametrize(
    ("body", "columns", "shape", "message"),
    [
        (nisa.bn_stats, 513, (3, 6), "512"),
        (nisa.bn_stats, 8, (3, 5), r"\(3, 6\)"),
        (nisa.bn_stats, 8, (2, 6), r"\(3, 6\)"),
        (nisa.bn_aggr, 8, (3, 2), "multiple of 3"),
        (nisa.bn_aggr, 6, (3, 6), r"\(3, 2\)"),
    ],
)
def test_statistics_refuse(body, columns, shape, message):
    with pytest.raises(NkiValidationError, match=message):
        run(lambda dst, t: body(dst, t), normal(3, columns), shape=shape)
