"""Oracle: torch's functions of `data * scale + bias` in float64, and sums over them."""

import ml_dtypes
import numpy as np
import pytest
import torch

import course_lib.nki.isa as nisa
import course_lib.nki.language as nl
from course_lib.nki import NkiValidationError

from .on_tiles import normal, run

cmd = nisa.reduce_cmd
DATA, BIAS, SCALE = normal(6, 20), normal(6, 1, seed=1), normal(6, 1, seed=2)
FUNCTIONS = {
    "copy": lambda x: x,
    "exp": torch.exp,
    "silu": torch.nn.functional.silu,
    "gelu": torch.nn.functional.gelu,
    "square": torch.square,
    "tanh": torch.tanh,
    "sign": torch.sign,
    "softplus": torch.nn.functional.softplus,
}


def wanted(name, x):
    return FUNCTIONS[name](torch.from_numpy(np.asarray(x, dtype=np.float64))).numpy()


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3, np.int16])
@pytest.mark.parametrize("target", ["gen2", "gen4"])
def test_activation_applies_scale_then_bias_then_the_function(name, dtype, target):
    x = (2 * DATA).astype(dtype)
    found = run(
        lambda dst, data, b, s: nisa.activation(dst, getattr(nl, name), data, bias=b, scale=s),
        x,
        BIAS,
        SCALE,
        target=target,
        psum=(0, 1),
    )
    np.testing.assert_allclose(found, wanted(name, x.astype(np.float64) * SCALE + BIAS), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, np.float16, np.int32])
def test_a_bias_may_have_any_format_and_a_scale_may_be_a_number(dtype):
    bias = (3 * BIAS).astype(dtype)
    found = run(lambda dst, x, b: nisa.activation(dst, nl.exp, x, bias=b, scale=0.5), DATA, bias, dtype=nl.bfloat16)
    expected = np.exp(DATA.astype(np.float64) * 0.5 + bias.astype(np.float64))
    np.testing.assert_allclose(found.astype(np.float64), expected, rtol=2**-8)


@pytest.mark.parametrize("target", ["gen3", "gen4"])
def test_a_bias_may_be_a_number_from_trn2_on(target):
    found = run(lambda dst, x: nisa.activation(dst, nl.copy, x, bias=1.5), DATA, target=target)
    np.testing.assert_array_equal(found, DATA + np.float32(1.5))


def test_sine_is_right_within_pi_and_goes_on_as_a_cubic_outside():
    x = np.array([[-3.1, -1.0, 0.0, 2.0, 3.1, 9.0, -9.0]], np.float32)
    found = run(lambda dst, t: nisa.activation(dst, nl.sin, t), x)
    np.testing.assert_allclose(found[:, :5], np.sin(x[:, :5]), atol=1e-6)
    np.testing.assert_allclose(found[0, 5:], [27.65, -27.65], atol=0.01)


def test_activation_sums_over_all_free_dimensions_and_several_instructions():
    def body(dst, x):
        out = nl.ndarray((6, 2, 5), nl.bfloat16)
        for half, command in ((0, cmd.reset_reduce), (1, cmd.reduce)):
            part = x[:, 10 * half : 10 * half + 10]
            last = dst if half else None
            nisa.activation(out, nl.exp, part, reduce_op=nl.add, reduce_res=last, reduce_cmd=command)

    found = run(body, DATA, shape=(6, 1))
    np.testing.assert_allclose(found, np.exp(DATA).sum(axis=1, keepdims=True), rtol=1e-5)


def test_the_sum_is_of_float32_results_even_if_dst_is_coarse():
    def body(dst, x):
        nisa.activation_reduce(nl.ndarray(x.shape, nl.float8_e4m3), nl.copy, x, nl.add, dst, scale=3.0)

    np.testing.assert_allclose(run(body, DATA, shape=(6, 1))[:, 0], (3 * DATA).sum(axis=1), rtol=1e-4)


def test_idle_leaves_the_registers_and_reset_clears_them():
    def body(dst, x):
        out = nl.ndarray(x.shape, nl.float32)
        nisa.activation(out, nl.copy, x, reduce_op=nl.add, reduce_cmd=cmd.reset_reduce)
        nisa.activation(out, nl.exp, x, reduce_res=dst[:, 0:1])
        nisa.activation(out, nl.exp, x, reduce_res=dst[:, 1:2], reduce_cmd=cmd.reset)

    found = run(body, DATA, shape=(6, 2))
    np.testing.assert_allclose(found[:, 0], DATA.sum(axis=1), rtol=1e-4, atol=1e-6)
    assert (found[:, 1] == 0).all()


