"""Oracle: the loops of the documented definition, written with NumPy index grids."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import course_lib.nki.isa as nisa
import course_lib.nki.language as nl
from course_lib.nki import NkiValidationError, simulate


def grid(partitions, pattern, offset, multiplier):
    """The affine expression as the documentation's loops give it, (partitions, elements)."""
    index = np.indices((partitions, *[count for _, count in pattern]))
    total = offset + index[0] * multiplier
    for place, (step, _) in enumerate(pattern):
        total = total + index[place + 1] * step
    return total.reshape(partitions, -1)


def run_iota(shape, dtype, **arguments):
    def kernel():
        out = nl.ndarray(shape, dtype, nl.shared_hbm)
        tile = nl.ndarray(shape, dtype)
        nisa.iota(tile, **arguments)
        nisa.dma_copy(out, tile)
        return out

    return simulate(kernel)()


@settings(max_examples=25, deadline=None)
@given(
    partitions=st.integers(1, 128),
    pattern=st.lists(st.tuples(st.integers(-9, 9), st.integers(1, 5)), min_size=1, max_size=4),
    offset=st.integers(-1000, 1000),
    multiplier=st.integers(-20, 20),
)
def test_iota_is_the_affine_expression_of_its_indices(partitions, pattern, offset, multiplier):
    expected = grid(partitions, pattern, offset, multiplier)
    result = run_iota(
        expected.shape,
        nl.int32,
        pattern=[list(pair) for pair in pattern],
        offset=offset,
        channel_multiplier=multiplier,
    )
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("dtype", [nl.float32, nl.bfloat16, nl.uint16, nl.int8])
def test_iota_casts_to_the_format_of_dst(dtype):
    result = run_iota((4, 20), dtype, pattern=[[3, 20]], channel_multiplier=2)
    expected = grid(4, [(3, 20)], 0, 2)
    np.testing.assert_array_equal(result.astype(np.float64), expected.astype(np.float32).astype(result.dtype))


@pytest.mark.parametrize(
    ("shape", "arguments"),
    [
        ((8, 16), {"pattern": [[1, 15]]}),
        ((8, 16), {"pattern": [[1, 1]] * 5}),
        ((8, 16), {"pattern": []}),
        ((8, 16), {"pattern": [1, 16]}),
        ((8, 16), {"pattern": [[1.5, 16]]}),
        ((8, 16), {"pattern": np.arange(16)}),
        ((8, 16), {"pattern": [[1, 16]], "offset": 2**31}),
        ((8, 16), {"pattern": [[1, 16]], "channel_multiplier": 0.5}),
    ],
)
def test_iota_refuses_a_pattern_that_does_not_fit(shape, arguments):
    with pytest.raises(NkiValidationError, match="iota"):
        run_iota(shape, nl.int32, **arguments)


@pytest.mark.parametrize("buffer", [nl.psum, nl.shared_hbm])
def test_iota_writes_to_sbuf_only(buffer):
    def kernel():
        nisa.iota(nl.ndarray((4, 8), nl.int32, buffer), [[1, 8]])

    with pytest.raises(NkiValidationError, match="must be in sbuf"):
        simulate(kernel)()


def run_affine_select(data, dst_dtype, **arguments):
    def kernel(x):
        out = nl.ndarray(x.shape, dst_dtype, nl.shared_hbm)
        tile, result = nl.ndarray(x.shape, x.dtype), nl.ndarray(x.shape, dst_dtype)
        nisa.dma_copy(tile, x)
        nisa.affine_select(result, on_true_tile=tile, **arguments)
        nisa.dma_copy(out, result)
        return out

    return simulate(kernel)(data)


@pytest.mark.parametrize("name", ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"])
def test_affine_select_keeps_where_the_expression_compares_with_zero(name):
    data = np.random.default_rng(0).normal(size=(32, 48)).astype(np.float32)
    arguments = {"pattern": [[-1, 48]], "channel_multiplier": 2, "offset": -3}
    result = run_affine_select(data, nl.float32, on_false_value=-7.5, cmp_op=getattr(nl, name), **arguments)
    expected = np.where(getattr(np, name)(grid(32, [(-1, 48)], -3, 2), 0), data, np.float32(-7.5))
    np.testing.assert_array_equal(result, expected)


def test_affine_select_makes_a_causal_mask():
    data = np.ones((128, 128), np.float32)
    result = run_affine_select(
        data, nl.bfloat16, pattern=[[-1, 128]], channel_multiplier=1, on_false_value=0.0, cmp_op=nl.greater_equal
    )
    np.testing.assert_array_equal(result.astype(np.float32), np.tril(data))


def test_affine_select_compares_for_equality_by_default():
    result = run_affine_select(
        np.ones((8, 8), np.float32), nl.float32, pattern=[[-1, 8]], channel_multiplier=1, on_false_value=0.0
    )
    np.testing.assert_array_equal(result, np.eye(8))


def test_affine_select_moves_large_integers_exactly():
    data = np.full((4, 8), 2**24 + 1, np.int32)
    result = run_affine_select(data, nl.int32, pattern=[[0, 8]], channel_multiplier=0, on_false_value=0.0)
    np.testing.assert_array_equal(result, data)


@pytest.mark.parametrize("change", [{"cmp_op": nl.add}, {"pattern": [[1, 7]]}, {"on_false_value": None}])
def test_affine_select_refuses_bad_arguments(change):
    arguments = {"pattern": [[1, 8]], "channel_multiplier": 0, "on_false_value": 0.0, **change}
    with pytest.raises(NkiValidationError):
        run_affine_select(np.ones((4, 8), np.float32), nl.float32, **arguments)
