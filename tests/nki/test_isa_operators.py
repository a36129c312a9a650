"""Oracle: torch's functions and their derivatives by autograd, in float64; Python integers for bit operators."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.nki.constants import nc_version
from course_lib.nki.operators import OPS, as_op

X = np.linspace(-9, 9, 1801).astype(np.float32)
FUNCTIONS = {
    "abs": torch.abs,
    "exp": torch.exp,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "gelu": torch.nn.functional.gelu,
    "gelu_apprx_tanh": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
    "gelu_apprx_sigmoid": lambda x: x * torch.sigmoid(1.702 * x),
    "silu": torch.nn.functional.silu,
    "softplus": torch.nn.functional.softplus,
    "mish": torch.nn.functional.mish,
    "erf": torch.erf,
    "reciprocal": torch.reciprocal,
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "arctan": torch.arctan,
    "ceil": torch.ceil,
    "floor": torch.floor,
    "trunc": torch.trunc,
    "negative": torch.negative,
    "sign": torch.sign,
    "square": torch.square,
    "logical_not": lambda x: torch.logical_not(x).double(),
    "copy": lambda x: x,
}
DERIVATIVES = {
    "gelu_dx": FUNCTIONS["gelu"],
    "gelu_apprx_sigmoid_dx": FUNCTIONS["gelu_apprx_sigmoid"],
    "silu_dx": FUNCTIONS["silu"],
    "erf_dx": FUNCTIONS["erf"],
}
POSITIVE = {"log": torch.log, "sqrt": torch.sqrt, "rsqrt": torch.rsqrt}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_torchs_in_float32(name):
    with np.errstate(all="ignore"):
        found = OPS[name].compute(X)
    expected = FUNCTIONS[name](torch.from_numpy(X).double()).numpy()
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=5e-7)


@pytest.mark.parametrize("name", DERIVATIVES)
def test_a_derivative_is_autograds(name):
    x = torch.from_numpy(X).double().requires_grad_()
    DERIVATIVES[name](x).sum().backward()
    np.testing.assert_allclose(OPS[name].compute(X), x.grad.numpy(), rtol=2e-6, atol=5e-7)


@pytest.mark.parametrize("name", POSITIVE)
def test_a_function_of_positive_numbers_is_torchs(name):
    x = np.geomspace(2.0**-40, 2.0**40, 500).astype(np.float32)
    np.testing.assert_allclose(OPS[name].compute(x), POSITIVE[name](torch.from_numpy(x).double()).numpy(), rtol=2e-6)


@pytest.mark.parametrize("name", ["gelu", "silu", "mish", "softplus", "sigmoid", "gelu_apprx_tanh", "erf", "silu_dx"])
def test_a_function_takes_huge_numbers_and_hands_nan_on(name):
    with np.errstate(all="ignore"):
        high, nan = OPS[name].compute(np.array([80.0, np.nan], np.float32))
    assert high == (80.0 if name in ("gelu", "silu", "mish", "softplus", "gelu_apprx_tanh") else 1.0)
    assert np.isnan(nan)


@pytest.mark.parametrize("x", [-0.0, 1e-30, 1e-5, 0.3, 0.47, 2.5, 3.99, 4.0, 1e30, math.inf, -math.inf])
def test_erf_is_within_one_in_ten_million(x):
    assert float(OPS["erf"].compute(np.float32(x))) == pytest.approx(math.erf(np.float32(x)), rel=2e-7, abs=0.0)


@pytest.mark.parametrize(
    ("name", "x", "y", "expected"),
    [("abs_max", -5, 3, -5), ("abs_min", -5, 3, 3), ("abs_max", 1, -1, -1), ("abs_min", 1, -1, -1)],
)
def test_abs_max_and_abs_min_keep_the_sign_and_take_the_right_one_of_a_tie(name, x, y, expected):
    assert OPS[name].compute(np.float32(x), np.float32(y)) == expected


BINARY = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "maximum": max,
    "minimum": min,
    "power": lambda a, b: abs(a) ** b,
    "equal": lambda a, b: a == b,
    "not_equal": lambda a, b: a != b,
    "less": lambda a, b: a < b,
    "less_equal": lambda a, b: a <= b,
    "greater": lambda a, b: a > b,
    "greater_equal": lambda a, b: a >= b,
    "logical_and": lambda a, b: bool(a) and bool(b),
    "logical_or": lambda a, b: bool(a) or bool(b),
    "logical_xor": lambda a, b: bool(a) != bool(b),
    "fmod": math.fmod,
    "mod": lambda a, b: a % b,
}


@pytest.mark.parametrize("name", BINARY)
def test_a_binary_operator_is_pythons(name):
    for a, b in [(2.5, 1.5), (-2.5, 1.5), (1.5, 1.5), (-7.0, -2.0), (0.0, 3.0)]:
        left = abs(a) if name == "power" else a
        found = float(OPS[name].compute(np.float32(left), np.float32(b)))
        assert found == pytest.approx(float(BINARY[name](a, b)), rel=1e-6), (a, b)


@settings(max_examples=30, deadline=None)
@given(x=st.integers(-(2**31), 2**31 - 1), y=st.integers(-(2**31), 2**31 - 1), by=st.integers(0, 40))
def test_bit_operators_work_on_32_bits_and_shift_logically(x, y, by):
    a, b, steps = np.array([x], np.int32), np.array([y], np.int32), np.array([by], np.int32)
    signed = lambda bits: (bits & 0xFFFFFFFF) - (1 << 32 if bits & 0x80000000 else 0)  # noqa: E731
    assert OPS["bitwise_and"].compute(a, b)[0] == x & y
    assert OPS["bitwise_or"].compute(a, b)[0] == x | y
    assert OPS["bitwise_xor"].compute(a, b)[0] == x ^ y
    assert OPS["invert"].compute(a)[0] == ~x
    assert OPS["left_shift"].compute(a, steps)[0] == signed(x << by)
    assert OPS["right_shift"].compute(a, steps)[0] == signed((x & 0xFFFFFFFF) >> by)


def test_the_documented_operators_may_reduce():
    reducing = {op.name for op in OPS.values() if op.reducible}
    assert reducing == {
        *("add", "subtract", "multiply", "maximum", "minimum"),
        *("logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor"),
    }


def test_the_operators_that_came_with_trn3_say_so():
    assert {op.name for op in OPS.values() if op.since > nc_version.gen2} == {"abs_max", "abs_min", "square", "relu"}


def test_a_token_cannot_be_called():
    with pytest.raises(TypeError, match="token"):
        OPS["bypass"]()


def test_only_operators_are_operators():
    assert as_op(OPS["add"]) is OPS["add"]
    assert as_op(np.add) is None
    assert as_op("add") is None
    assert as_op(max) is None
