"""Oracle: `np.where` and `np.max`, as the documentation's NumPy equivalents of these instructions are written."""

import ml_dtypes
import numpy as np
import pytest

import course_lib.nki.isa as nisa
import course_lib.nki.language as nl
from course_lib.nki import NkiValidationError, simulate

RNG = np.random.default_rng(6)
LOWEST = np.finfo(np.float32).min
COMPARISONS = {
    "equal": np.equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
}


def run_range_select(data, low, high, op0=nl.greater_equal, op1=nl.less, dtype=nl.float32, target="gen3", **arguments):
    def kernel(x, low, high):
        rows = x.shape[0]
        out, best = nl.ndarray(x.shape, dtype, nl.shared_hbm), nl.ndarray((rows, 1), nl.float32, nl.shared_hbm)
        tile, result = nl.ndarray(x.shape, x.dtype), nl.ndarray(x.shape, dtype)
        a, b, c = (nl.ndarray((rows, 1), each.dtype) for each in (low, high, np.zeros(0, np.float32)))
        nisa.dma_copy(tile, x)
        nisa.dma_copy(a, low)
        nisa.dma_copy(b, high)
        nisa.range_select(result, tile, op0, op1, a, b, reduce_res=c, **arguments)
        nisa.dma_copy(out, result)
        nisa.dma_copy(best, c)
        return out, best

    return simulate(kernel, target=target)(data, low, high)


def bounds(rows, count):
    return (RNG.integers(-3, count + 3, (rows, 1)).astype(np.float32) for _ in range(2))


@pytest.mark.parametrize("first", COMPARISONS)
@pytest.mark.parametrize("second", COMPARISONS)
def test_range_select_keeps_elements_whose_index_is_in_range(first, second):
    data = RNG.normal(size=(24, 40)).astype(np.float32)
    low, high = bounds(24, 40)
    result, best = run_range_select(data, low, high, getattr(nl, first), getattr(nl, second), range_start=5)
    index = 5 + np.arange(40, dtype=np.float32)
    expected = np.where(COMPARISONS[first](index, low) & COMPARISONS[second](index, high), data, LOWEST)
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(best, expected.max(axis=1, keepdims=True))


def test_range_select_stores_minus_infinity_in_narrow_formats_and_reduces_in_float32():
    data = RNG.normal(size=(4, 8)).astype(ml_dtypes.bfloat16)
    nothing = np.full((4, 1), -1, np.float32)
    result, best = run_range_select(data, nothing, nothing, dtype=nl.bfloat16)
    assert np.isneginf(result.astype(np.float32)).all()
    np.testing.assert_array_equal(best, np.full((4, 1), LOWEST))


def test_range_select_carries_the_maximum_from_one_instruction_to_the_next():
    def kernel(x, low, high):
        best = nl.ndarray((8, 1), nl.float32, nl.shared_hbm)
        tile, result, a, b, c = (nl.ndarray((8, n), nl.float32) for n in (32, 16, 1, 1, 1))
        for dst, src in ((tile, x), (a, low), (b, high)):
            nisa.dma_copy(dst, src)
        arguments = {"comp_op0": nl.greater_equal, "comp_op1": nl.less, "bound0": a, "bound1": b}
        nisa.range_select(result, tile[:, :16], **arguments)
        command = nisa.reduce_cmd.reduce
        nisa.range_select(result, tile[:, 16:], reduce_cmd=command, reduce_res=c, range_start=16, **arguments)
        nisa.dma_copy(best, c)
        return best

    data = RNG.normal(size=(8, 32)).astype(np.float32)
    low, high = np.zeros((8, 1), np.float32), np.full((8, 1), 32, np.float32)
    np.testing.assert_array_equal(simulate(kernel)(data, low, high), data.max(axis=1, keepdims=True))


@pytest.mark.parametrize(
    ("match", "change"),
    [
        ("NeuronCore-v3", {"target": "gen2"}),
        ("comp_op", {"op0": nl.not_equal}),
        ("comp_op", {"op1": nl.add}),
        ("lowest float32", {"on_false_value": 0.0}),
        ("2\\*\\*24", {"range_start": 2**24}),
        ("whole number", {"range_start": 0.5}),
        ("reduce_op", {"reduce_op": nl.add}),
        ("reduce_cmd", {"reduce_cmd": nisa.reduce_cmd.load_reduce}),
        ("float32", {"low": np.zeros((4, 1), np.int32)}),
        ("a float format", {"data": np.zeros((4, 8), np.int32)}),
    ],
)
def test_range_select_refuses_what_the_engine_lacks(match, change):
    zero = np.zeros((4, 1), np.float32)
    with pytest.raises(NkiValidationError, match=match):
        run_range_select(**{"data": np.zeros((4, 8), np.float32), "low": zero, "high": zero, **change})


