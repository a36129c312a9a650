"""Oracle: ml_dtypes' roundings, and the documented names, sizes and casts."""

import ml_dtypes
import numpy as np
import pytest

from course_lib.nki import NkiValidationError, simulate
from course_lib.nki import dtype as nki_dtype
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl

SIZES = {
    "bool_": 1,
    "int8": 1,
    "int16": 2,
    "int32": 4,
    "uint8": 1,
    "uint16": 2,
    "uint32": 4,
    "float16": 2,
    "bfloat16": 2,
    "tfloat32": 4,
    "float32": 4,
    "float8_e4m3": 1,
    "float8_e4m3fn": 1,
    "float8_e5m2": 1,
    "float8_e8m0fnu": 1,
    "float8_e5m2_x4": 4,
    "float8_e4m3fn_x4": 4,
    "float4_e2m1fn_x4": 2,
}
LOW = {
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "float8_e4m3": ml_dtypes.float8_e4m3,
    "float8_e4m3fn": ml_dtypes.float8_e4m3fn,
    "float8_e5m2": ml_dtypes.float8_e5m2,
}
VALUES = (np.random.default_rng(2).standard_normal((64, 40)) * 3).astype(np.float32)


def cast(values, fmt, **options):
    def kernel(x):
        tile = nl.load(x)
        cast_tile = nl.ndarray(tile.shape, fmt, buffer=nl.sbuf)
        nisa.tensor_copy(dst=cast_tile, src=tile)
        out = nl.ndarray(tile.shape, fmt, buffer=nl.shared_hbm)
        nl.store(out, cast_tile)
        return out

    return simulate(kernel, **options)(values)


@pytest.mark.parametrize("name", SIZES)
def test_every_documented_format_has_its_size(name):
    assert getattr(nl, name).itemsize == SIZES[name]
    assert getattr(nki_dtype, name) is getattr(nl, name)


def test_formats_are_strings_and_numpy_takes_them():
    assert nl.float32 == "float32"
    assert nl.bool is nl.bool_
    assert isinstance(nl.bfloat16, nl.dtype)
    assert np.zeros(3, dtype=nl.bfloat16).dtype == ml_dtypes.bfloat16
    assert np.zeros(3, dtype=nki_dtype.float8_e4m3).dtype == ml_dtypes.float8_e4m3


@pytest.mark.parametrize("name", LOW)
def test_casts_round_as_ml_dtypes_does(name):
    got = cast(VALUES, getattr(nl, name))
    assert got.dtype == LOW[name]
    np.testing.assert_array_equal(got.astype(np.float32), VALUES.astype(LOW[name]).astype(np.float32))


def test_without_precise_fp_low_formats_keep_float32_values_inside():
    def kernel(x):
        tile = nl.load(x, dtype=nl.bfloat16)
        out = nl.ndarray(tile.shape, nl.float32, buffer=nl.shared_hbm)
        nl.store(out, tile)
        return out

    np.testing.assert_array_equal(simulate(kernel, precise=False)(VALUES), VALUES)
    rounded = VALUES.astype(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(simulate(kernel, precise=True)(VALUES), rounded)


def test_float_to_integer_rounds_to_nearest_even_and_saturates():
    values = np.array([[0.5, 1.5, 2.5, -0.5, -1.5, 300.0, -300.0, 127.4]], np.float32)
    np.testing.assert_array_equal(cast(values, nl.int8), [[0, 2, 2, 0, -2, 127, -128, 127]])
    np.testing.assert_array_equal(cast(values, nl.uint8), [[0, 2, 2, 0, 0, 255, 0, 127]])


def test_tfloat32_keeps_ten_bits():
    got = cast(np.array([[1 + 2**-10, 1 + 2**-11, 1 + 2**-12 + 2**-11]], np.float32), nl.tfloat32)
    np.testing.assert_array_equal(got, np.array([[1 + 2**-10, 1, 1 + 2**-10]], np.float32))


def test_fresh_memory_reads_nan_or_four():
    def kernel(fmt):
        out = nl.ndarray((2, 3), fmt, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=out, src=nl.ndarray((2, 3), fmt, buffer=nl.sbuf))
        return out

    assert np.isnan(simulate(kernel)(nl.float32)).all()
    assert np.isnan(simulate(kernel)(nl.bfloat16).astype(np.float32)).all()
    np.testing.assert_array_equal(simulate(kernel)(nl.int32), 4)


@pytest.mark.parametrize(
    ("name", "instead"),
    [("float64", "nl.float32"), ("int64", "nl.int32"), ("uint64", "nl.uint32"), ("nothing", "one of")],
)
def test_formats_that_the_hardware_lacks_name_one_that_it_has(name, instead):
    with pytest.raises(NkiValidationError, match=rf"'{name}' does not exist.*{instead}"):
        simulate(lambda: nl.ndarray((2, 2), name, buffer=nl.shared_hbm))()
