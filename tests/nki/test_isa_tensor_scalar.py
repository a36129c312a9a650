"""Oracle: the expression `(data <op0> operand0) <op1> operand1` in NumPy float32; Python integers for bits."""

import ml_dtypes
import numpy as np
import pytest

import course_lib.nki.isa as nisa
import course_lib.nki.language as nl
from course_lib.nki import NkiValidationError

from .on_tiles import normal, run

DATA, COLUMN, TILE = normal(6, 20), normal(6, 1, seed=1), normal(6, 20, seed=2)
WHOLE = np.array([[5, -7, 2**31 - 1, 12]], np.int32)


@pytest.mark.parametrize(
    "dtype", [np.float32, ml_dtypes.bfloat16, np.float16, ml_dtypes.float8_e5m2, np.int32, np.uint8]
)
@pytest.mark.parametrize("psum", [(), (0,), (0, 1)])
def test_two_operators_are_applied_in_float32(dtype, psum):
    x = np.abs(8 * DATA).astype(dtype)
    found = run(
        lambda dst, data, col: nisa.tensor_scalar(dst, data, nl.multiply, col, op1=nl.add, operand1=0.25),
        x,
        COLUMN,
        dtype=nl.bfloat16,
        psum=psum,
    )
    expected = (x.astype(np.float32) * COLUMN + np.float32(0.25)).astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(found.astype(np.float32), expected.astype(np.float32))


@pytest.mark.parametrize("dtype", [nl.float32, nl.bfloat16])
def test_reverse_puts_the_operand_on_the_left(dtype):
    found = run(
        lambda dst, data: nisa.tensor_scalar(
            dst, data, nl.subtract, 1.0, reverse0=True, op1=nl.subtract, operand1=3.0, reverse1=True
        ),
        DATA,
        dtype=dtype,
    )
    np.testing.assert_allclose(found.astype(np.float32), 3 - (1 - DATA), rtol=2**-8, atol=1e-6)


@pytest.mark.parametrize(("op", "expected"), [("less", lambda x, y: x < y), ("greater_equal", lambda x, y: x >= y)])
@pytest.mark.parametrize("dtype", [nl.float32, nl.uint8, nl.bfloat16])
def test_comparisons_give_one_and_zero(op, expected, dtype):
    found = run(lambda dst, x: nisa.tensor_scalar(dst, x, getattr(nl, op), 0.0), DATA, dtype=dtype)
    np.testing.assert_array_equal(found.astype(np.float32), expected(DATA, 0.0))


def test_a_comparison_can_be_the_first_of_two_operators():
    found = run(
        lambda dst, x, y: nisa.tensor_scalar(dst, x, nl.greater, 0.0, op1=nl.multiply, operand1=y), DATA, COLUMN
    )
    np.testing.assert_array_equal(found, (DATA > 0) * COLUMN)


@pytest.mark.parametrize("operand", [None, 0, 0.0])
@pytest.mark.parametrize(
    ("op", "expected"),
    [("abs", np.abs), ("square", np.square), ("relu", lambda x: np.maximum(x, 0)), ("reciprocal", lambda x: 1 / x)],
)
def test_operators_of_one_input_take_no_operand(op, expected, operand):
    found = run(lambda dst, x: nisa.tensor_scalar(dst, x, getattr(nl, op), operand), DATA)
    np.testing.assert_allclose(found, expected(DATA), rtol=1e-6)


@pytest.mark.parametrize("target", ["gen2", "gen3", "gen4"])
def test_rsqrt_after_add_normalises(target):
    x = np.abs(DATA)
    found = run(lambda dst, t: nisa.tensor_scalar(dst, t, nl.add, 1e-5, op1=nl.rsqrt, operand1=0.0), x, target=target)
    np.testing.assert_allclose(found, 1 / np.sqrt(x.astype(np.float64) + 1e-5), rtol=1e-6)


@pytest.mark.parametrize("target", ["gen2", "gen3"])
@pytest.mark.parametrize("op", ["square", "relu", "abs_max", "abs_min"])
def test_operators_of_trn3_are_refused_before_it(op, target):
    operand = 1.0 if op.startswith("abs_m") else None
    with pytest.raises(NkiValidationError, match="NeuronCore-v4"):
        run(lambda dst, x: nisa.tensor_scalar(dst, x, getattr(nl, op), operand), DATA, target=target)


def test_bits_are_taken_as_they_are():
    def body(dst, x):
        nisa.tensor_scalar(dst, x, nl.right_shift, 4, op1=nl.bitwise_and, operand1=0xFFFFFF0F)

    found = run(body, WHOLE, dtype=nl.int32)
    assert found.tolist() == [[(int(x) & 0xFFFFFFFF) >> 4 & 0xFFFFFF0F for x in WHOLE[0]]]


