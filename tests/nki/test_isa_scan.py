"""Oracle: the documented recurrences as plain Python loops over float32 columns."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import course_lib.nki.isa as nisa
import course_lib.nki.language as nl
from course_lib.nki import NkiValidationError

from .on_tiles import normal, run

cmd = nisa.reduce_cmd
A, B, START = normal(6, 33), normal(6, 33, seed=1), normal(6, 1, seed=2)
PYTHON = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "greater": lambda x, y: np.greater(x, y).astype(np.float32),
    "abs_max": lambda x, y: np.where(abs(x) > abs(y), x, y),
}


def scan(a, b, state, op0, op1, reverse0=False, reverse1=False):
    """r[i] = (a[i] op0 r[i-1]) op1 b[i], column by column."""
    state, columns = np.asarray(state, np.float32).reshape(-1) * np.ones(len(a), np.float32), []
    for x, y in zip(a.astype(np.float32).T, b.astype(np.float32).T, strict=True):
        between = PYTHON[op0](state, x) if reverse0 else PYTHON[op0](x, state)
        state = PYTHON[op1](y, between) if reverse1 else PYTHON[op1](between, y)
        columns.append(state)
    return np.stack(columns, axis=1)


@settings(max_examples=25, deadline=None)
@given(
    op0=st.sampled_from(list(PYTHON)),
    op1=st.sampled_from(list(PYTHON)),
    reverse0=st.booleans(),
    reverse1=st.booleans(),
    partitions=st.integers(1, 128),
    count=st.integers(1, 40),
)
def test_the_scan_is_its_recurrence(op0, op1, reverse0, reverse1, partitions, count):
    a, b, start = normal(partitions, count), normal(partitions, count, seed=1), normal(partitions, 1, seed=2)
    found = run(
        lambda dst, x, y, s: nisa.tensor_tensor_scan(
            dst, x, y, s, getattr(nl, op0), getattr(nl, op1), reverse0=reverse0, reverse1=reverse1
        ),
        a,
        b,
        start,
    )
    np.testing.assert_array_equal(found, scan(a, b, start, op0, op1, reverse0, reverse1))


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, np.float16, np.int8])
@pytest.mark.parametrize("psum", [(), (0,), (1, 2)])
def test_the_scan_keeps_float32_between_its_steps(dtype, psum):
    a, b = (2 * A).astype(dtype), (2 * B).astype(dtype)
    found = run(
        lambda dst, x, y, s: nisa.tensor_tensor_scan(dst, x, y, s, nl.minimum, nl.add),
        a,
        b,
        START,
        dtype=nl.bfloat16,
        psum=psum,
    )
    expected = scan(a, b, START, "minimum", "add").astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(found.astype(np.float32), expected.astype(np.float32))


def test_a_running_sum_starts_from_the_initial_value():
    ones = np.ones_like(A)
    found = run(lambda dst, x, y: nisa.tensor_tensor_scan(dst, x, y, 0.5, nl.multiply, nl.add), ones, A)
    np.testing.assert_array_equal(found, scan(ones, A, 0.5, "multiply", "add"))


def test_a_scan_in_two_halves_is_the_scan_of_the_whole():
    def body(dst, x, y):
        nisa.tensor_tensor_scan(dst[:, :15], x[:, :15], y[:, :15], 0.0, nl.multiply, nl.add)
        nisa.tensor_tensor_scan(dst[:, 15:], x[:, 15:], y[:, 15:], dst[:, 14:15], nl.multiply, nl.add)

    np.testing.assert_array_equal(run(body, A, B), scan(A, B, 0.0, "multiply", "add"))


@pytest.mark.parametrize(
    ("body", "psum", "message"),
    [
        (lambda d, x, y: nisa.tensor_tensor_scan(d, x, y, 0.0, nl.multiply, nl.add), (0, 1), "at most one input"),
        (lambda d, x, y: nisa.tensor_tensor_scan(d, x, y[:, :4], 0.0, nl.multiply, nl.add), (), "same"),
        (lambda d, x, y: nisa.tensor_tensor_scan(d, x, y, x, nl.multiply, nl.add), (), "one element"),
        (lambda d, x, y: nisa.tensor_tensor_scan(d, x, y, 0.0, nl.bitwise_and, nl.add), (), "nl.add"),
        (lambda d, x, y: nisa.tensor_tensor_scan(d, x, y, 0.0, nl.multiply, nl.abs), (), "nl.add"),
        (lambda d, x, y: nisa.tensor_tensor_scan(d, x, y, None, nl.multiply, nl.add), (), "a number"),
    ],
)
def test_the_scan_refuses(body, psum, message):
    with pytest.raises(NkiValidationError, match=message):
        run(body, A, B, psum=psum)


IDENTITY = {"add": 0, "subtract": 0, "multiply": 1, "maximum": -np.inf, "minimum": np.inf}


def cumulative(x, op0, imm0, op1, reg):
    """reg = op1(op0(x[i], imm0), reg), column by column."""
    columns = []
    for column in x.astype(np.float32).T:
        reg = PYTHON[op1](PYTHON[op0](column, np.float32(imm0)), np.float32(reg))
        columns.append(reg)
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("op1", IDENTITY)
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, np.int16])
def test_tensor_scalar_cumulative_is_its_recurrence(op1, dtype):
    x = (3 * A).astype(dtype)
    found = run(lambda dst, t: nisa.tensor_scalar_cumulative(dst, t, nl.subtract, getattr(nl, op1), 0.25), x, psum=(0,))
    np.testing.assert_allclose(found, cumulative(x, "subtract", 0.25, op1, IDENTITY[op1]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("op1", ["add", "subtract", "maximum"])
def test_the_accumulator_is_loaded_and_kept(op1):
    def body(dst, x, start):
        op = getattr(nl, op1)
        nisa.tensor_scalar_cumulative(dst[:, :20], x[:, :20], nl.multiply, op, 2.0, start, cmd.load_reduce)
        nisa.tensor_scalar_cumulative(dst[:, 20:], x[:, 20:], nl.multiply, op, 2.0, reduce_cmd=cmd.reduce)

    expected = cumulative(A, "multiply", 2.0, op1, START[:, 0])
    np.testing.assert_allclose(run(body, A, START), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "dtype", "message"),
    [
        ({"op1": nl.logical_and}, np.float32, "nl.minimum"),
        ({"op0": nl.bitwise_and}, np.float32, "nl.add"),
        ({"imm1": 1.0}, np.float32, "only with load_reduce"),
        ({"reduce_cmd": cmd.load_reduce}, np.float32, "without imm1"),
        ({"reduce_cmd": cmd.idle}, np.float32, "reset_reduce"),
        ({}, np.int32, "src is int32"),
    ],
)
def test_tensor_scalar_cumulative_refuses(options, dtype, message):
    arguments = {"op0": nl.add, "op1": nl.add, "imm0": 0.0, **options}
    with pytest.raises(NkiValidationError, match=message):
        run(lambda dst, t: nisa.tensor_scalar_cumulative(dst, t, **arguments), A.astype(dtype))