def run_select_reduce(predicate, on_true, on_false, dtype=nl.float32, regions=(nl.sbuf, nl.sbuf), **arguments):
    def kernel(p, t, f):
        rows = t.shape[0]
        out, best = nl.ndarray(t.shape, dtype, nl.shared_hbm), nl.ndarray((rows, 1), nl.float32, nl.shared_hbm)
        staged = [nl.ndarray(each.shape, each.dtype) for each in (p, t)]
        tiles = [nl.ndarray(each.shape, each.dtype, where) for each, where in zip((p, t), regions, strict=True)]
        for tile, stage, each in zip(tiles, staged, (p, t), strict=True):
            nisa.dma_copy(stage, each)
            nisa.tensor_copy(tile, stage)
        result, column = nl.ndarray(t.shape, dtype), nl.ndarray((rows, 1), nl.float32)
        if not isinstance(f, float):
            other = nl.ndarray(f.shape, f.dtype)
            nisa.dma_copy(other, f)
            f = other
        command = nisa.reduce_cmd.reset_reduce
        nisa.select_reduce(result, *tiles, f, reduce_res=column, **{"reduce_cmd": command, **arguments})
        nisa.dma_copy(out, result)
        nisa.dma_copy(best, column)
        return out, best

    return simulate(kernel)(predicate, on_true, on_false)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("other", ["number", "column"])
def test_select_reduce_takes_one_side_or_the_other(dtype, reverse, other):
    predicate = RNG.integers(0, 3, (16, 20)).astype(dtype)
    on_true = RNG.normal(size=(16, 20)).astype(np.float32)
    on_false = -0.25 if other == "number" else RNG.normal(size=(16, 1)).astype(np.float32)
    result, best = run_select_reduce(predicate, on_true, on_false, reverse_pred=reverse)
    chosen = (predicate == 0) if reverse else (predicate != 0)
    expected = np.where(chosen, on_true, np.float32(on_false) if other == "number" else on_false)
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(best, expected.max(axis=1, keepdims=True))


def test_select_reduce_reads_one_input_from_psum():
    predicate, on_true = np.eye(4, dtype=np.uint8), np.ones((4, 4), np.float32)
    result, _ = run_select_reduce(predicate, on_true, 0.0, dtype=nl.bfloat16, regions=(nl.sbuf, nl.psum))
    np.testing.assert_array_equal(result.astype(np.float32), np.eye(4))
    with pytest.raises(NkiValidationError, match="both in PSUM"):
        run_select_reduce(predicate, on_true, 0.0, regions=(nl.psum, nl.psum))


def test_select_reduce_without_reduction_leaves_no_result():
    def kernel(p, t):
        out = nl.ndarray(t.shape, t.dtype, nl.shared_hbm)
        mask, tile = nl.ndarray(p.shape, p.dtype), nl.ndarray(t.shape, t.dtype)
        nisa.dma_copy(mask, p)
        nisa.dma_copy(tile, t)
        nisa.select_reduce(tile, mask, tile, 5.0)
        nisa.dma_copy(out, tile)
        return out

    result = simulate(kernel)(np.eye(3, dtype=np.uint8), np.zeros((3, 3), np.float32))
    np.testing.assert_array_equal(result, 5 - 5 * np.eye(3))


@pytest.mark.parametrize(
    ("match", "change"),
    [
        ("predicate is", {"predicate": np.ones((4, 8), np.int32)}),
        ("predicate is", {"predicate": np.ones((4, 8), np.float32)}),
        ("on_true is", {"on_true": np.ones((4, 8), np.int32)}),
        ("same number of elements", {"predicate": np.ones((4, 7), np.uint8)}),
        ("on_false has shape", {"on_false": np.ones((4, 2), np.float32)}),
        ("reduce_op", {"reduce_op": nl.minimum}),
    ],
)
def test_select_reduce_refuses_what_the_engine_lacks(match, change):
    base = {"predicate": np.ones((4, 8), np.uint8), "on_true": np.ones((4, 8), np.float32), "on_false": 0.0}
    with pytest.raises(NkiValidationError, match=match):
        run_select_reduce(**{**base, **change})
