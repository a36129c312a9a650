"""Oracle: NumPy's reductions in float64, rounded to the tile's format."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.nki import NkiValidationError, simulate
from course_lib.nki import language as nl

RNG = np.random.default_rng(5)
CUBE = RNG.standard_normal((96, 6, 8)).astype(np.float32)


def on_device(function, values, **options):
    def kernel(tensor):
        result = function(nl.load(tensor))
        out = nl.ndarray(result.shape, result.dtype, buffer=nl.shared_hbm)
        nl.store(out, result)
        return out

    return simulate(kernel, **options)(values)


@pytest.mark.parametrize("target", ["trn1", "trn2", "trn3"])
@pytest.mark.parametrize("name", ["sum", "max", "min", "mean", "prod"])
@pytest.mark.parametrize("axis", [2, -1, (1, 2), [1, 2]])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions_run_over_the_last_dimensions(name, axis, keepdims, target):
    got = on_device(lambda x: getattr(nl, name)(x, axis, keepdims=keepdims), CUBE, target=target)
    places = tuple(axis) if isinstance(axis, list) else axis
    expected = getattr(np, name)(CUBE.astype(np.float64), axis=places, keepdims=keepdims)
    if expected.ndim == 1:
        expected = expected[:, None]  # on chip there is always a free dimension
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("axis", [2, (1, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_var_always_keeps_its_dimensions(axis, keepdims):
    got = on_device(lambda x: nl.var(x, axis, keepdims=keepdims), CUBE)
    np.testing.assert_allclose(got, CUBE.astype(np.float64).var(axis=axis, keepdims=True), rtol=1e-5)


def test_var_does_not_cancel_far_from_zero():
    values = (CUBE.reshape(96, 48) + np.float32(1000)).astype(np.float32)
    expected = values.astype(np.float64).var(axis=1, keepdims=True)
    np.testing.assert_allclose(on_device(lambda x: nl.var(x, 1), values), expected, rtol=1e-3)


def test_all_is_one_where_nothing_is_zero():
    flags = RNG.integers(0, 4, (64, 3)).astype(np.float32)
    np.testing.assert_array_equal(on_device(lambda x: nl.all(x, 1), flags), flags.all(axis=1, keepdims=True))


@given(st.integers(1, 128), st.integers(1, 70), st.sampled_from(["sum", "max", "min", "mean"]))
@settings(max_examples=20, deadline=None)
def test_ragged_tiles_reduce_too(rows, columns, name):
    values = RNG.standard_normal((rows, columns)).astype(np.float32)
    expected = getattr(np, name)(values.astype(np.float64), axis=1, keepdims=True)
    np.testing.assert_allclose(on_device(lambda x: getattr(nl, name)(x, 1), values), expected, rtol=1e-4, atol=1e-5)


def test_a_bfloat16_sum_adds_in_float32_and_rounds_once():
    values = RNG.random((8, 512)).astype(ml_dtypes.bfloat16)
    expected = values.astype(np.float32).sum(axis=1, keepdims=True).astype(ml_dtypes.bfloat16)
    got = on_device(lambda x: nl.sum(x, 1), values)
    assert got.dtype == ml_dtypes.bfloat16
    np.testing.assert_allclose(got.astype(np.float32), expected.astype(np.float32), rtol=1 / 256)
    assert on_device(lambda x: nl.sum(x, 1, dtype=nl.float32), values).dtype == np.float32


@pytest.mark.parametrize("axis", [0, (0, 1), 1, (0, 1, 2), 3, ()])
def test_other_axes_are_refused(axis):
    with pytest.raises(NkiValidationError, match=r"nl\.sum: axis="):
        on_device(lambda x: nl.sum(x, axis), CUBE)
