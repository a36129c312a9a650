"""Oracle: NumPy's matmul of the same FP8 values, whose products of a few rows are exact in float32."""

import ml_dtypes
import numpy as np
import pytest

from course_lib.nki import NkiValidationError, simulate
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl

GENERATOR = np.random.default_rng(0)
LEFT = GENERATOR.integers(-4, 5, (64, 2, 32)).astype(ml_dtypes.float8_e4m3)
RIGHT = GENERATOR.integers(-4, 5, (64, 2, 48)).astype(ml_dtypes.float8_e4m3)
BOTH_ROWS = np.einsum("krm,krn->mn", LEFT.astype(np.float32), RIGHT.astype(np.float32))


def multiplies(left, right, mode):
    out = nl.ndarray((32, 48), nl.float32, buffer=nl.shared_hbm)
    product = nl.ndarray((32, 48), nl.float32, buffer=nl.psum)
    nisa.nc_matmul(product, nl.load(left), nl.load(right), perf_mode=mode)
    nl.store(out, nl.copy(product))
    return out


def test_double_row_contracts_both_rows_of_each_partition():
    assert np.array_equal(simulate(multiplies, target="trn2")(LEFT, RIGHT, nisa.matmul_perf_mode.double_row), BOTH_ROWS)


def test_the_old_spelling_of_a_mode_means_the_same_and_draws_a_warning():
    with pytest.warns(DeprecationWarning, match=r"nisa\.matmul_perf_mode\.double_row"):
        assert np.array_equal(simulate(multiplies, target="trn2")(LEFT, RIGHT, "double_row"), BOTH_ROWS)
    with pytest.warns(DeprecationWarning, match=r"nisa\.matmul_perf_mode\.none"):
        one = simulate(multiplies, target="trn2")(LEFT[:, 0], RIGHT[:, 0], "none")
    assert np.array_equal(one, LEFT[:, 0].astype(np.float32).T @ RIGHT[:, 0].astype(np.float32))


@pytest.mark.parametrize("mode", ["fast", 1, None])
def test_other_modes_are_refused(mode):
    with pytest.raises(NkiValidationError, match=r"perf_mode=.*a member of nisa\.matmul_perf_mode"):
        simulate(multiplies, target="trn2")(LEFT, RIGHT, mode)
