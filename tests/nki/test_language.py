"""Oracle: NumPy and math expressions of the documented definitions, in float64 where it matters."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from course_lib.nki import NkiValidationError, simulate
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl
from course_lib.nki.options import Options
from course_lib.nki.session import Core, running

TARGETS = ("trn1", "trn2", "trn3")
RNG = np.random.default_rng(3)
X = RNG.standard_normal((100, 48)).astype(np.float32) * 3
Y = RNG.standard_normal((100, 48)).astype(np.float32) * 2
P = np.abs(X) + np.float32(0.01)
INTEGERS = RNG.integers(-40, 40, (64, 24)).astype(np.int32)
SHIFTS = RNG.integers(0, 5, (64, 24)).astype(np.int32)


def on_device(function, *arrays, target="trn3", **options):
    """Loads arrays into tiles, applies `function`, and stores its result."""

    def kernel(*tensors):
        result = function(*(nl.load(tensor) for tensor in tensors))
        if result.buffer is nl.psum:
            result = nl.copy(result)
        out = nl.ndarray(result.shape, result.dtype, buffer=nl.shared_hbm)
        nl.store(out, result)
        return out

    return simulate(kernel, target=target, **options)(*arrays)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def erf(x):
    return np.vectorize(math.erf)(x)


def slope(function, x, step=1e-5):
    return (function(x + step) - function(x - step)) / (2 * step)


def gelu(x):
    return x * 0.5 * (1 + erf(x / math.sqrt(2)))


UNARY = {
    "abs": (X, np.abs),
    "exp": (X, np.exp),
    "log": (P, np.log),
    "sqrt": (P, np.sqrt),
    "rsqrt": (P, lambda x: 1 / np.sqrt(x)),
    "tanh": (X, np.tanh),
    "sigmoid": (X, sigmoid),
    "relu": (X, lambda x: np.maximum(x, 0)),
    "gelu": (X, gelu),
    "gelu_apprx_sigmoid": (X, lambda x: x * sigmoid(1.702 * x)),
    "gelu_apprx_tanh": (X, lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))),
    "gelu_dx": (X, lambda x: slope(gelu, x)),
    "gelu_apprx_sigmoid_dx": (X, lambda x: slope(lambda z: z * sigmoid(1.702 * z), x)),
    "silu": (X, lambda x: x * sigmoid(x)),
    "silu_dx": (X, lambda x: slope(lambda z: z * sigmoid(z), x)),
    "softplus": (X, lambda x: np.log1p(np.exp(x))),
    "mish": (X, lambda x: x * np.tanh(np.log1p(np.exp(x)))),
    "erf": (X, erf),
    "erf_dx": (X, lambda x: 2 / math.sqrt(math.pi) * np.exp(-(x**2))),
    "reciprocal": (P, lambda x: 1 / x),
    "sin": (X * 20, np.sin),
    "cos": (X * 20, np.cos),
    "tan": (X, np.tan),
    "arctan": (X * 20, np.arctan),
    "ceil": (X * 5, np.ceil),
    "floor": (X * 5, np.floor),
    "trunc": (X * 5, np.trunc),
    "negative": (X, np.negative),
    "sign": (X, np.sign),
    "square": (X, np.square),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", UNARY)
def test_unary_functions_follow_their_definition(name, target):
    values, expected = UNARY[name]
    got = on_device(getattr(nl, name), values, target=target)
    np.testing.assert_allclose(got, expected(values.astype(np.float64)), rtol=4e-5, atol=4e-6)


BINARY = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "equal": np.equal,
    "not_equal": np.not_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "fmod": np.fmod,
    "mod": np.mod,
}


@pytest.mark.parametrize("name", BINARY)
def test_binary_functions_take_tiles_numbers_and_columns(name):
    function, expected = getattr(nl, name), BINARY[name]
    close = {"rtol": 1e-5, "atol": 1e-5}
    np.testing.assert_allclose(on_device(function, X, Y), expected(X, Y), **close)
    np.testing.assert_allclose(on_device(lambda x: function(x, 1.5), X), expected(X, np.float32(1.5)), **close)
    np.testing.assert_allclose(on_device(lambda x: function(1.5, x), P), expected(np.float32(1.5), P), **close)
    if name not in ("fmod", "mod"):
        np.testing.assert_allclose(
            on_device(lambda x, y: function(x, y[:, 0:1]), X, Y), expected(X, Y[:, 0:1]), **close
        )


def test_the_result_of_mod_has_the_divisors_sign_and_fmod_the_dividends():
    x = np.array([[7.5, -7.5, 7.5, -7.5, 6.0, -6.0]], np.float32)
    y = np.array([[2.0, 2.0, -2.0, -2.0, 3.0, 3.0]], np.float32)
    np.testing.assert_array_equal(on_device(nl.mod, x, y), [[1.5, 0.5, -0.5, -1.5, 0, 0]])
    np.testing.assert_array_equal(on_device(nl.fmod, x, y), [[1.5, -1.5, 1.5, -1.5, 0, 0]])


@pytest.mark.parametrize("name", ["bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift"])
def test_bit_functions_work_on_the_stored_integers(name):
    left = np.abs(INTEGERS)
    np.testing.assert_array_equal(on_device(getattr(nl, name), left, SHIFTS), getattr(np, name)(left, SHIFTS))
    np.testing.assert_array_equal(on_device(lambda x: getattr(nl, name)(x, 3), left), getattr(np, name)(left, 3))


def test_invert_and_logical_functions():
    np.testing.assert_array_equal(on_device(nl.invert, INTEGERS), np.invert(INTEGERS))
    flags, others = (INTEGERS > 0).astype(np.float32), (SHIFTS > 2).astype(np.float32)
    np.testing.assert_array_equal(on_device(nl.logical_not, flags), 1 - flags)
    for name in ("logical_and", "logical_or", "logical_xor"):
        np.testing.assert_array_equal(on_device(getattr(nl, name), flags, others), getattr(np, name)(flags, others))


def test_abs_max_keeps_the_sign_and_takes_y_on_a_tie_but_only_from_gen4():
    x, y = np.array([[-5.0, 1.0, 2.0]], np.float32), np.array([[3.0, -1.0, -7.0]], np.float32)
    np.testing.assert_array_equal(on_device(nl.abs_max, x, y), [[-5, -1, -7]])
    np.testing.assert_array_equal(on_device(nl.abs_min, x, y), [[3, -1, 2]])
    with pytest.raises(NkiValidationError, match="gen3"):
        on_device(nl.abs_max, x, y, target="trn2")


def test_power_of_two_tiles():
    np.testing.assert_allclose(on_device(nl.power, P, Y), P.astype(np.float64) ** Y, rtol=1e-4)


def test_floor_leaves_infinities_nan_and_large_numbers_alone():
    values = np.array([[np.inf, -np.inf, np.nan, 3e9, -3e9, 2.0**23 + 1, -0.5, 0.5, 2.5]], np.float32)
    for name in ("floor", "ceil"):
        np.testing.assert_array_equal(on_device(getattr(nl, name), values), getattr(np, name)(values))


@given(st.integers(1, 128), st.integers(1, 40), st.floats(-1e4, 1e4, width=32))
@settings(max_examples=20, deadline=None)
@example(51, 40, 9409.0)  # a quotient close to a half, where rounding chooses the wrong turn
def test_sin_reduces_its_range(rows, columns, start):
    values = (np.arange(rows * columns, dtype=np.float32) * np.float32(0.37) + np.float32(start)).reshape(rows, columns)
    expected = np.sin(values.astype(np.float64))
    np.testing.assert_allclose(on_device(nl.sin, values), expected, atol=4e-6)


@pytest.mark.parametrize("transpose_x", [False, True])
@pytest.mark.parametrize("target", TARGETS)
def test_matmul_multiplies_and_lands_in_psum(transpose_x, target):
    x, y = X[:40, :32], Y[:32, :20]
    left = np.ascontiguousarray(x.T) if transpose_x else x
    got = on_device(lambda a, b: nl.matmul(a, b, transpose_x=transpose_x), left, np.ascontiguousarray(y), target=target)
    np.testing.assert_allclose(got, x @ y, rtol=1e-5, atol=1e-5)


def test_transpose_of_sbuf_and_of_psum():
    np.testing.assert_array_equal(on_device(nl.transpose, X), X.T)
    np.testing.assert_array_equal(on_device(lambda x: nl.transpose(nl.transpose(x)), X), X)


@pytest.mark.parametrize("target", TARGETS)
def test_softmax_and_rms_norm(target):
    exact = np.exp(X.astype(np.float64) - X.max(axis=1, keepdims=True))
    np.testing.assert_allclose(
        on_device(nl.softmax, X, target=target), exact / exact.sum(axis=1, keepdims=True), rtol=1e-5, atol=1e-7
    )
    norm = X / np.sqrt((X.astype(np.float64) ** 2).mean(axis=1, keepdims=True) + 1e-6) * Y
    got = on_device(lambda x, w: nl.rms_norm(x, w, axis=1, n=48), X, Y, target=target)
    np.testing.assert_allclose(got, norm, rtol=1e-5, atol=1e-6)


def test_softmax_over_the_last_of_three_dimensions():
    cube = X.reshape(100, 6, 8)
    exact = np.exp(cube.astype(np.float64) - cube.max(axis=2, keepdims=True))
    np.testing.assert_allclose(
        on_device(lambda x: nl.softmax(x, axis=2), cube), exact / exact.sum(2, keepdims=True), 1e-5
    )


def test_where_takes_tiles_and_numbers():
    np.testing.assert_array_equal(on_device(lambda x, y: nl.where(nl.greater(x, 0), x, y), X, Y), np.where(X > 0, X, Y))
    np.testing.assert_array_equal(on_device(lambda x: nl.where(nl.greater(x, 0), x, 0.0), X), np.where(X > 0, X, 0))


@pytest.mark.parametrize("shape", [(1, 48), (100, 1), (1, 1)])
def test_broadcast_to_repeats_dimensions_of_size_one(shape):
    small = X[: shape[0], : shape[1]]
    got = on_device(lambda x: nl.broadcast_to(x, (100, 48)), np.ascontiguousarray(small))
    np.testing.assert_array_equal(got, np.broadcast_to(small, (100, 48)))


def test_gather_flattened_picks_within_each_partition():
    data, places = X[:64, :24].copy(), np.abs(INTEGERS) % 24
    np.testing.assert_array_equal(
        on_device(nl.gather_flattened, data, places), np.take_along_axis(data, places, axis=1)
    )


def test_load_transpose2d_and_expand_dims():
    def kernel(x):
        tile = nl.expand_dims(nl.load_transpose2d(x), 1)
        out = nl.ndarray(tile.shape, tile.dtype, buffer=nl.shared_hbm)
        nl.store(out, tile)
        return out

    np.testing.assert_array_equal(simulate(kernel)(X), X.T[:, None, :])


@pytest.mark.parametrize("buffer", [nl.sbuf, nl.psum, nl.shared_hbm])
def test_full_zeros_and_ones_fill_every_region(buffer):
    def kernel():
        out = nl.ndarray((3, 130, 20), nl.float32, buffer=nl.shared_hbm)
        for place, made in enumerate((nl.zeros, nl.ones, lambda *a, **k: nl.full(a[0], 7.5, *a[1:], **k))):
            for first, rows in ((0, 128), (128, 2)):
                tile = made((rows, 20), nl.float32, buffer=buffer)
                if buffer is nl.psum:
                    tile = nl.copy(tile)
                nisa.dma_copy(dst=out[place, first : first + rows], src=tile)
        return out

    got = simulate(kernel)()
    np.testing.assert_array_equal(got, np.broadcast_to(np.array([0, 1, 7.5]).reshape(3, 1, 1), (3, 130, 20)))


def test_full_reaches_beyond_one_tile_in_hbm():
    np.testing.assert_array_equal(simulate(lambda: nl.full((300, 3000), 2, nl.int32, buffer=nl.shared_hbm))(), 2)


def test_empty_like_and_zeros_like_take_shape_format_and_region():
    with running(Core(Options())):
        tile = nl.ndarray((4, 6), nl.bfloat16, buffer=nl.psum)
        for made in (nl.empty_like(tile), nl.zeros_like(tile)):
            assert (made.shape, made.dtype, made.buffer) == ((4, 6), nl.bfloat16, nl.psum)
        assert nl.zeros_like(tile, dtype=nl.float32, buffer=nl.sbuf).buffer is nl.sbuf


def test_constants_come_from_arrays_and_files(tmp_path):
    np.save(tmp_path / "constant.npy", X)
    path = str(tmp_path / "constant.npy")
    np.testing.assert_array_equal(simulate(lambda: nl.shared_constant(path))(), X)
    np.testing.assert_array_equal(on_device(lambda x: nl.shared_identity_matrix(48, dtype=nl.float32), X), np.eye(48))


@pytest.mark.parametrize("target", TARGETS)
def test_rand_is_uniform_and_repeats_after_the_same_seed(target):
    def draw(seed):
        nl.random_seed(seed)
        first = nl.rand((64, 500), nl.float32)
        nl.random_seed(seed)
        return nl.subtract(first, nl.rand((64, 500), nl.float32))

    seed = np.array([[42]], np.int32)
    np.testing.assert_array_equal(on_device(draw, seed, target=target), 0)
    numbers = on_device(lambda seed: nl.rand((64, 500), nl.float32), seed, target=target)
    assert numbers.min() >= 0
    assert numbers.max() <= 1
    assert abs(numbers.mean() - 0.5) < 6 * math.sqrt(1 / 12 / numbers.size)
    assert abs(numbers.var() - 1 / 12) < 0.01


def test_dropout_zeroes_about_the_rate_and_keeps_the_rest():
    got = on_device(lambda x: nl.dropout(x, 0.25), np.ones((128, 400), np.float32))
    assert set(np.unique(got)) == {0.0, 1.0}
    assert abs((got == 0).mean() - 0.25) < 6 * math.sqrt(0.25 * 0.75 / got.size)


def test_static_ranges_are_range_and_dynamic_ones_count_in_registers():
    assert list(nl.affine_range(4)) == [0, 1, 2, 3]
    assert list(nl.sequential_range(2, 8, 3)) == list(nl.static_range(2, 8, 3)) == [2, 5]

    def kernel(x, bound):
        out = nl.zeros((1, 8), nl.float32, buffer=nl.shared_hbm)
        register = nisa.register_alloc()
        nisa.register_load(register, nl.load(bound))

        def body(i):
            nisa.dma_copy(
                dst=out.ap([[8, 1], [1, 1]], scalar_offset=i, indirect_dim=1),
                src=x.ap([[8, 1], [1, 1]], scalar_offset=i, indirect_dim=1),
            )

        nl.fori_loop(1, register, body)
        for i in nl.dynamic_range(6, 8):
            body(i)
        return out

    x = np.arange(8, dtype=np.float32).reshape(1, 8)
    np.testing.assert_array_equal(simulate(kernel)(x, np.array([[4]], np.int32)), [[0, 1, 2, 3, 0, 0, 6, 7]])


@pytest.mark.parametrize(("start", "expected"), [(5, 5), (0, 0)])
def test_while_loop_tests_before_each_round(start, expected):
    def kernel(count):
        left, one, done = nl.load(count), nl.ones((1, 1), nl.int32), nl.zeros((1, 1), nl.int32)
        register = nisa.register_alloc()
        nisa.register_load(register, left)

        def body(r):
            nisa.tensor_tensor(dst=done, data1=done, data2=one, op=nl.add)
            nisa.tensor_tensor(dst=left, data1=left, data2=one, op=nl.subtract)
            nisa.register_load(r, left)
            return r

        nl.while_loop(register, body)
        out = nl.ndarray((1, 1), nl.int32, buffer=nl.shared_hbm)
        nl.store(out, done)
        return out

    assert simulate(kernel)(np.array([[start]], np.int32))[0, 0] == expected


def test_device_print_writes_the_text_and_the_values(capsys):
    on_device(lambda x: (nl.device_print("my tile", x), x)[1], np.array([[1.5, 2.5]], np.float32))
    assert capsys.readouterr().out == "my tile [[1.5 2.5]]\n"


def test_no_reorder_chains_the_instructions():
    core = Core(Options(record=True))
    with running(core):
        with nl.no_reorder():
            nl.ones((4, 4), nl.float32)
            nl.zeros((4, 4), nl.float32)
        nl.zeros((4, 4), nl.float32)
    assert [instruction.depends_on for instruction in core.instructions] == [[], [0], []]


# Bytes behind one partition, from the architecture guides: 24, 28 and 32 MiB over 128 partitions.
SBUF_BYTES = {"trn1": 192 * 1024, "trn2": 224 * 1024, "trn3": 256 * 1024}


@pytest.mark.parametrize("target", TARGETS)
def test_tile_size_follows_the_target(monkeypatch, target):
    monkeypatch.setenv("NEURON_PLATFORM_TARGET_OVERRIDE", target)
    assert nl.tile_size.pmax == nl.tile_size.gemm_stationary_fmax == 128
    assert nl.tile_size.gemm_moving_fmax == nl.tile_size.psum_bank_fmax == nl.tile_size.bn_stats_fmax == 512
    assert nl.tile_size.sbuf_fmax_bytes == nl.tile_size.total_available_sbuf_size == SBUF_BYTES[target]
    assert nl.tile_size.sbuf_fmax * 4 == SBUF_BYTES[target]
    assert nl.tile_size.sbuf_size_bytes == 128 * SBUF_BYTES[target]
    assert nl.tile_size.psum_num_banks == 8
    monkeypatch.setenv("NKI_DMA_TRANSPOSE_AS_PE_TRANSPOSE", "true")
    assert nl.tile_size.psum_num_banks == (8 if target == "trn1" else 7)


def test_tile_size_inside_a_kernel_is_that_of_its_target():
    with running(Core(Options(target="trn1"))):
        assert nl.tile_size.sbuf_fmax_bytes == SBUF_BYTES["trn1"]


def test_one_core_sees_itself_alone():
    with running(Core(Options())):
        assert (nl.program_id(0), nl.num_programs(), nl.program_ndim()) == (0, 1, 0)
        with pytest.raises(NkiValidationError, match="axis 0"):
            nl.program_id(1)


def test_convenience_functions_issue_the_instructions_of_the_hardware():
    core = Core(Options(record=True, target="trn2"))
    with running(core):
        x = nl.ones((128, 64), nl.float32)
        nl.matmul(x, x[0:64])
    assert [instruction.op for instruction in core.instructions] == [
        "memset",
        "nc_transpose",
        "tensor_copy",
        "nc_matmul",
    ]
