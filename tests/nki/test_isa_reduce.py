"""Oracle: NumPy's reductions of float32 (bit operators: integer) values, from the documented definitions."""

import functools
import operator

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import course_lib.nki.isa as nisa
import course_lib.nki.language as nl
from course_lib.nki import NkiValidationError, simulate

from .on_tiles import normal, run

REDUCTIONS = {
    "add": np.sum,
    "multiply": np.prod,
    "maximum": np.max,
    "minimum": np.min,
    "logical_and": np.all,
    "logical_or": np.any,
}
CUBE = normal(5, 2, 3, 4)


@settings(max_examples=30, deadline=None)
@given(
    shape=st.lists(st.integers(1, 6), min_size=2, max_size=5),
    data=st.data(),
    name=st.sampled_from(["add", "maximum", "minimum"]),
    negate=st.booleans(),
    keepdims=st.booleans(),
)
def test_tensor_reduce_over_the_last_dimensions_is_numpys(shape, data, name, negate, keepdims):
    first = data.draw(st.integers(1, len(shape) - 1))
    axis = tuple(range(first, len(shape)))
    x = normal(*shape, seed=len(shape))
    expected = (-1) ** negate * REDUCTIONS[name](x, axis=axis, keepdims=keepdims)
    out = expected.shape if expected.ndim > 1 else (shape[0], 1)
    found = run(
        lambda dst, t: nisa.tensor_reduce(dst, getattr(nl, name), t, axis, negate=negate, keepdims=keepdims),
        x,
        shape=out,
    )
    np.testing.assert_allclose(found, expected.reshape(out), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, ml_dtypes.float8_e5m2, np.int32, np.uint8])
@pytest.mark.parametrize("psum", [(), (0,)])
def test_tensor_reduce_computes_in_float32_for_every_format(name, dtype, psum):
    x = np.abs(2 * CUBE).astype(dtype)
    found = run(lambda dst, t: nisa.tensor_reduce(dst, getattr(nl, name), t, axis=3), x, shape=(5, 2, 3), psum=psum)
    np.testing.assert_allclose(found, REDUCTIONS[name](x.astype(np.float32), axis=3), rtol=1e-6)


def test_a_reduction_subtracts_what_follows_the_first_element():
    found = run(lambda dst, t: nisa.tensor_reduce(dst, nl.subtract, t, axis=(1, 2, 3)), CUBE, shape=(5, 1))
    flat = CUBE.reshape(5, -1).astype(np.float64)
    np.testing.assert_allclose(found[:, 0], flat[:, 0] - flat[:, 1:].sum(axis=1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "python"), [("bitwise_and", operator.and_), ("bitwise_xor", operator.xor)])
def test_bit_reductions_keep_all_32_bits(name, python):
    x = np.random.default_rng(0).integers(-(2**31), 2**31, (3, 7)).astype(np.int32)
    found = run(lambda dst, t: nisa.tensor_reduce(dst, getattr(nl, name), t, axis=1), x, shape=(3, 1), dtype=nl.int32)
    assert found[:, 0].tolist() == [functools.reduce(python, row) for row in x.tolist()]


@pytest.mark.parametrize("axis", [[2, 3], -1, (3, 2), np.int64(3)])
def test_an_axis_may_be_a_list_negative_or_out_of_order(axis):
    axes = tuple(np.atleast_1d(axis).tolist())
    expected = CUBE.max(axis=axes)
    found = run(lambda dst, t: nisa.tensor_reduce(dst, nl.maximum, t, axis), CUBE, shape=expected.shape)
    np.testing.assert_array_equal(found, expected)