def test_registers_that_nobody_reset_hold_garbage():
    def body(dst, x):
        out = nl.ndarray(x.shape, nl.float32)
        nisa.activation(out, nl.exp, x, reduce_op=nl.add, reduce_res=dst, reduce_cmd=cmd.reduce)

    assert np.isnan(run(body, DATA, shape=(6, 1))).all()


def act(op=nl.exp, target="gen3", psum=(), **options):
    """An activation, for the refusals."""
    return run(lambda dst, x: nisa.activation(dst, op, x, **options), DATA, target=target, psum=psum)


REFUSED = {
    "cosine": (lambda: act(nl.cos), "nl.sin"),
    "an operator of two inputs": (lambda: act(nl.add), "the scalar engine has"),
    "NumPy's function": (lambda: act(np.exp), "op=nl.exp"),
    "a bias that is a number on trn1": (lambda: act(target="gen2", bias=1.0), r"\(P, 1\) tile"),
    "a reduction other than add": (lambda: act(reduce_op=nl.maximum, reduce_cmd=cmd.reset_reduce), "nl.add"),
    "a reduction without operator": (lambda: act(reduce_cmd=cmd.reset_reduce), "nl.add"),
    "load_reduce": (lambda: act(reduce_op=nl.add, reduce_cmd=cmd.load_reduce), "reset_reduce"),
    "text for a command": (lambda: act(reduce_op=nl.add, reduce_cmd="reduce"), "nisa.reduce_cmd"),
    "a wide bias": (lambda: run(lambda dst, x: nisa.activation(dst, nl.exp, x, bias=x), DATA), "one element"),
    "a bfloat16 scale": (
        lambda: run(lambda dst, x, s: nisa.activation(dst, nl.exp, x, scale=s), DATA, SCALE.astype(ml_dtypes.bfloat16)),
        "float32",
    ),
    "a bias for reciprocal on trn1": (
        lambda: run(lambda dst, x, b: nisa.activation(dst, nl.reciprocal, x, bias=b), DATA, BIAS, target="gen2"),
        "no bias",
    ),
    "a result of another size": (
        lambda: run(lambda dst, x: nisa.activation(dst[:, :3], nl.exp, x), DATA),
        "same number of elements",
    ),
    "a wide reduce_res": (
        lambda: run(lambda dst, x: nisa.activation(dst, nl.exp, x, None, 1.0, nl.add, x, cmd.reset_reduce), DATA),
        "one element",
    ),
    "activate2 before trn3": (
        lambda: run(lambda dst, x: nisa.activate2(dst, nl.exp, x, 1.0, 1.0, nl.multiply, nl.add), DATA, target="gen3"),
        "NeuronCore-v4",
    ),
    "exponential before trn3": (
        lambda: run(lambda dst, x: nisa.exponential(dst, x), DATA, target="gen2"),
        "NeuronCore-v4",
    ),
    "activate2 with another pair": (
        lambda: run(lambda dst, x: nisa.activate2(dst, nl.exp, x, 1.0, 1.0, nl.add, nl.multiply), DATA),
        "nl.bypass",
    ),
    "reverse without an operator": (
        lambda: run(lambda dst, x: nisa.activate2(dst, nl.exp, x, 1.0, 1.0, nl.add, nl.bypass, reverse1=True), DATA),
        "reverse",
    ),
    "immediates of two formats": (
        lambda: run(
            lambda dst, x, a, b: nisa.activate2(dst, nl.exp, x, a, b, nl.multiply, nl.add),
            DATA,
            BIAS,
            SCALE.astype(ml_dtypes.bfloat16),
        ),
        "one format",
    ),
    "exponential with a start and no load_reduce": (
        lambda: run(lambda dst, x: nisa.exponential(dst, x, reduce_init=1.0), DATA),
        "only with load_reduce",
    ),
    "exponential with reset": (
        lambda: run(lambda dst, x: nisa.exponential(dst, x, reduce_cmd=cmd.reset), DATA),
        "reset_reduce",
    ),
    "exponential to uint32": (
        lambda: run(lambda dst, x: nisa.exponential(dst, x), DATA, dtype=nl.uint32),
        "dst is uint32",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_the_activation_family_refuses(what):
    call, message = REFUSED[what]
    with pytest.raises(NkiValidationError, match=message):
        call()


PAIRS = {
    ("multiply", "add"): lambda x, a, b: x * a + b,
    ("multiply", "subtract"): lambda x, a, b: x * a - b,
    ("multiply", "bypass"): lambda x, a, b: x * a,
    ("add", "bypass"): lambda x, a, b: x + a,
    ("subtract", "bypass"): lambda x, a, b: x - a,
    ("bypass", "bypass"): lambda x, a, b: x,
}


@pytest.mark.parametrize("pair", PAIRS)
def test_activate2_has_six_pairs_of_steps(pair):
    op0, op1 = (getattr(nl, name) for name in pair)
    found = run(lambda dst, x, a: nisa.activate2(dst, nl.tanh, x, a, 0.5, op0, op1), DATA, BIAS, psum=(0,))
    np.testing.assert_allclose(found, np.tanh(PAIRS[pair](DATA, BIAS, np.float32(0.5))), rtol=1e-5, atol=1e-6)


def test_activate2_reverses_both_steps():
    found = run(
        lambda dst, x: nisa.activate2(
            dst, nl.copy, x, 2.0, 3.0, nl.multiply, nl.subtract, reverse0=True, reverse1=True
        ),
        DATA,
    )
    np.testing.assert_allclose(found, 3 - 2 * DATA, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("slope", [0.25, "a tile"])
def test_prelu_has_the_slope_of_relu_param(slope):
    def body(dst, x, s):
        param = s if slope == "a tile" else slope
        nisa.activate2(dst, nl.prelu, x, 1.0, 0.0, nl.bypass, nl.bypass, relu_param=param)

    slopes = SCALE if slope == "a tile" else np.float32(slope)
    expected = np.where(DATA > 0, DATA, DATA * slopes)
    np.testing.assert_array_equal(run(body, DATA, SCALE), expected)


def by_size(x, pick):
    return np.take_along_axis(x, pick(np.abs(x), axis=1)[:, None], axis=1)[:, 0]


REDUCTIONS = {
    "add": lambda x: x.sum(axis=1),
    "maximum": lambda x: x.max(axis=1),
    "minimum": lambda x: x.min(axis=1),
    "abs_max": lambda x: by_size(x, np.argmax),
    "abs_min": lambda x: by_size(x, np.argmin),
}


@pytest.mark.parametrize("name", REDUCTIONS)
def test_activate2_reduces_five_ways_over_two_instructions(name):
    def body(dst, x):
        out, op = nl.ndarray((6, 10), nl.float32), getattr(nl, name)
        for half, command in ((0, cmd.reset_reduce), (1, cmd.reduce)):
            nisa.activate2(
                out,
                nl.copy,
                x[:, 10 * half : 10 * half + 10],
                0.0,
                0.0,
                nl.bypass,
                nl.bypass,
                reduce_op=op,
                reduce_res=dst,
                reduce_cmd=command,
            )

    np.testing.assert_allclose(run(body, DATA, shape=(6, 1))[:, 0], REDUCTIONS[name](DATA), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, np.int8])
def test_exponential_subtracts_the_maximum_and_sums(dtype):
    x = (2 * DATA).astype(dtype)

    def body(dst, t, top):
        total = nl.ndarray((6, 1), nl.float32)
        nisa.exponential(dst[:, :20], t, top, total, cmd.load_reduce, 2.0)
        nisa.tensor_copy(dst[:, 20:], total)

    largest = x.astype(np.float32).max(axis=1, keepdims=True)
    found = run(body, x, largest, shape=(6, 21), psum=(0,))
    expected = np.exp(x.astype(np.float64) - largest)
    np.testing.assert_allclose(found[:, :20], expected, rtol=1e-5)
    np.testing.assert_allclose(found[:, 20], 2 + expected.sum(axis=1), rtol=1e-5)


def test_after_an_idle_exponential_the_vector_registers_are_undefined():
    def body(dst, x):
        out = nl.ndarray(x.shape, nl.float32)
        nisa.exponential(out, x, reduce_cmd=cmd.reset_reduce)
        nisa.exponential(out, x)
        nisa.exponential(out, x, reduce_res=dst, reduce_cmd=cmd.reduce)

    assert np.isnan(run(body, DATA, shape=(6, 1))).all()
