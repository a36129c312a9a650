"""Oracle: NumPy's `.T`, and on NeuronCore-v2 the product with an identity matrix."""

import ml_dtypes
import numpy as np
import pytest

import course_lib.nki.isa as nisa
import course_lib.nki.language as nl
from course_lib.nki import NkiValidationError, Options, simulate
from course_lib.nki.kernel import Kernel, run_kernel

RNG = np.random.default_rng(4)


def make(shape, source=nl.sbuf, target=nl.psum, dtype=None, **arguments):
    """A kernel that transposes its argument from one region to another."""

    def kernel(x):
        fmt = dtype or x.dtype
        out = nl.ndarray(shape, fmt, nl.shared_hbm)
        tile, data = nl.ndarray(x.shape, x.dtype), nl.ndarray(x.shape, x.dtype, source)
        result, back = nl.ndarray(shape, fmt, target), nl.ndarray(shape, fmt)
        nisa.dma_copy(tile, x)
        nisa.tensor_copy(data, tile)
        nisa.nc_transpose(result, data, **arguments)
        nisa.tensor_copy(back, result)
        nisa.dma_copy(out, back)
        return out

    return kernel


@pytest.mark.parametrize("shape", [(128, 128), (128, 7), (5, 128), (33, 2)])
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, np.float16, np.int32, np.uint8])
def test_the_tensor_engine_transposes_up_to_128_by_128(shape, dtype):
    data = RNG.integers(0, 200, shape).astype(dtype)
    np.testing.assert_array_equal(simulate(make(shape[::-1]))(data), data.T)


@pytest.mark.parametrize("source", [nl.sbuf, nl.psum])
@pytest.mark.parametrize("target", [nl.sbuf, nl.psum])
def test_the_vector_engine_reads_and_writes_both_regions(source, target):
    data = RNG.normal(size=(32, 17)).astype(np.float32)
    for engine in (nisa.engine.vector, nisa.engine.unknown):
        np.testing.assert_array_equal(simulate(make((17, 32), source, target, engine=engine))(data), data.T)


def test_free_dimensions_are_flattened():
    data = RNG.normal(size=(20, 3, 5)).astype(np.float32)
    np.testing.assert_array_equal(simulate(make((15, 20)))(data), data.reshape(20, 15).T)


def test_a_tile_may_be_transposed_in_place():
    def kernel(x):
        out, tile = nl.ndarray(x.shape, x.dtype, nl.shared_hbm), nl.ndarray(x.shape, x.dtype)
        nisa.dma_copy(tile, x)
        nisa.nc_transpose(tile, tile)
        nisa.dma_copy(out, tile)
        return out

    data = RNG.normal(size=(32, 32)).astype(np.float32)
    np.testing.assert_array_equal(simulate(kernel)(data), data.T)


def test_infinities_spread_on_gen2_and_stay_where_they_are_from_gen3():
    data = RNG.normal(size=(40, 6)).astype(np.float32)
    data[3, 2], data[7, 4] = np.inf, np.nan
    np.testing.assert_array_equal(simulate(make((6, 40)), target="gen3")(data), data.T)
    result = simulate(make((6, 40)), target="gen2")(data)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(result, data.T @ np.eye(40, dtype=np.float32))
    assert np.isnan(result[[2, 4]]).sum() == 39 + 40
    np.testing.assert_array_equal(result[[0, 1, 3, 5]], data.T[[0, 1, 3, 5]])


def test_large_shapes_go_to_the_tensor_engine_and_small_ones_to_the_vector_engine():
    for shape, engine in (((64, 8), nisa.engine.tensor), ((32, 32), nisa.engine.vector)):
        _, cores = run_kernel(Kernel(make(shape[::-1])), (np.ones(shape, np.float32),), {}, Options(record=True))
        made = next(each for each in cores[0].instructions if each.op == "nc_transpose")
        assert made.engine is engine
        assert (made.about["partitions"], made.about["elements"]) == shape


@pytest.mark.parametrize(
    ("match", "data", "kernel"),
    [
        ("128 x 128", (128, 129), make((129 - 1, 128))),
        ("32 x 32", (33, 8), make((8, 33), engine=nisa.engine.vector)),
        ("from SBUF to PSUM", (64, 8), make((8, 64), target=nl.sbuf)),
        ("from SBUF to PSUM", (64, 8), make((8, 64), source=nl.psum)),
        ("from SBUF to PSUM", (8, 8), make((8, 8), target=nl.sbuf, engine=nisa.engine.tensor)),
        ("same format", (8, 8), make((8, 8), dtype=nl.bfloat16)),
        (r"\(8, 4\)", (4, 8), make((4, 8))),
        ("engine", (8, 8), make((8, 8), engine=nisa.engine.scalar)),
    ],
)
def test_nc_transpose_refuses_what_the_engines_lack(match, data, kernel):
    with pytest.raises(NkiValidationError, match=match if data != (128, 129) else r"\(129, 128\)"):
        simulate(kernel)(np.ones(data, np.float32))
