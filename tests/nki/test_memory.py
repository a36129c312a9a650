"""Oracle: which bytes two tiles share, counted by hand; values from the NumPy expression of the same program."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from course_lib import nki
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl

X = np.arange(128 * 512, dtype=np.float32).reshape(128, 512)


def run(kernel, *args, **options):
    """The kernel's result."""
    return nki.simulate(kernel, **options)(*args)


def save(tile):
    """A tile as the kernel's result."""
    out = nl.ndarray(tile.shape, tile.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=tile)
    return out


def placed(columns: int, byte: int, partitions: int = 128, partition: int = 0, dtype=nl.float32):
    """A tile at an address."""
    return nl.ndarray((partitions, columns), dtype, buffer=nl.sbuf, address=(partition, byte))


def test_reading_a_tile_whose_bytes_another_took_over_is_refused() -> None:
    def kernel(x):
        first, second = placed(512, 0), placed(512, 1024)
        nisa.dma_copy(dst=first, src=x)
        nisa.dma_copy(dst=second, src=x)
        return save(first)

    with pytest.raises(nki.NkiValidationError, match=r"overwritten by .*test_memory"):
        run(kernel, X)


def test_the_bytes_that_are_left_stay_readable() -> None:
    def kernel(x):
        first, second = placed(512, 0), placed(512, 1024)
        nisa.dma_copy(dst=first, src=x)
        nisa.dma_copy(dst=second, src=x)
        return save(first[:, :256])

    assert np.array_equal(run(kernel, X), X[:, :256])


@pytest.mark.parametrize(("columns", "fine"), [(slice(0, 256), True), (slice(0, 257), False), (slice(384, 512), True)])
def test_only_the_columns_that_were_really_written_are_lost(columns: slice, fine: bool) -> None:
    def kernel(x):
        first, second = placed(512, 0), placed(512, 0)
        nisa.dma_copy(dst=first, src=x)
        nisa.dma_copy(dst=second[:, 256:384], src=x[:, :128])
        return save(first[:, columns])

    if fine:
        assert np.array_equal(run(kernel, X), X[:, columns])
    else:
        with pytest.raises(nki.NkiValidationError, match="overwritten"):
            run(kernel, X)


def test_a_strided_write_spares_the_columns_in_between() -> None:
    def kernel(x):
        first, second = placed(512, 0), placed(512, 0)
        nisa.dma_copy(dst=first, src=x)
        nisa.dma_copy(dst=second[:, 0:512:2], src=x[:, :256])
        return save(first[:, 1:512:2])

    assert np.array_equal(run(kernel, X), X[:, 1::2])


def test_tiles_stacked_in_other_partitions_don_t_meet() -> None:
    def kernel(x):
        upper, lower = placed(512, 0, 64, 0), placed(512, 0, 64, 64)
        nisa.dma_copy(dst=upper, src=x[:64])
        nisa.dma_copy(dst=lower, src=x[64:])
        return save(upper), save(lower)

    upper, lower = run(kernel, X)
    assert np.array_equal(np.concatenate([upper, lower]), X)


def test_buffers_may_rotate_through_the_same_addresses() -> None:
    def kernel(x):
        out = nl.ndarray((4, 128, 512), nl.float32, buffer=nl.shared_hbm)
        tiles = []
        for step in range(4):
            tiles.append(placed(512, 2048 * (step % 2)))
            nisa.dma_copy(dst=tiles[-1], src=x)
            nisa.dma_copy(dst=out[step], src=tiles[-1])
        return out

    assert np.array_equal(run(kernel, X), np.broadcast_to(X, (4, 128, 512)))


def test_writing_a_lost_tile_again_makes_it_readable() -> None:
    def kernel(x):
        first, second = placed(512, 0), placed(512, 0)
        nisa.dma_copy(dst=first, src=x)
        nisa.dma_copy(dst=second, src=x)
        nisa.dma_copy(dst=first, src=x)
        return save(first)

    assert np.array_equal(run(kernel, X), X)


def test_formats_of_another_size_meet_byte_by_byte() -> None:
    def kernel(x, columns):
        wide, narrow = placed(512, 0), placed(8, 1024, dtype=nl.bfloat16)
        nisa.dma_copy(dst=wide, src=x)
        nisa.memset(narrow, 0)
        return save(wide[:, columns])

    assert run(kernel, X, slice(0, 256)).shape == (128, 256)
    assert run(kernel, X, slice(260, 512)).shape == (128, 252)
    with pytest.raises(nki.NkiValidationError, match="overwritten"):
        run(kernel, X, slice(259, 260))


