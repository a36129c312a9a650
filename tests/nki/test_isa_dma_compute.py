"""Oracle: NumPy sums in float32 and `np.add.at`, as the documentation defines them."""

import ml_dtypes
import numpy as np
import pytest

import course_lib.nki.isa as nisa
import course_lib.nki.language as nl
from course_lib.nki import NkiValidationError, simulate

RNG = np.random.default_rng(3)
X = np.ones((4, 8), np.float32)


def refuse(match, kernel, *args, **options):
    with pytest.raises(NkiValidationError, match=match):
        simulate(kernel, **options)(*args)


def add(dtype, *sources, **arguments):
    def kernel(*hbm):
        out = nl.ndarray(hbm[0].shape, dtype, nl.shared_hbm)
        tile = nl.ndarray(hbm[0].shape, dtype)
        nisa.dma_compute(tile, list(hbm), nl.add, **arguments)
        nisa.dma_copy(out, tile)
        return out

    return simulate(kernel)(*sources)


@pytest.mark.parametrize("count", [1, 2, 16])
def test_dma_compute_adds_in_float32(count):
    sources = [RNG.normal(size=(12, 10)).astype(ml_dtypes.bfloat16) for _ in range(count)]
    result = add(nl.bfloat16, *sources, scales=[1.0] * count)
    expected = np.sum([source.astype(np.float32) for source in sources], axis=0, dtype=np.float32)
    np.testing.assert_allclose(result.astype(np.float32), expected, rtol=2**-8, atol=1e-6)


def test_dma_compute_refuses_what_the_engine_lacks():
    for match, arguments in (("1.0", {"scales": [2.0, 1.0]}), ("1.0", {"scales": [1.0]})):
        with pytest.raises(NkiValidationError, match=match):
            add(nl.float32, X, X, **arguments)
    with pytest.raises(NkiValidationError, match="1 to 16"):
        add(nl.float32, *[X] * 17)
    refuse("nl.add", lambda x: nisa.dma_compute(nl.ndarray(x.shape, x.dtype), [x, x], nl.multiply), X)
    refuse("list or tuple", lambda x: nisa.dma_compute(nl.ndarray(x.shape, x.dtype), x, nl.add), X)
    refuse("same number", lambda x: nisa.dma_compute(nl.ndarray((4, 4), x.dtype), [x], nl.add), X)


def rmw(kind, table, rows, values, **arguments):
    def kernel(table, rows, values):
        out = nl.ndarray(values.shape, values.dtype, nl.shared_hbm)
        index, tile = nl.ndarray(rows.shape, rows.dtype), nl.ndarray(values.shape, values.dtype)
        nisa.dma_copy(index, rows)
        nisa.dma_copy(tile, values)
        width = table.shape[1]
        view = table.ap([[width, rows.shape[0]], [1, width]], vector_offset=index, indirect_dim=0)
        if kind == "scatter":
            nisa.dma_compute(view, [view, tile], nl.add, **arguments)
            return table
        nisa.dma_compute(tile, [view, tile], nl.add, **arguments)
        nisa.dma_copy(out, tile)
        return out

    return simulate(kernel)(table.copy(), rows, values)


def test_dma_compute_adds_gathered_rows_and_adds_to_scattered_rows():
    table, values = RNG.normal(size=(30, 7)).astype(np.float32), RNG.normal(size=(5, 7)).astype(np.float32)
    rows = np.array([[7], [2], [29], [0], [11]], np.uint32)
    np.testing.assert_allclose(rmw("gather", table, rows, values), table[rows[:, 0]] + values, rtol=1e-6)
    expected = table.copy()
    np.add.at(expected, rows[:, 0], values)
    np.testing.assert_allclose(rmw("scatter", table, rows, values), expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ["gather", "scatter"])
def test_dma_compute_skips_or_refuses_rows_out_of_bounds(kind):
    table, values = np.ones((4, 2), np.float32), np.full((2, 2), 10, np.float32)
    rows = np.array([[1], [9]], np.int32)
    with pytest.raises(NkiValidationError, match="leaves"):
        rmw(kind, table, rows, values)
    result = rmw(kind, table, rows, values, oob_mode=nisa.oob_mode.skip)
    expected = [[11, 11], [10, 10]] if kind == "gather" else [[1, 1], [11, 11], [1, 1], [1, 1]]
    np.testing.assert_array_equal(result, expected)


def test_a_scatter_that_adds_needs_different_rows():
    table, values = np.ones((4, 2), np.float32), np.ones((2, 2), np.float32)
    with pytest.raises(NkiValidationError, match="same index"):
        rmw("scatter", table, np.array([[1], [1]], np.int32), values)
    with pytest.raises(NkiValidationError, match="unique_indices"):
        rmw("gather", table, np.array([[1], [0]], np.int32), values, unique_indices=False)
