"""Oracle: NumPy indexing and casts, as the documentation defines each transfer."""

import ml_dtypes
import numpy as np
import pytest

import course_lib.nki.isa as nisa
import course_lib.nki.language as nl
from course_lib.nki import NkiValidationError, Options, simulate
from course_lib.nki.kernel import Kernel, run_kernel

RNG = np.random.default_rng(3)


def refuse(match, kernel, *args, **options):
    with pytest.raises(NkiValidationError, match=match):
        simulate(kernel, **options)(*args)


def through_sbuf(data, dtype, **arguments):
    """HBM to SBUF with a cast, and back."""

    def kernel(x):
        out = nl.ndarray(x.shape, dtype, nl.shared_hbm)
        tile = nl.ndarray(x.shape, dtype)
        nisa.dma_copy(tile, x, **arguments)
        nisa.dma_copy(out, tile)
        return out

    return simulate(kernel)(data)


@pytest.mark.parametrize("source", [np.float32, ml_dtypes.bfloat16, np.float16, np.int32, np.uint8])
@pytest.mark.parametrize("target", ["float32", "bfloat16", "float16", "int32", "uint8", "float8_e4m3"])
def test_dma_casts_by_way_of_float32(source, target):
    data = RNG.integers(0, 200, (16, 40)).astype(source)
    result = through_sbuf(data, getattr(nl, target))
    expected = data if target == data.dtype.name else data.astype(np.float32)
    np.testing.assert_array_equal(result.astype(np.float32), expected.astype(result.dtype).astype(np.float32))


def test_dma_rounds_floats_to_even_and_saturates():
    data = np.array([[0.5, 1.5, -1.5, 300.0, -300.0, 126.4]], np.float32)
    np.testing.assert_array_equal(through_sbuf(data, nl.int8), [[0, 2, -2, 127, -128, 126]])


def test_dma_rounds_to_tfloat32():
    data = np.array([[1 + 2**-11, 1 + 2**-10, 1 + 3 * 2**-11]], np.float32)
    np.testing.assert_array_equal(through_sbuf(data, nl.tfloat32), [[1, 1 + 2**-10, 1 + 2**-9]])


def test_dma_copies_within_sbuf_within_hbm_and_between_shapes():
    def kernel(x):
        out = nl.ndarray((6, 8), x.dtype, nl.shared_hbm)
        a, b = nl.ndarray((4, 12), x.dtype), nl.ndarray((2, 24), x.dtype)
        copy = nl.ndarray((48,), x.dtype, nl.private_hbm)
        nisa.dma_copy(a, x)
        nisa.dma_copy(b, a)
        nisa.dma_copy(copy, b)
        nisa.dma_copy(out, copy)
        return out

    data = RNG.normal(size=(4, 12)).astype(np.float32)
    np.testing.assert_array_equal(simulate(kernel)(data), data.reshape(6, 8))


def test_dma_moves_strided_views():
    def kernel(x):
        out = nl.ndarray((8, 5), x.dtype, nl.shared_hbm)
        tile = nl.ndarray((8, 16), x.dtype)
        nisa.dma_copy(tile, x)
        nisa.dma_copy(out, tile[:, 0:15:3])
        return out

    data = RNG.normal(size=(8, 16)).astype(np.float32)
    np.testing.assert_array_equal(simulate(kernel)(data), data[:, 0:15:3])


def test_dma_refuses_psum_other_sizes_and_other_values():
    refuse("PSUM", lambda x: nisa.dma_copy(nl.ndarray((4, 8), x.dtype, nl.psum), x), np.ones((4, 8), np.float32))
    refuse(
        "same number of elements", lambda x: nisa.dma_copy(nl.ndarray((4, 7), x.dtype), x), np.ones((4, 8)).astype("f4")
    )
    refuse("src is float", lambda: nisa.dma_copy(nl.ndarray((4, 7), nl.float32), 1.0))
    refuse("packed", lambda x: nisa.dma_copy(nl.ndarray((4, 8), nl.float8_e5m2_x4), x), np.ones((4, 8), np.uint32))


X = np.ones((4, 8), np.float32)


def copy_with(**arguments):
    return lambda x: nisa.dma_copy(nl.ndarray(x.shape, arguments.pop("dtype", x.dtype)), x, **arguments)


def test_hwdge_needs_gen3_and_equal_formats():
    hwdge = nisa.dge_mode.hwdge
    refuse("NeuronCore-v3", copy_with(dge_mode=hwdge), X, target="gen2")
    refuse("equal formats", copy_with(dge_mode=hwdge, dtype=nl.bfloat16), X, target="gen3")
    refuse("only with dge_mode", copy_with(engine=nisa.engine.sync), X)
    refuse("sync or", copy_with(dge_mode=hwdge, engine=nisa.engine.vector), X)
    for engine in (nisa.engine.sync, nisa.engine.scalar):
        simulate(copy_with(dge_mode=hwdge, engine=engine), target="gen3")(X)


def test_priority_is_0_to_3_and_gen4_only():
    refuse("NeuronCore-v4", copy_with(priority=1), X, target="gen3")
    refuse("0 .*to 3", copy_with(priority=4), X)
    simulate(copy_with(priority=0), target="gen4")(X)