def reduce(op=nl.add, axis=3, shape=(5, 2, 3), x=CUBE, **options):
    """A tensor_reduce, for the refusals."""
    return run(lambda dst, t: nisa.tensor_reduce(dst, op, t, axis, **options), x, shape=shape)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"axis": 0}, "partition dimension"),
        ({"axis": (0, 1, 2, 3), "shape": (1, 1)}, "partition dimension"),
        ({"axis": 1}, "last free dimensions"),
        ({"axis": (1, 3)}, "last free dimensions"),
        ({"axis": 4}, "last free dimensions"),
        ({"axis": ()}, "last free dimensions"),
        ({"axis": "x"}, "a dimension"),
        ({"op": nl.exp}, "nl.add"),
        ({"op": nl.equal}, "nl.add"),
        ({"op": np.add}, "nl.add"),
        ({"op": nl.bitwise_or}, "integer"),
        ({"shape": (5, 2, 4)}, "6 elements"),
        ({"op": nl.bitwise_or, "x": np.ones((5, 4), np.int32), "axis": 1, "shape": (5, 1)}, "integer"),
    ],
)
def test_tensor_reduce_refuses(options, message):
    with pytest.raises(NkiValidationError, match=message):
        reduce(**options)


def test_bits_cannot_be_negated():
    with pytest.raises(NkiValidationError, match="arithmetic"):
        run(
            lambda dst, t: nisa.tensor_reduce(dst, nl.bitwise_or, t, 1, negate=True),
            np.ones((5, 4), np.int32),
            shape=(5, 1),
            dtype=nl.int32,
        )


ACROSS = {"add": np.sum, "average": np.mean, "maximum": np.max}


@pytest.mark.parametrize("name", ACROSS)
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, np.int16])
def test_tensor_partition_reduce_reduces_the_partitions(name, dtype):
    x = (4 * normal(97, 6)).astype(dtype)
    found = run(lambda dst, t: nisa.tensor_partition_reduce(dst, getattr(nl, name), t), x, shape=(1, 6))
    expected = ACROSS[name](x.astype(np.float64), axis=0, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "python"), [("bitwise_or", operator.or_), ("bitwise_and", operator.and_)])
def test_tensor_partition_reduce_works_on_bits(name, python):
    x = np.random.default_rng(1).integers(0, 2**32, (5, 3)).astype(np.uint32)
    found = run(
        lambda dst, t: nisa.tensor_partition_reduce(dst, getattr(nl, name), t), x, shape=(1, 3), dtype=nl.uint32
    )
    assert found[0].tolist() == [functools.reduce(python, column) for column in x.T.tolist()]


@pytest.mark.parametrize(
    ("op", "shape", "psum", "message"),
    [
        (nl.multiply, (1, 6), (), "nl.average"),
        (nl.add, (2, 3), (), "one partition"),
        (nl.add, (1, 5), (), "6 elements"),
        (nl.add, (1, 6), (0,), "SBUF only"),
        (nl.bitwise_or, (1, 6), (), "integer"),
    ],
)
def test_tensor_partition_reduce_refuses(op, shape, psum, message):
    with pytest.raises(NkiValidationError, match=message):
        run(lambda dst, t: nisa.tensor_partition_reduce(dst, op, t), normal(7, 6), shape=shape, psum=psum)


@pytest.mark.parametrize(("function", "expected"), [("max", np.max), ("min", np.min), ("sum", np.sum)])
def test_the_reducing_functions_of_the_language_name_their_operators(function, expected):
    found = run(lambda dst, t: nisa.tensor_reduce(dst, getattr(nl, function), t, axis=3), CUBE, shape=(5, 2, 3))
    np.testing.assert_allclose(found, expected(CUBE, axis=3), rtol=1e-5, atol=1e-6)


def test_without_executing_only_shapes_are_followed():
    def kernel(x):
        out = nl.ndarray((5, 1), nl.float32, nl.shared_hbm)
        tile, total = nl.ndarray((5, 24), nl.float32), nl.ndarray((5, 1), nl.float32)
        nisa.dma_copy(tile, x)
        nisa.tensor_reduce(total, nl.add, tile, axis=1)
        nisa.tensor_partition_reduce(tile[:1], nl.add, tile)
        nisa.dma_copy(out, total)
        return out

    simulate(kernel, execute=False)(CUBE.reshape(5, 24))
    with pytest.raises(NkiValidationError, match="partition dimension"):
        run(lambda dst, t: nisa.tensor_reduce(dst, nl.add, t, axis=0), CUBE)
