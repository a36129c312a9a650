"""Oracle: `np.sort`, and a search element by element that pairs equal values with places as the documentation says."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import course_lib.nki.isa as nisa
import course_lib.nki.language as nl
from course_lib.nki import NkiValidationError, simulate
from tests.nki.test_isa_gather import call

RNG = np.random.default_rng(8)


def pair(row, vals, order):
    """Takes the values in `order`; each gets the first equal element that is not taken yet, or 2**32 - 1."""
    taken, places = set(), [2**32 - 1] * 8
    for column in order:
        for at, value in enumerate(row):
            if value == vals[column] and at not in taken:
                taken.add(at)
                places[column] = at
                break
    return places, taken


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, np.int32])
@pytest.mark.parametrize("shape", [(128, 8), (3, 300), (16, 5, 7)])
def test_max8_gives_the_eight_largest_in_descending_order(dtype, shape):
    data = RNG.integers(-100, 100, shape).astype(dtype)
    result = call(nisa.max8, [((shape[0], 8), nl.float32)], [data])
    flat = data.reshape(shape[0], -1).astype(np.float32)
    np.testing.assert_array_equal(result, -np.sort(-flat, axis=1)[:, :8])


@settings(max_examples=20, deadline=None)
@given(
    data=st.lists(st.integers(0, 4), min_size=8, max_size=20),
    vals=st.lists(st.integers(0, 5), min_size=8, max_size=8),
    index=st.sampled_from([(nl.uint32, 2**32 - 1), (nl.uint16, 2**16 - 1)]),
)
def test_values_are_found_and_replaced_with_equal_ones_paired(data, vals, index):
    row, wanted = np.array([data], np.float32), np.array([vals], np.float32)
    dtype, missing = index
    found = call(nisa.nc_find_index8, [((1, 8), dtype)], [row, wanted])
    np.testing.assert_array_equal(found[0], np.minimum(pair(data, vals, range(8))[0], missing))
    replaced, places = call(
        lambda out, idx, x, v: nisa.nc_match_replace8(out, x, v, -3.5, dst_idx=idx),
        [(row.shape, nl.float32), ((1, 8), dtype)],
        [row, wanted],
    )
    expected, taken = pair(data, vals, range(7, -1, -1))
    np.testing.assert_array_equal(places[0], np.minimum(expected, missing))
    np.testing.assert_array_equal(replaced[0], [-3.5 if at in taken else value for at, value in enumerate(data)])


def test_the_documented_example_of_equal_values():
    data = np.array([[1, 2, 3, 4, 8, 8, 8, 8, 8, 8, 8]], np.float32)
    vals = np.array([[3, 8, 8, 8, 8, 8, 8, 8]], np.float32)
    _, places = call(
        lambda out, idx, x, v: nisa.nc_match_replace8(out, x, v, 0.0, dst_idx=idx),
        [(data.shape, nl.float32), ((1, 8), nl.uint32)],
        [data, vals],
    )
    np.testing.assert_array_equal(places[0], [2, 10, 9, 8, 7, 6, 5, 4])


def test_two_rounds_of_max8_and_replace_sort_the_top_16():
    def kernel(x):
        out = nl.ndarray((32, 16), nl.float32, nl.shared_hbm)
        where = nl.ndarray((32, 16), nl.uint32, nl.shared_hbm)
        tile, best, index = (
            nl.ndarray(x.shape, x.dtype),
            nl.ndarray((32, 16), nl.float32),
            nl.ndarray((32, 16), nl.uint32),
        )
        nisa.dma_copy(tile, x)
        for first in (0, 8):
            columns = slice(first, first + 8)
            nisa.max8(best[:, columns], tile)
            nisa.nc_match_replace8(tile, tile, best[:, columns], -9999.0, dst_idx=index[:, columns])
        nisa.dma_copy(out, best)
        nisa.dma_copy(where, index)
        return out, where

    data = RNG.permutation(32 * 64).reshape(32, 64).astype(np.float32)
    best, where = simulate(kernel)(data)
    np.testing.assert_array_equal(where, np.argsort(-data, axis=1)[:, :16])
    np.testing.assert_array_equal(best, np.take_along_axis(data, where.astype(int), axis=1))


@pytest.mark.parametrize(
    ("match", "function", "shapes", "inputs"),
    [
        ("8 to 16,384", nisa.max8, [((4, 8), nl.float32)], [(4, 7)]),
        ("8 to 16,384", nisa.max8, [((1, 8), nl.float32)], [(1, 16_385)]),
        (r"\(4, 8\)", nisa.max8, [((4, 9), nl.float32)], [(4, 20)]),
        ("uint16 or uint32", nisa.nc_find_index8, [((4, 8), nl.int32)], [(4, 20), (4, 8)]),
        ("vals has shape", nisa.nc_find_index8, [((4, 8), nl.uint32)], [(4, 20), (4, 7)]),
        (
            "same number",
            lambda o, x, v: nisa.nc_match_replace8(o, x, v, 0.0),
            [((4, 19), nl.float32)],
            [(4, 20), (4, 8)],
        ),
        ("operand", lambda o, x, v: nisa.nc_match_replace8(o, x, v, "0"), [((4, 20), nl.float32)], [(4, 20), (4, 8)]),
    ],
)
def test_shapes_and_formats_must_fit(match, function, shapes, inputs):
    with pytest.raises(NkiValidationError, match=match):
        call(function, shapes, [np.zeros(shape, np.float32) for shape in inputs])


@pytest.mark.parametrize(("n", "k"), [(8, 8), (42, 8), (48, 48), (33, 1)])
def test_topk_finds_the_largest_of_16_partitions_in_ascending_order(n, k):
    data = RNG.permutation(32 * 3).reshape(32, 3).astype(ml_dtypes.bfloat16)
    values, places = call(lambda v, i, x: nisa.topk(v, i, x, n), [((32, k), nl.bfloat16), ((32, k), nl.uint32)], [data])
    for row in range(32):
        group = row // 16 * 16
        snake = [float(data[group + at % 16, at // 16]) for at in range(n)]
        best = sorted(range(n), key=lambda at: snake[at])[-k:]
        np.testing.assert_array_equal(places[row], best)
        np.testing.assert_array_equal(values[row].astype(float), [snake[at] for at in best])


@pytest.mark.parametrize(
    ("match", "rows", "n", "k", "dtypes"),
    [
        ("multiple of 16", 24, 20, 4, (nl.bfloat16, nl.uint32)),
        ("8 to 65,535", 16, 7, 4, (nl.bfloat16, nl.uint32)),
        ("at least 4", 16, 49, 4, (nl.bfloat16, nl.uint32)),
        ("same K", 16, 8, 9, (nl.bfloat16, nl.uint32)),
        ("val_dst is", 16, 20, 4, (nl.float32, nl.uint32)),
        ("idx_dst is", 16, 20, 4, (nl.bfloat16, nl.int32)),
    ],
)
def test_topk_refuses_what_the_engine_lacks(match, rows, n, k, dtypes):
    with pytest.raises(NkiValidationError, match=match):
        call(
            lambda v, i, x: nisa.topk(v, i, x, n),
            [((rows, k), dtypes[0]), ((rows, k), dtypes[1])],
            [np.zeros((rows, 3), ml_dtypes.bfloat16)],
        )