def gather(x, indices, rows=None, **arguments):
    def kernel(x, indices):
        count = indices.shape[0]
        out = nl.ndarray((count, x.shape[1]), x.dtype, nl.shared_hbm)
        index, tile = nl.ndarray(indices.shape, indices.dtype), nl.ndarray((count, x.shape[1]), x.dtype)
        nisa.dma_copy(index, indices)
        nisa.memset(tile, -1)
        view = x.ap([[x.shape[1], count], [1, x.shape[1]]], vector_offset=index, indirect_dim=0)
        nisa.dma_copy(tile, view, **arguments)
        nisa.dma_copy(out, tile)
        return out

    return simulate(kernel)(x, indices)


@pytest.mark.parametrize("index_dtype", [np.int32, np.uint32])
def test_a_gather_takes_the_rows_that_the_index_names(index_dtype):
    data = RNG.normal(size=(50, 24)).astype(np.float32)
    rows = RNG.integers(0, 50, (128, 1)).astype(index_dtype)
    np.testing.assert_array_equal(gather(data, rows), data[rows[:, 0]])
    np.testing.assert_array_equal(gather(data, rows, dge_mode=nisa.dge_mode.swdge), data[rows[:, 0]])


def test_a_gather_out_of_bounds_is_an_error_or_leaves_rows_alone():
    data = RNG.normal(size=(10, 6)).astype(np.float32)
    rows = np.array([[3], [10], [-1], [0]], np.int32)
    with pytest.raises(NkiValidationError, match="leaves"):
        gather(data, rows)
    result = gather(data, rows, oob_mode=nisa.oob_mode.skip)
    np.testing.assert_array_equal(result, np.stack([data[3], np.full(6, -1), np.full(6, -1), data[0]]).astype("f4"))


def test_a_gather_needs_one_whole_index_in_sbuf_for_each_row():
    data = np.zeros((10, 6), np.float32)
    with pytest.raises(NkiValidationError, match="whole numbers"):
        gather(data, np.zeros((4, 1), np.float32))
    with pytest.raises(NkiValidationError, match=r"\(4, 1\)"):
        gather(data, np.zeros((4, 2), np.int32))
    for mode in (nisa.dge_mode.hwdge, nisa.dge_mode.none):
        with pytest.raises(NkiValidationError, match="swdge"):
            gather(data, np.zeros((4, 1), np.int32), dge_mode=mode)


def scatter(into, rows, values, **arguments):
    def kernel(into, rows, values):
        index, tile = nl.ndarray(rows.shape, rows.dtype), nl.ndarray(values.shape, values.dtype)
        nisa.dma_copy(index, rows)
        nisa.dma_copy(tile, values)
        width = into.shape[1]
        view = into.ap([[width, values.shape[0]], [1, width]], vector_offset=index, indirect_dim=0)
        nisa.dma_copy(view, tile, **arguments)
        return into

    return simulate(kernel)(into.copy(), rows, values)


def test_a_scatter_writes_the_rows_that_the_index_names():
    into = np.zeros((20, 5), ml_dtypes.bfloat16)
    rows = np.array([[4], [0], [19]], np.int32)
    values = RNG.normal(size=(3, 5)).astype(np.float32)
    expected = into.copy()
    expected[rows[:, 0]] = values.astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(scatter(into, rows, values), expected)


def test_a_scatter_out_of_bounds_is_an_error_or_leaves_rows_out():
    into, values = np.zeros((4, 3), np.float32), np.ones((3, 3), np.float32)
    rows = np.array([[1], [7], [2]], np.int32)
    with pytest.raises(NkiValidationError, match="leaves"):
        scatter(into, rows, values)
    result = scatter(into, rows, values, oob_mode=nisa.oob_mode.skip)
    np.testing.assert_array_equal(result.sum(axis=1), [0, 3, 3, 0])


@pytest.mark.parametrize("by", ["tile", "register"])
def test_a_scalar_offset_moves_the_whole_pattern(by):
    def kernel(x, start):
        out = nl.ndarray((8, 4), x.dtype, nl.shared_hbm)
        tile, index = nl.ndarray((8, 4), x.dtype), nl.ndarray((1, 1), nl.int32)
        nisa.dma_copy(index, start)
        if by == "register":
            reg = nisa.register_alloc()
            nisa.register_load(reg, index)
            index = reg
        nisa.dma_copy(tile, x.ap([[6, 8], [1, 4]], offset=1, scalar_offset=index, indirect_dim=0))
        nisa.dma_copy(out, tile)
        return out

    data = RNG.normal(size=(20, 6)).astype(np.float32)
    np.testing.assert_array_equal(simulate(kernel)(data, np.array([[9]], np.int32)), data[9:17, 1:5])
    for start in (20, -1, 13):  # the last would run over the end
        refuse("leaves", kernel, data, np.array([[start]], np.int32))


def test_a_scalar_offset_is_one_number():
    def kernel(x):
        index = nl.ndarray((2, 1), nl.int32)
        nisa.memset(index, 0)
        nisa.dma_copy(nl.ndarray((4, 8), x.dtype), x.ap([[8, 4], [1, 8]], scalar_offset=index))

    refuse("one index for all", kernel, X)


def test_a_transfer_tells_the_cost_model_its_bytes():
    def kernel(x):
        tile = nl.ndarray(x.shape, nl.bfloat16)
        nisa.dma_copy(tile, x)

    _, cores = run_kernel(Kernel(kernel), (np.ones((64, 32), np.float32),), {}, Options(record=True))
    about = cores[0].instructions[0].about
    assert (about["bytes"], about["partitions"], about["elements"]) == (64 * 32 * 4, 64, 32)
    assert about["dge"] == "unknown"
    assert about["indirect"] is False