def test_bits_take_a_column_of_integers_and_invert_takes_none():
    shifts = np.array([[3]], np.int32)
    found = run(lambda dst, x, y: nisa.tensor_scalar(dst, x, nl.left_shift, y), WHOLE[:, :2], shifts, dtype=nl.int32)
    assert found.tolist() == [[40, -56]]
    found = run(lambda dst, x: nisa.tensor_scalar(dst, x, nl.invert, None), WHOLE, dtype=nl.int32)
    assert found.tolist() == [[~int(x) for x in WHOLE[0]]]


def test_integers_go_through_float32_with_a_constant():
    found = run(lambda dst, x: nisa.tensor_scalar(dst, x, nl.add, 0), np.array([[2**24 + 1]], np.int32), dtype=nl.int32)
    assert found.tolist() == [[2**24]]


def test_address_arithmetic_on_32_bit_tiles_is_exact():
    x, y = np.array([[2**24 + 1, 7]], np.uint32), np.array([[2**20 + 3]], np.uint32)
    found = run(
        lambda dst, t, col: nisa.tensor_scalar(dst, t, nl.multiply, 3, op1=nl.add, operand1=col), x, y, dtype=nl.uint32
    )
    assert found.tolist() == [[3 * (2**24 + 1) + 2**20 + 3, 21 + 2**20 + 3]]


def test_a_first_operator_may_be_left_out():
    for nothing in (None, nl.bypass):
        found = run(lambda dst, x, op=nothing: nisa.tensor_scalar(dst, x, op, None, op1=nl.maximum, operand1=0.5), DATA)
        np.testing.assert_array_equal(found, np.maximum(DATA, np.float32(0.5)))


@pytest.mark.parametrize("place", ["data", "operand"])
def test_a_result_may_overwrite_its_inputs(place):
    def body(dst, x):
        nisa.tensor_scalar(x, x, nl.add, x[:, 3:4], op1=nl.multiply, operand1=x[:, 0:1])
        nisa.tensor_copy(dst, x)

    np.testing.assert_array_equal(run(body, DATA), (DATA + DATA[:, 3:4]) * DATA[:, :1])


@pytest.mark.parametrize("target", ["gen2", "gen3", "gen4"])
def test_the_scalar_engine_multiplies_and_adds(target):
    found = run(
        lambda dst, x, y: nisa.tensor_scalar(
            dst, x, nl.multiply, y, op1=nl.add, operand1=1.0, engine=nisa.engine.scalar
        ),
        DATA,
        COLUMN,
        target=target,
    )
    np.testing.assert_array_equal(found, DATA * COLUMN + np.float32(1))


def scalar(op, operand=1.0, data=DATA, **options):
    """A tensor_scalar with one operator, for the refusals."""
    target, psum = options.pop("target", "gen3"), options.pop("psum", ())
    dtype = nl.int32 if data is WHOLE else nl.float32
    return run(
        lambda d, x: nisa.tensor_scalar(d, x, op, operand, **options), data, dtype=dtype, target=target, psum=psum
    )


