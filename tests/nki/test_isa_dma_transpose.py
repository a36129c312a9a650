"""Oracle: NumPy indexing and transposition, as the documentation defines each transpose."""

import numpy as np
import pytest

import course_lib.nki.isa as nisa
import course_lib.nki.language as nl
from course_lib.nki import NkiValidationError, simulate

RNG = np.random.default_rng(3)


def refuse(match, kernel, *args, **options):
    with pytest.raises(NkiValidationError, match=match):
        simulate(kernel, **options)(*args)


def transposed(data, shape, dtype=None, **arguments):
    def kernel(x):
        out = nl.ndarray(shape, dtype or x.dtype, nl.shared_hbm)
        tile = nl.ndarray(shape, dtype or x.dtype)
        nisa.dma_transpose(tile, x, **arguments)
        nisa.dma_copy(out, tile)
        return out

    return kernel, data


@pytest.mark.parametrize(
    ("shape", "axes"), [((40, 24), (1, 0)), ((6, 5, 24), (2, 1, 0)), ((6, 3, 5, 24), (3, 1, 2, 0))]
)
@pytest.mark.parametrize("explicit", [True, False])
def test_dma_transpose_swaps_the_first_and_the_last_dimension(shape, axes, explicit):
    data = RNG.normal(size=shape).astype(np.float32)
    expected = data.transpose(axes)
    kernel, data = transposed(data, expected.shape, axes=axes if explicit else None)
    np.testing.assert_array_equal(simulate(kernel)(data), expected)


def test_dma_transpose_works_within_sbuf_on_the_same_memory():
    def kernel(x):
        out = nl.ndarray(x.shape, x.dtype, nl.shared_hbm)
        tile = nl.ndarray(x.shape, x.dtype)
        nisa.dma_copy(tile, x)
        nisa.dma_transpose(tile, tile)
        nisa.dma_copy(out, tile)
        return out

    data = RNG.normal(size=(16, 16)).astype(np.float16)
    np.testing.assert_array_equal(simulate(kernel)(data), data.T)


HALF = np.float16


@pytest.mark.parametrize(
    ("match", "data", "shape", "arguments"),
    [
        ("limit|Limit", np.ones((8, 4), HALF), (4, 8), {"axes": (0, 1)}),
        ("shape", np.ones((8, 4), HALF), (8, 4), {}),
        ("same format", np.ones((8, 4), HALF), (4, 8), {"dtype": nl.float32}),
        ("16 rows", np.ones((8, 4), HALF), (4, 8), {"dge_mode": nisa.dge_mode.hwdge}),
        ("2 bytes", np.ones((16, 4), np.float32), (4, 16), {"dge_mode": nisa.dge_mode.hwdge}),
        ("multiple of 16", np.ones((2, 4, 8), HALF), (8, 4, 2), {"dge_mode": nisa.dge_mode.hwdge}),
        ("swdge", np.ones((16, 4), HALF), (4, 16), {"dge_mode": nisa.dge_mode.swdge}),
        ("only when src looks", np.ones((16, 4), HALF), (4, 16), {"oob_mode": nisa.oob_mode.skip}),
        ("2, 3 or 4", np.ones((16,), HALF), (16, 1), {}),
    ],
)
def test_dma_transpose_refuses_what_dma_cannot_transpose(match, data, shape, arguments):
    kernel, data = transposed(data, shape, **arguments)
    refuse(match, kernel, data)


def test_dma_transpose_with_hwdge_takes_16_rows_from_gen3():
    data = RNG.normal(size=(16, 128)).astype(HALF)
    kernel, data = transposed(data, (128, 16), dge_mode=nisa.dge_mode.hwdge)
    np.testing.assert_array_equal(simulate(kernel, target="gen3")(data), data.T)
    refuse("NeuronCore-v3", kernel, data, target="gen2")


def gather_transpose(index_shape, tail, rows, axes, index_dtype=np.uint32, dtype=HALF, oob=None, high=64, **options):
    data = RNG.normal(size=(64, *tail)).astype(dtype)
    indices = RNG.integers(0, high, index_shape).astype(index_dtype)
    steps = [int(np.prod(tail[at:])) for at in range(len(tail) + 1)]
    pattern = [[step, count] for step, count in zip(steps, (rows, *tail), strict=True)]
    shape = (tail[-1], *tail[:-1], rows)

    def kernel(x, i):
        out = nl.ndarray(shape, x.dtype, nl.shared_hbm)
        index, tile = nl.ndarray(i.shape, i.dtype), nl.ndarray(shape, x.dtype)
        nisa.dma_copy(index, i)
        nisa.memset(tile, 0)
        view = x.ap(pattern, vector_offset=index, indirect_dim=0)
        nisa.dma_transpose(tile, view, axes=axes, oob_mode=oob or nisa.oob_mode.error)
        nisa.dma_copy(out, tile)
        return out

    flat = indices.T.flatten()[:rows]
    chosen = data[np.minimum(flat, 63)] * (flat < 64).reshape(-1, *[1] * len(tail))
    return simulate(kernel, **options)(data, indices), chosen.transpose(axes)


@pytest.mark.parametrize(
    ("index_shape", "tail", "rows", "axes"),
    [
        ((128, 1), (32,), 128, (1, 0)),
        ((128, 2), (32,), 256, (1, 0)),
        ((32, 1), (32,), 16, (1, 0)),
        ((128, 2), (1, 3, 8), 256, (3, 1, 2, 0)),
    ],
)
def test_a_gathering_transpose_reads_its_indices_column_by_column(index_shape, tail, rows, axes):
    result, expected = gather_transpose(index_shape, tail, rows, axes, target="gen3")
    np.testing.assert_array_equal(result, expected)


def test_a_gathering_transpose_skips_rows_out_of_bounds():
    result, expected = gather_transpose((128, 1), (32,), 128, (1, 0), oob=nisa.oob_mode.skip, high=80)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    ("match", "arguments"),
    [
        ("uint32", {"index_dtype": np.int32}),
        ("2 bytes", {"dtype": np.float32}),
        ("multiple of 16", {"rows": 24, "index_shape": (32, 1)}),
        ("16 to 128", {"rows": 16, "index_shape": (24, 1)}),
        ("128 partitions", {"rows": 16, "index_shape": (32, 2)}),
        ("each of 128 rows", {"rows": 128, "index_shape": (64, 1)}),
        ("NeuronCore-v3", {"target": "gen2"}),
        ("size 1", {"tail": (2, 3, 8), "axes": (3, 1, 2, 0)}),
    ],
)
def test_a_gathering_transpose_refuses_what_the_gpsimd_engine_lacks(match, arguments):
    with pytest.raises(NkiValidationError, match=match):
        gather_transpose(**{"index_shape": (128, 1), "tail": (32,), "rows": 128, "axes": (1, 0), **arguments})