@pytest.mark.parametrize(("address", "why"), [((0, 262_144 - 2047), "262,144"), ((1, 0), "starts at partition 1")])
def test_addresses_that_the_memory_does_not_have_are_refused(address: tuple[int, int], why: str) -> None:
    def kernel(x):
        return nl.ndarray((64, 512), nl.float32, buffer=nl.sbuf, address=address)

    with pytest.raises(nki.NkiValidationError, match=why):
        run(kernel, X)


@pytest.mark.parametrize(
    ("first", "count", "fine"),
    [(0, 128, True), (32, 32, True), (96, 32, True), (64, 64, True), (16, 16, False), (32, 64, False), (32, 96, False)],
)
def test_compute_engines_address_partitions_from_quadrants(first: int, count: int, fine: bool) -> None:
    def kernel(x):
        tile, out = nl.load(x), nl.ndarray((count, 512), nl.float32, buffer=nl.sbuf)
        nisa.tensor_copy(dst=out, src=tile[first : first + count])
        return save(out)

    if fine:
        assert np.array_equal(run(kernel, X), X[first : first + count])
    else:
        with pytest.raises(nki.NkiValidationError, match="start at partition"):
            run(kernel, X)


def test_a_dma_reaches_every_partition() -> None:
    def kernel(x):
        tile = nl.load(x)
        return save(tile[17:20])

    assert np.array_equal(run(kernel, X), X[17:20])


def test_a_loaded_tile_keeps_its_values_when_the_source_changes_later() -> None:
    def kernel(x):
        tile, zero = nl.ndarray((128, 512), nl.float32, buffer=nl.sbuf), nl.zeros((128, 512), nl.float32)
        nisa.dma_copy(dst=tile, src=x)
        nisa.dma_copy(dst=x, src=zero)
        return save(tile)

    given = X.copy()
    assert np.array_equal(run(kernel, given), X)
    assert not given.any()


def test_one_array_passed_twice_is_one_memory() -> None:
    def kernel(x, y):
        tile, zero = nl.ndarray((128, 512), nl.float32, buffer=nl.sbuf), nl.zeros((128, 512), nl.float32)
        nisa.dma_copy(dst=tile, src=x)
        nisa.dma_copy(dst=y, src=zero)
        return save(tile)

    given = X.copy()
    assert np.array_equal(run(kernel, given, given), X)


def test_a_breakpoint_sees_a_tile_s_values() -> None:
    seen = {}

    def kernel(x):
        tile = nl.ndarray((128, 512), nl.float32, buffer=nl.sbuf)
        seen["fresh"] = tile.array.copy()
        nisa.dma_copy(dst=tile, src=x)
        seen["loaded"] = tile.array.copy()
        psum = nl.ndarray((128, 512), nl.float32, buffer=nl.psum)
        weights = nl.load(x[:, :128])
        for _ in range(2):
            nisa.nc_matmul(dst=psum, stationary=weights, moving=tile)
        seen["summed"] = psum.array.copy()
        return save(tile)

    given = (X % 7).astype(np.float32)
    run(kernel, given)
    assert np.isnan(seen["fresh"]).all()
    assert np.array_equal(seen["loaded"], given)
    assert np.array_equal(seen["summed"], 2 * (given[:, :128].T @ given))


def test_fresh_memory_shows_through_a_partial_write() -> None:
    def kernel(x):
        tile = nl.ndarray((128, 512), nl.float32, buffer=nl.sbuf)
        nisa.tensor_copy(dst=tile[:, :8], src=nl.load(x)[:, :8])
        whole = nl.ndarray((128, 4), nl.int32, buffer=nl.sbuf)
        return save(tile), save(whole)

    partly, fresh = run(kernel, X)
    assert np.array_equal(partly[:, :8], X[:, :8])
    assert np.isnan(partly[:, 8:]).all()
    assert (fresh == 4).all()


def elementwise(x):
    """out = x + x in tiles, most of the memory in HBM."""
    out = nl.ndarray(x.shape, x.dtype, buffer=nl.shared_hbm)
    for row in range(x.shape[0] // 128):
        for column in range(x.shape[1] // 512):
            part = (slice(row * 128, row * 128 + 128), slice(column * 512, column * 512 + 512))
            tile = nl.ndarray((128, 512), x.dtype, buffer=nl.sbuf)
            nisa.dma_copy(dst=tile, src=x[part])
            nisa.tensor_tensor(dst=tile, data1=tile, data2=tile, op=nl.add)
            nisa.dma_copy(dst=out[part], src=tile)
    return out


@pytest.mark.parametrize("record", [False, True])
def test_simulating_adds_at_most_twice_the_tensors_size(record: bool) -> None:
    given = np.ones((4096, 2048), dtype=np.float32)
    tracemalloc.start()
    try:
        result = run(elementwise, given, record=record)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result[0, 0] == 2
    assert peak <= 2 * (given.nbytes + result.nbytes), f"{peak / 2**20:.0f} MiB"
