"""Oracle: NumPy expressions over float32 copies of the inputs, rounded by ml_dtypes; Python's exact integers."""

import ml_dtypes
import numpy as np
import pytest

import course_lib.nki.isa as nisa
import course_lib.nki.language as nl
from course_lib.nki import NkiValidationError, simulate

from .on_tiles import normal, run

EXPRESSIONS = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "equal": lambda a, b: a == b,
    "greater_equal": lambda a, b: a >= b,
    "logical_xor": lambda a, b: (a != 0) ^ (b != 0),
    "abs_max": lambda a, b: np.where(abs(a) > abs(b), a, b),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, np.float16, ml_dtypes.float8_e4m3, np.int16])
def test_tensor_tensor_computes_in_float32_and_rounds_once(name, dtype):
    a, b = (2 * normal(5, 16, seed=1)).astype(dtype), (2 * normal(5, 16, seed=2)).astype(dtype)
    found = run(lambda dst, x, y: nisa.tensor_tensor(dst, x, y, getattr(nl, name)), a, b, dtype=nl.bfloat16)
    expected = EXPRESSIONS[name](a.astype(np.float32), b.astype(np.float32)).astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(found.astype(np.float32), expected.astype(np.float32))


def test_float_results_saturate_and_round_to_even_in_integers():
    a = np.array([[0.5, 1.5, 2.5, 300.0, -300.0]], np.float32)
    zero = np.zeros_like(a)
    found = run(lambda dst, x, y: nisa.tensor_tensor(dst, x, y, nl.add), a, zero, dtype=nl.int8)
    assert found.tolist() == [[0, 2, 2, 127, -128]]


BIG = np.array([[2**24 + 1, -(2**31), 2**31 - 1]], np.int32)


def test_32_bit_integers_are_exact_and_wrap_on_gpsimd():
    one = np.ones_like(BIG)
    found = run(lambda dst, x, y: nisa.tensor_tensor(dst, x, y, nl.add), BIG, one, dtype=nl.int32)
    assert found.tolist() == [[2**24 + 2, -(2**31) + 1, -(2**31)]]


@pytest.mark.parametrize("where", ["vector engine", "psum"])
def test_32_bit_integers_go_through_float32_on_the_vector_engine(where):
    zero = np.zeros_like(BIG)
    engine = nisa.engine.vector if where == "vector engine" else nisa.engine.unknown
    found = run(
        lambda dst, x, y: nisa.tensor_tensor(dst, x, y, nl.add, engine=engine),
        BIG[:, :1],
        zero[:, :1],
        dtype=nl.int32,
        psum=(0,) if where == "psum" else (),
    )
    assert found.tolist() == [[2**24]]


def test_bit_operators_do_not_round():
    a = np.array([[0x7FFFFFFF, 0x01000001]], np.uint32)
    b = np.array([[0x0FFFFFFF, 0x01000003]], np.uint32)
    found = run(lambda dst, x, y: nisa.tensor_tensor(dst, x, y, nl.bitwise_xor), a, b, dtype=nl.uint32)
    assert found.tolist() == [[0x70000000, 2]]


def test_power_runs_on_gpsimd():
    a, b = np.abs(normal(4, 8)) + 0.5, normal(4, 8, seed=3)
    found = run(lambda dst, x, y: nisa.tensor_tensor(dst, x, y, nl.power), a, b)
    np.testing.assert_allclose(found, a.astype(np.float64) ** b, rtol=1e-5)


def test_shapes_may_differ_while_partitions_and_counts_agree():
    a, b = normal(4, 2, 6), normal(4, 12, seed=1)
    found = run(lambda dst, x, y: nisa.tensor_tensor(dst, x, y, nl.subtract), a, b, shape=(4, 3, 4))
    np.testing.assert_array_equal(found, (a.reshape(4, 12) - b).reshape(4, 3, 4))


def test_a_tile_may_be_input_and_output_with_a_shift():
    a = normal(3, 9)

    def body(dst, x):
        nisa.tensor_tensor(x[:, 1:], x[:, :-1], x[:, 1:], nl.add)
        nisa.tensor_copy(dst, x)

    expected = np.concatenate([a[:, :1], a[:, :-1] + a[:, 1:]], axis=1)
    np.testing.assert_array_equal(run(body, a), expected)


A, U = normal(4, 8), np.ones((4, 8), np.uint32)
REFUSED = {
    "both inputs in PSUM": (lambda d, x, y: nisa.tensor_tensor(d, x, y, nl.add), (A, A), {"psum": (0, 1)}, "PSUM"),
    "power from PSUM": (lambda d, x, y: nisa.tensor_tensor(d, x, y, nl.power), (A, A), {"psum": (0,)}, "GpSimd"),
    "bits of floats": (lambda d, x, y: nisa.tensor_tensor(d, x, y, nl.bitwise_and), (A, A), {}, "integer"),
    "a function": (lambda d, x, y: nisa.tensor_tensor(d, x, y, nl.exp), (A, A), {}, "nl.add"),
    "division": (lambda d, x, y: nisa.tensor_tensor(d, x, y, nl.divide), (A, A), {}, "reciprocal"),
    "NumPy's add": (lambda d, x, y: nisa.tensor_tensor(d, x, y, np.add), (A, A), {}, "use nl.add"),
    "abs_max before trn3": (
        lambda d, x, y: nisa.tensor_tensor(d, x, y, nl.abs_max),
        (A, A),
        {"target": "gen3"},
        "NeuronCore-v4",
    ),
    "different widths": (lambda d, x, y: nisa.tensor_tensor(d, x, y[:, :4], nl.add), (A, A), {}, "same"),
    "different partitions": (lambda d, x, y: nisa.tensor_tensor(d, x, y[:2], nl.add), (A, A), {}, "partitions"),
    "the scalar engine": (
        lambda d, x, y: nisa.tensor_tensor(d, x, y, nl.add, engine=nisa.engine.scalar),
        (A, A),
        {},
        "engine.vector",
    ),
    "a number": (lambda d, x, y: nisa.tensor_tensor(d, x, 2.0, nl.add), (A, A), {}, "a tile"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_tensor_tensor_refuses(what):
    body, arrays, options, message = REFUSED[what]
    with pytest.raises(NkiValidationError, match=message):
        run(body, *arrays, **options)


def test_compute_engines_do_not_reach_hbm():
    def kernel(x):
        out = nl.ndarray(x.shape, x.dtype, nl.shared_hbm)
        nisa.tensor_tensor(out, x, x, nl.add)
        return out

    with pytest.raises(NkiValidationError, match="dma_copy"):
        simulate(kernel)(A)


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, np.int32])
def test_reciprocal_is_one_over_x_for_every_format(dtype):
    x = np.array([[1, 2, -3, 7]], np.float32).astype(dtype)
    found = run(lambda dst, tile: nisa.reciprocal(dst, tile), x, psum=(0,))
    np.testing.assert_array_equal(found, np.float32(1) / x.astype(np.float32))


def test_the_record_says_what_a_tensor_tensor_costs():
    from dataclasses import replace

    from course_lib.nki.kernel import Kernel, default_options, run_kernel

    def kernel(x):
        tile = nl.ndarray(x.shape, x.dtype)
        nisa.dma_copy(tile, x)
        nisa.tensor_tensor(tile, tile, tile, nl.multiply)

    _, cores = run_kernel(Kernel(kernel), (A,), {}, replace(default_options(), record=True))
    last = cores[0].instructions[-1]
    assert (last.op, last.engine, last.about["op"], last.about["elements"]) == (
        "tensor_tensor",
        nisa.engine.vector,
        "multiply",
        8,
    )
