"""Oracle: the OCP Microscaling definition in float64, block by block, with ml_dtypes' own 4- and 8-bit floats."""

import math

import ml_dtypes
import numpy as np
import pytest

import course_lib.nki.isa as nisa
import course_lib.nki.language as nl
from course_lib.nki import NkiValidationError, Options, simulate
from course_lib.nki.kernel import Kernel, run_kernel

RNG = np.random.default_rng(9)
FORMATS = {
    "float8_e5m2_x4": (ml_dtypes.float8_e5m2, 15),
    "float8_e4m3fn_x4": (ml_dtypes.float8_e4m3fn, 8),
    "float4_e2m1fn_x4": (ml_dtypes.float4_e2m1fn, 2),
}
FP8 = ("float8_e5m2_x4", "float8_e4m3fn_x4")


def quantized(values, name):
    """Elements and scale exponents of blocks of 8 rows and 4 columns, with the documented scale."""
    element, largest = FORMATS[name]
    values = values.astype(np.float64)
    rows, columns = values.shape
    elements, exponents = np.empty(values.shape, element), np.empty((rows // 8, columns // 4), np.int64)
    for i in range(rows // 8):
        for j in range(columns // 4):
            block = values[8 * i : 8 * i + 8, 4 * j : 4 * j + 4]
            peak = np.abs(block).max()
            exponent = math.floor(math.log2(peak)) - (largest - 1) if peak else -127
            exponents[i, j] = exponent
            elements[8 * i : 8 * i + 8, 4 * j : 4 * j + 4] = (block / 2.0**exponent).astype(np.float32).astype(element)
    return elements, exponents


def scattered(exponents, rows, offset=0):
    """Scales as they lie in SBUF: four partitions of each quadrant, from `offset` on."""
    result = np.full((rows, exponents.shape[1]), 77, np.uint8)
    for block, line in enumerate(exponents):
        result[block // 4 * 32 + block % 4 + offset] = line + 127
    return result


def run_quantize(data, name, scale_dtype="uint8", offset=0, **options):
    rows, columns = data.shape

    def kernel(x):
        out = nl.ndarray((rows, columns // 4), nl.uint32, nl.shared_hbm)
        out_scale = nl.ndarray((rows, columns // 4), nl.uint8, nl.shared_hbm)
        tile, packed = nl.ndarray(x.shape, x.dtype), nl.ndarray((rows, columns // 4), getattr(nl, name))
        scale, raw = nl.ndarray((rows, columns // 4), nl.uint8), nl.ndarray((rows, columns // 4), nl.uint8)
        nisa.dma_copy(tile, x)
        nisa.memset(scale, 77)
        view = scale if scale_dtype == "uint8" else scale.view(getattr(nl, scale_dtype))
        nisa.quantize_mx(packed, tile, view[offset:, :])
        nisa.dma_copy(out, packed.view(nl.uint32))
        nisa.tensor_copy(raw, scale)
        nisa.dma_copy(out_scale, raw)
        return out, out_scale

    return simulate(kernel, **options)(data)


@pytest.mark.parametrize("name", FP8)
@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16])
@pytest.mark.parametrize("rows", [32, 64, 128])
@pytest.mark.parametrize("scale_dtype", ["uint8", "float8_e8m0fnu"])
def test_quantize_mx_follows_the_definition_bit_by_bit(name, dtype, rows, scale_dtype):
    data = (RNG.normal(size=(rows, 24)) * 2.0 ** RNG.integers(-12, 6, (rows, 24))).astype(dtype)
    data[:8, :4] = 0
    packed, scale = run_quantize(data, name, scale_dtype)
    elements, exponents = quantized(data, name)
    np.testing.assert_array_equal(packed.view(np.uint8), elements.view(np.uint8))
    np.testing.assert_array_equal(scale, scattered(exponents, rows))


@pytest.mark.parametrize("name", FP8)
def test_rounding_up_the_largest_value_never_overflows(name):
    data = np.full((32, 4), 255, ml_dtypes.bfloat16)  # all mantissa bits set
    packed, _ = run_quantize(data, name)
    assert np.isfinite(packed.view(FORMATS[name][0]).astype(np.float32)).all()


@pytest.mark.parametrize("offset", [0, 4, 8, 12])
def test_scales_may_be_packed_at_four_places_of_a_quadrant(offset):
    data = RNG.normal(size=(128, 8)).astype(ml_dtypes.bfloat16)
    _, scale = run_quantize(data, "float8_e5m2_x4", offset=offset)
    np.testing.assert_array_equal(scale, scattered(quantized(data, "float8_e5m2_x4")[1], 128, offset))


def test_other_offsets_are_refused():
    with pytest.raises(NkiValidationError, match="0, 4, 8 or 12"):
        run_quantize(np.ones((64, 8), ml_dtypes.bfloat16), "float8_e5m2_x4", offset=16)


def quantize(shape=(32, 8), dtype=nl.bfloat16, out=(32, 2), name="float8_e5m2_x4", scale=(4, 2), scale_dtype=nl.uint8):
    return lambda: nisa.quantize_mx(
        nl.ndarray(out, getattr(nl, name)), nl.ndarray(shape, dtype), nl.ndarray(scale, scale_dtype)
    )


@pytest.mark.parametrize(
    ("match", "change"),
    [
        ("float16 or bfloat16", {"dtype": nl.float32}),
        ("dst is", {"name": "float4_e2m1fn_x4"}),
        ("32, 64, 96 or 128", {"shape": (16, 8), "out": (16, 2)}),
        ("multiple of 4", {"shape": (32, 6)}),
        (r"\(32, 2\)", {"out": (32, 3)}),
        ("exactly 2 columns", {"scale": (4, 3)}),
        ("at least 36 partitions", {"shape": (64, 8), "out": (64, 2), "scale": (8, 2)}),
        ("float8_e8m0fnu or uint8", {"scale_dtype": nl.int8}),
    ],
)
def test_quantize_mx_refuses_what_the_engine_lacks(match, change):
    with pytest.raises(NkiValidationError, match=match):
        simulate(quantize(**change))()


@pytest.mark.parametrize("target", ["gen2", "gen3"])
def test_microscaling_begins_with_gen4(target):
    with pytest.raises(NkiValidationError, match="NeuronCore-v4"):
        simulate(quantize(), target=target)()


def random_operand(name, partitions, columns):
    """Packed data (K, N), its scales in SBUF's layout, and the numbers they mean, (4 K, N) in float64."""
    element, _ = FORMATS[name]
    numbers = RNG.normal(size=(partitions, columns, 4)).astype(np.float32).astype(element)
    exponents = RNG.integers(-6, 4, (partitions // 8, columns))
    if name == "float4_e2m1fn_x4":
        nibbles = numbers.view(np.uint8).astype(np.uint16) & 0xF
        packed = sum(nibbles[..., lane] << (4 * lane) for lane in range(4)).astype(np.uint16)
    else:
        packed = np.ascontiguousarray(numbers).view(np.uint32)[..., 0]
    meant = numbers.astype(np.float64) * 2.0 ** np.repeat(exponents, 8, axis=0)[:, :, None]
    return packed, scattered(exponents, partitions), meant.transpose(0, 2, 1).reshape(4 * partitions, columns)


def run_matmul(left, right, names, dtype=nl.float32, repeat=1, options=None, **arguments):
    def kernel(a, a_scale, b, b_scale):
        shape = (a.shape[1], b.shape[1])
        out = nl.ndarray(shape, dtype, nl.shared_hbm)
        tiles = [nl.ndarray(each.shape, each.dtype) for each in (a, a_scale, b, b_scale)]
        for tile, each in zip(tiles, (a, a_scale, b, b_scale), strict=True):
            nisa.dma_copy(tile, each)
        result, back = nl.ndarray(shape, dtype, nl.psum), nl.ndarray(shape, dtype)
        one, other = (tile.view(getattr(nl, name)) for tile, name in zip(tiles[::2], names, strict=True))
        for _ in range(repeat):
            nisa.nc_matmul_mx(result, one, other, tiles[1], tiles[3], **arguments)
        nisa.tensor_copy(back, result)
        nisa.dma_copy(out, back)
        return out

    return simulate(kernel, **(options or {}))(*left[:2], *right[:2])


@pytest.mark.parametrize("one", FORMATS)
@pytest.mark.parametrize("other", FORMATS)
def test_nc_matmul_mx_multiplies_what_the_packed_numbers_mean(one, other):
    left, right = random_operand(one, 128, 32), random_operand(other, 128, 48)
    result = run_matmul(left, right, (one, other))
    np.testing.assert_allclose(result, left[2].T @ right[2], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("partitions", [32, 64, 96])
def test_fewer_quadrants_contract_fewer_numbers(partitions):
    left, right = (random_operand("float8_e4m3fn_x4", partitions, 16) for _ in range(2))
    arguments = {"tile_position": (0, 0), "tile_size": (128, 128)}
    result = run_matmul(left, right, ("float8_e4m3fn_x4",) * 2, **arguments)
    np.testing.assert_allclose(result, left[2].T @ right[2], rtol=1e-4, atol=1e-3)


def test_a_second_product_accumulates_unless_it_is_told_not_to():
    left, right = (random_operand("float8_e5m2_x4", 32, 8) for _ in range(2))
    names, expected = ("float8_e5m2_x4",) * 2, left[2].T @ right[2]
    np.testing.assert_allclose(run_matmul(left, right, names, repeat=3), 3 * expected, rtol=1e-4, atol=1e-3)
    once = run_matmul(left, right, names, repeat=3, accumulate=False)
    np.testing.assert_allclose(once, expected, rtol=1e-4, atol=1e-3)


def test_the_result_may_be_bfloat16():
    left, right = (random_operand("float8_e5m2_x4", 32, 8) for _ in range(2))
    result = run_matmul(left, right, ("float8_e5m2_x4",) * 2, dtype=nl.bfloat16).astype(np.float64)
    np.testing.assert_allclose(result, left[2].T @ right[2], rtol=2**-7, atol=0.05)


@pytest.mark.parametrize("precise", [True, False])
def test_quantize_and_multiply_come_close_to_the_exact_product(precise):
    rows, columns = 128, 16

    def kernel(a, b):
        out = nl.ndarray((columns, columns), nl.float32, nl.shared_hbm)
        operands = []
        for each in (a, b):
            tile = nl.ndarray(each.shape, each.dtype)
            data = nl.ndarray((rows, columns), nl.float8_e4m3fn_x4)
            scale = nl.ndarray((rows, columns), nl.float8_e8m0fnu)
            nisa.dma_copy(tile, each)
            nisa.quantize_mx(data, tile, scale)
            operands.append((data, scale))
        result, back = nl.ndarray(out.shape, nl.float32, nl.psum), nl.ndarray(out.shape, nl.float32)
        nisa.nc_matmul_mx(result, operands[0][0], operands[1][0], operands[0][1], operands[1][1])
        nisa.tensor_copy(back, result)
        nisa.dma_copy(out, back)
        return out

    a, b = (RNG.normal(size=(rows, 4 * columns)).astype(ml_dtypes.bfloat16) for _ in range(2))
    result = simulate(kernel, precise=precise)(a, b)
    one, other = (x.astype(np.float64).reshape(rows, columns, 4) for x in (a, b))
    exact = np.einsum("kiq,kjq->ij", one, other)
    assert np.abs(result - exact).max() < 0.05 * np.abs(exact).max()


@pytest.mark.parametrize(
    ("match", "change"),
    [
        ("tile_position", {"tile_position": (0, 0)}),
        ("columns", {"tile_position": (0, 0), "tile_size": (64, 64)}),
        ("start at a multiple", {"tile_position": (32, 0), "tile_size": (64, 128)}),
        ("at most 32", {"tile_position": (0, 0), "tile_size": (32, 128)}),
    ],
)
def test_row_tiles_must_fit(match, change):
    left, right = (random_operand("float8_e5m2_x4", 64, 8) for _ in range(2))
    with pytest.raises(NkiValidationError, match=match):
        run_matmul(left, right, ("float8_e5m2_x4",) * 2, **change)


@pytest.mark.parametrize(
    ("match", "m", "n", "partitions", "dtype"),
    [
        ("even number", 7, 8, 32, nl.float32),
        ("4096", 8, 4097, 32, nl.float32),
        ("32, 64, 96 or 128", 8, 8, 16, nl.float32),
        ("float32 or bfloat16", 8, 8, 32, nl.float16),
    ],
)
def test_nc_matmul_mx_refuses_what_the_engine_lacks(match, m, n, partitions, dtype):
    def kernel():
        data = [nl.ndarray((partitions, columns), nl.float8_e5m2_x4) for columns in (m, n)]
        scales = [nl.ndarray((max(partitions // 8, 4), columns), nl.uint8) for columns in (m, n)]
        result = nl.ndarray((m, min(n, 4096)), dtype, nl.psum)
        nisa.nc_matmul_mx(result, *data, *scales)

    with pytest.raises(NkiValidationError, match=match):
        simulate(kernel)()


def test_the_cost_model_sees_four_times_the_contraction():
    def kernel():
        data, scale = nl.ndarray((64, 32), nl.float8_e5m2_x4), nl.ndarray((64, 32), nl.uint8)
        nisa.nc_matmul_mx(nl.ndarray((32, 32), nl.float32, nl.psum), data, data, scale, scale)

    _, cores = run_kernel(Kernel(kernel), (), {}, Options(record=True, execute=False))
    about = cores[0].instructions[-1].about
    assert (about["k"], about["m"], about["n"], about["flops"]) == (256, 32, 32, 2 * 256 * 32 * 32)
