"""Oracle: NumPy row indexing within each quadrant of 32 rows, as documented for `nc_stream_shuffle`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import course_lib.nki.isa as nisa
import course_lib.nki.language as nl
from course_lib.nki import NkiValidationError, simulate

RNG = np.random.default_rng(5)


def shuffle(data, mask, initial=None, buffer=nl.sbuf):
    def kernel(x, y):
        out = nl.ndarray(y.shape, y.dtype, nl.shared_hbm)
        staged, src, dst, back = (nl.ndarray(x.shape, x.dtype, where) for where in (nl.sbuf, buffer, nl.sbuf, nl.sbuf))
        nisa.dma_copy(staged, x)
        nisa.tensor_copy(src, staged)
        nisa.dma_copy(dst, y)
        nisa.nc_stream_shuffle(dst, src, mask)
        nisa.tensor_copy(back, dst)
        nisa.dma_copy(out, back)
        return out

    return simulate(kernel)(data, np.zeros_like(data) if initial is None else initial)


@settings(max_examples=20, deadline=None)
@given(mask=st.lists(st.integers(0, 31) | st.just(255), min_size=32, max_size=32), quadrants=st.integers(1, 4))
def test_each_quadrant_takes_the_rows_that_the_mask_names(mask, quadrants):
    data, initial = RNG.normal(size=(2, 32 * quadrants, 6)).astype(np.float32)
    expected = initial.copy()
    for row in range(32 * quadrants):
        if mask[row % 32] != 255:
            expected[row] = data[row - row % 32 + mask[row % 32]]
    np.testing.assert_array_equal(shuffle(data, mask, initial), expected)


def test_a_tile_in_psum_is_shuffled_too():
    data = RNG.normal(size=(32, 4)).astype(np.float32)
    np.testing.assert_array_equal(shuffle(data, list(range(31, -1, -1)), buffer=nl.psum), data[::-1])


def test_shuffling_in_place_reads_before_it_writes():
    def kernel(x):
        out, tile = nl.ndarray(x.shape, x.dtype, nl.shared_hbm), nl.ndarray(x.shape, x.dtype)
        nisa.dma_copy(tile, x)
        nisa.nc_stream_shuffle(tile, tile, [(i + 1) % 32 for i in range(32)])
        nisa.dma_copy(out, tile)
        return out

    data = RNG.normal(size=(32, 4)).astype(np.float32)
    np.testing.assert_array_equal(simulate(kernel)(data), np.roll(data, -1, axis=0))


def test_one_partition_is_broadcast_to_any_quadrant():
    def kernel(x):
        out, tile = nl.ndarray((128, 5), x.dtype, nl.shared_hbm), nl.ndarray((128, 5), x.dtype)
        row = nl.ndarray((1, 5), x.dtype)
        nisa.dma_copy(row, x)
        for first in range(0, 128, 32):
            nisa.nc_stream_shuffle(tile[first : first + 32], row, [0] * 32)
        nisa.dma_copy(out, tile)
        return out

    data = RNG.normal(size=(1, 5)).astype(np.float32)
    np.testing.assert_array_equal(simulate(kernel)(data), np.repeat(data, 128, axis=0))


def refuse(match, dst, src, mask, dst_dtype=nl.float32, view=lambda tile: tile):
    def kernel():
        nisa.nc_stream_shuffle(view(nl.ndarray(dst, dst_dtype)), nl.ndarray(src, nl.float32), mask)

    with pytest.raises(NkiValidationError, match=match):
        simulate(kernel)()


def test_the_mask_has_32_entries_below_32_or_255():
    refuse("31 entries", (32, 4), (32, 4), [0] * 31)
    refuse("entry 32", (32, 4), (32, 4), [32] * 32)
    refuse("entry -1", (32, 4), (32, 4), [-1] * 32)
    refuse("whole numbers", (32, 4), (32, 4), [0.5] * 32)


def test_shapes_formats_and_start_partitions_must_fit():
    refuse("same format", (32, 4), (32, 4), [0] * 32, dst_dtype=nl.bfloat16)
    refuse("as many elements", (32, 5), (32, 4), [0] * 32)
    refuse("reads partition 3", (32, 4), (2, 4), [3] * 32)
    refuse("partition 16", (64, 4), (32, 4), [0] * 32, view=lambda tile: tile[16:48])
    refuse("partition 32", (128, 4), (64, 4), [0] * 32, view=lambda tile: tile[32:96])
