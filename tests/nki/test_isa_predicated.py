"""Oracle: numpy.where over the stored values."""

import ml_dtypes
import numpy as np
import pytest

import course_lib.nki.isa as nisa
import course_lib.nki.language as nl
from course_lib.nki import NkiValidationError

from .on_tiles import normal, run

X, Y = normal(6, 20), normal(6, 20, seed=1)
MASK = np.random.default_rng(2).integers(0, 3, (6, 20))


def merge(x, y, mask, reverse=False, psum=()):
    """y over x where mask says so."""

    def body(dst, old, new, chosen):
        nisa.tensor_copy(dst, old)
        nisa.tensor_copy_predicated(dst, new, chosen, reverse_pred=reverse)

    return run(body, x, y, mask, dtype=nl.float32 if x.dtype == np.float32 else x.dtype, psum=psum)


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3, np.int32])
@pytest.mark.parametrize("mask", [np.uint8, np.uint16, np.uint32])
@pytest.mark.parametrize("reverse", [False, True])
def test_elements_change_where_the_predicate_is_not_zero(dtype, mask, reverse):
    x, y = (5 * X).astype(dtype), (5 * Y).astype(dtype)
    found = merge(x, y, MASK.astype(mask), reverse)
    expected = np.where((MASK != 0) ^ reverse, y, x)
    np.testing.assert_array_equal(found.astype(np.float32), expected.astype(np.float32))


@pytest.mark.parametrize("psum", [(1,), (2,)])
def test_source_or_predicate_may_be_in_psum(psum):
    np.testing.assert_array_equal(merge(X, Y, MASK.astype(np.uint32), psum=psum), np.where(MASK, Y, X))


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, np.int8])
def test_a_number_may_be_the_source(dtype):
    def body(dst, x, mask):
        nisa.tensor_copy(dst, x)
        nisa.tensor_copy_predicated(dst, -3.0, mask)

    x = (5 * X).astype(dtype)
    found = run(body, x, MASK.astype(np.uint8), dtype=x.dtype)
    expected = np.where(MASK != 0, np.array(-3.0).astype(dtype), x)
    np.testing.assert_array_equal(found.astype(np.float32), expected.astype(np.float32))


def test_a_nan_that_is_not_chosen_does_not_spread():
    x = np.where(MASK == 0, X, np.nan).astype(np.float32)
    assert not np.isnan(merge(x, Y, MASK.astype(np.uint8))).any()


@pytest.mark.parametrize(
    ("source", "mask", "psum", "message"),
    [
        (Y, MASK.astype(np.int32), (), "uint8, uint16, uint32"),
        (Y, MASK.astype(np.float32), (), "nl.uint8"),
        (Y.astype(ml_dtypes.bfloat16), MASK.astype(np.uint8), (), "one format for both"),
        (Y, MASK.astype(np.uint32), (1, 2), "at most one input in PSUM"),
        (Y[:, :8], MASK.astype(np.uint8), (), "same"),
        (Y, MASK[:3].astype(np.uint8), (), "same"),
    ],
)
def test_tensor_copy_predicated_refuses(source, mask, psum, message):
    with pytest.raises(NkiValidationError, match=message):
        merge(X, source, mask, psum=psum)