REFUSED = {
    "no operand": (lambda: scalar(nl.add, None), "a number or"),
    "an operand for abs": (lambda: scalar(nl.abs, 2.0), "one input"),
    "exp": (lambda: scalar(nl.exp), "activation"),
    "NumPy's operator": (lambda: scalar(np.subtract), "use nl.subtract"),
    "bits of floats": (lambda: scalar(nl.bitwise_and, 1), "integer"),
    "bits and arithmetic": (lambda: scalar(nl.bitwise_and, 1, WHOLE, op1=nl.add, operand1=1), "both operators"),
    "half a bit": (lambda: scalar(nl.bitwise_and, 0.5, WHOLE), "whole number"),
    "bits on the scalar engine": (
        lambda: scalar(nl.bitwise_and, 1, WHOLE, engine=nisa.engine.scalar),
        "vector engine",
    ),
    "maximum on the scalar engine of trn2": (lambda: scalar(nl.maximum, engine=nisa.engine.scalar), "multiply and add"),
    "add on gpsimd": (lambda: scalar(nl.add, engine=nisa.engine.gpsimd), "rsqrt"),
    "gpsimd from PSUM": (lambda: scalar(nl.rsqrt, 0.0, engine=nisa.engine.gpsimd, psum=(0,)), "SBUF only"),
    "the tensor engine": (lambda: scalar(nl.add, engine=nisa.engine.tensor), "engine.vector"),
    "text": (lambda: scalar(nl.add, "1"), "a number or"),
    "a wide operand": (
        lambda: run(lambda dst, x, y: nisa.tensor_scalar(dst, x, nl.add, y), DATA, TILE),
        "one element for each partition",
    ),
    "an operand with other partitions": (
        lambda: run(lambda dst, x, y: nisa.tensor_scalar(dst, x, nl.add, y[:3]), DATA, COLUMN),
        "one element for each partition",
    ),
    "an integer operand for floats": (
        lambda: run(lambda dst, x, y: nisa.tensor_scalar(dst, x, nl.add, y), DATA, COLUMN.astype(np.int32)),
        "float32",
    ),
    "a narrower result": (
        lambda: run(lambda dst, x: nisa.tensor_scalar(dst[:, :4], x, nl.add, 1.0), DATA),
        "same number of elements",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_tensor_scalar_refuses(what):
    call, message = REFUSED[what]
    with pytest.raises(NkiValidationError, match=message):
        call()


@pytest.mark.parametrize("reverse0", [False, True])
@pytest.mark.parametrize("reverse1", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_scalar_tensor_tensor_is_its_two_steps(reverse0, reverse1, dtype):
    x, y = DATA.astype(dtype), TILE.astype(dtype)
    found = run(
        lambda dst, a, col, b: nisa.scalar_tensor_tensor(
            dst, a, nl.subtract, col, nl.subtract, b, reverse0=reverse0, reverse1=reverse1
        ),
        x,
        COLUMN,
        y,
        psum=(0, 1),
    )
    a, b = x.astype(np.float32), y.astype(np.float32)
    first = COLUMN - a if reverse0 else a - COLUMN
    np.testing.assert_array_equal(found, b - first if reverse1 else first - b)


def test_scalar_tensor_tensor_takes_a_number():
    found = run(lambda dst, a, b: nisa.scalar_tensor_tensor(dst, a, nl.multiply, 2.0, nl.maximum, b), DATA, TILE)
    np.testing.assert_array_equal(found, np.maximum(2 * DATA, TILE))


@pytest.mark.parametrize(
    ("op0", "psum", "message"),
    [(nl.bitwise_and, (), "nl.add"), (nl.multiply, (0, 1), "at most one input in PSUM")],
)
def test_scalar_tensor_tensor_refuses(op0, psum, message):
    with pytest.raises(NkiValidationError, match=message):
        run(lambda dst, a, b: nisa.scalar_tensor_tensor(dst, a, op0, 2, nl.add, b), DATA, TILE, psum=psum)


REDUCTIONS = {"add": np.sum, "multiply": np.prod, "maximum": np.max, "minimum": np.min}


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("negate", [False, True])
def test_tensor_scalar_reduce_gives_the_result_and_its_reduction(name, negate):
    def body(dst, x, y):
        total = nl.ndarray((6, 1), nl.float32)
        nisa.tensor_scalar_reduce(dst[:, :20], x, nl.multiply, y, getattr(nl, name), total, reduce_res_negate=negate)
        nisa.tensor_copy(dst[:, 20:], total)

    found = run(body, DATA, COLUMN, shape=(6, 21))
    product = DATA * COLUMN
    np.testing.assert_array_equal(found[:, :20], product)
    np.testing.assert_allclose(found[:, 20], (-1) ** negate * REDUCTIONS[name](product, axis=1), rtol=1e-5)


def test_the_absolute_maximum_of_a_tile_in_one_instruction():
    def body(dst, x):
        waste = nl.ndarray(x.shape, nl.bfloat16)
        nisa.tensor_scalar_reduce(waste, x, nl.abs, 0.0, reduce_op=nl.maximum, reduce_res=dst)

    np.testing.assert_array_equal(run(body, DATA, shape=(6, 1)), np.abs(DATA).max(axis=1, keepdims=True))


def test_the_registers_go_on_over_several_tiles():
    def body(dst, x, start):
        waste, cmd = nl.ndarray((6, 10), nl.float32), nisa.reduce_cmd
        nisa.tensor_scalar_reduce(waste, x[:, :10], nl.add, 0.0, nl.add, reduce_cmd=cmd.load_reduce, reduce_init=start)
        nisa.tensor_scalar_reduce(waste, x[:, 10:], nl.add, 0.0, nl.add, dst, reduce_cmd=cmd.reduce)

    found = run(body, DATA, COLUMN, shape=(6, 1))
    np.testing.assert_allclose(found, COLUMN + DATA.sum(axis=1, keepdims=True), rtol=1e-5, atol=1e-6)


def reduced(**options):
    """A tensor_scalar_reduce, for the refusals."""
    arguments = {"op0": nl.add, "operand0": 1.0, "reduce_op": nl.add, **options}
    return run(lambda dst, x: nisa.tensor_scalar_reduce(dst, x, **arguments), DATA)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reverse0": True}, "not supported yet"),
        ({"reduce_op": nl.subtract}, "nl.minimum"),
        ({"reduce_cmd": nisa.reduce_cmd.idle}, "reset_reduce"),
        ({"reduce_cmd": nisa.reduce_cmd.load_reduce}, "without reduce_init"),
        ({"reduce_init": 1.0}, "only with load_reduce"),
        ({"op0": nl.bitwise_and}, "nl.add"),
    ],
)
def test_tensor_scalar_reduce_refuses(options, message):
    with pytest.raises(NkiValidationError, match=message):
        reduced(**options)
