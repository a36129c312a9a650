"""Oracle: the list of elements that each program wrote, kept by hand; NaN and 4 are the documented marks."""

from __future__ import annotations

import numpy as np
import pytest

from course_lib import nki
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl

X = np.arange(64 * 16, dtype=np.float32).reshape(64, 16)


def save(tile):
    """A tile as the kernel's result."""
    out = nl.ndarray(tile.shape, tile.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=tile)
    return out


def strict(kernel, *args, **options):
    """The result when reading what was never written is an error."""
    return nki.simulate(kernel, uninitialised="error", **options)(*args)


@pytest.mark.parametrize(("dtype", "mark"), [(nl.float32, np.nan), (nl.bfloat16, np.nan), (nl.int32, 4), (nl.uint8, 4)])
@pytest.mark.parametrize("buffer", ["sbuf", "psum"])
def test_fresh_tiles_hold_the_mark(dtype, mark: float, buffer: str) -> None:
    def kernel():
        fresh = nl.ndarray((64, 16), dtype, buffer=getattr(nl, buffer))
        tile = nl.ndarray((64, 16), dtype, buffer=nl.sbuf)
        nisa.tensor_copy(dst=tile, src=fresh)
        return save(tile)

    assert np.array_equal(nki.simulate(kernel)().astype(np.float64), np.full((64, 16), mark), equal_nan=True)


def test_fresh_hbm_holds_the_mark() -> None:
    def kernel():
        return nl.ndarray((3, 4), nl.float32, buffer=nl.shared_hbm)

    assert np.isnan(nki.simulate(kernel)()).all()


def test_reading_a_fresh_tile_is_an_error_when_asked() -> None:
    def kernel():
        return save(nl.ndarray((64, 16), nl.float32, buffer=nl.sbuf))

    with pytest.raises(nki.NkiValidationError, match=r"element \(0, 0\) .* never written"):
        strict(kernel)


def test_the_first_missing_element_is_named() -> None:
    def kernel(x):
        tile = nl.ndarray((64, 16), nl.float32, buffer=nl.sbuf)
        nisa.dma_copy(dst=tile[:, :8], src=x[:, :8])
        nisa.dma_copy(dst=tile[:10, 8:], src=x[:10, 8:])
        return save(tile)

    with pytest.raises(nki.NkiValidationError, match=r"element \(10, 8\)"):
        strict(kernel, X)


@pytest.mark.parametrize("precise", [True, False])
@pytest.mark.parametrize("dtype", [nl.float32, nl.bfloat16, nl.uint8])
def test_what_was_written_in_parts_is_readable(dtype, precise: bool) -> None:
    def kernel(x):
        tile = nl.ndarray((64, 16), dtype, buffer=nl.sbuf)
        source = nl.load(x)
        nisa.tensor_copy(dst=tile[:, 0:16:2], src=source[:, 0:16:2])
        nisa.tensor_copy(dst=tile[:, 1:16:2], src=source[:, 1:16:2])
        return save(tile)

    small = X % 100
    assert np.array_equal(strict(kernel, small, precise=precise).astype(np.float32), small)


def test_a_strided_write_leaves_the_gaps_unwritten() -> None:
    def kernel(x, first):
        tile = nl.ndarray((64, 16), nl.float32, buffer=nl.sbuf)
        nisa.dma_copy(dst=tile[:, 0:16:2], src=x[:, :8])
        return save(tile[:, first:16:2])

    assert np.array_equal(strict(kernel, X, 0), X[:, :8])
    with pytest.raises(nki.NkiValidationError, match="never written"):
        strict(kernel, X, 1)


def test_arguments_count_as_written() -> None:
    assert np.array_equal(strict(lambda x: save(nl.load(x)), X), X)


def test_a_result_that_was_written_only_in_part_is_not_read_by_the_kernel() -> None:
    def kernel(x):
        out = nl.ndarray((64, 16), nl.float32, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=out[:, :4], src=nl.load(x)[:, :4])
        return out

    assert np.array_equal(strict(kernel, X)[:, :4], X[:, :4])


def test_the_first_matmul_does_not_read_psum() -> None:
    def kernel(x):
        psum = nl.ndarray((16, 16), nl.float32, buffer=nl.psum)
        tile = nl.load(x)
        nisa.nc_matmul(psum, tile, tile)
        nisa.nc_matmul(psum, tile, tile)
        result = nl.ndarray((16, 16), nl.float32, buffer=nl.sbuf)
        nisa.tensor_copy(dst=result, src=psum)
        return save(result)

    small = X % 5
    assert np.array_equal(strict(kernel, small), 2 * small.T @ small)


def test_an_unknown_mode_is_refused_with_the_choices() -> None:
    with pytest.raises(ValueError, match="'mark' or 'error'"):
        nki.Options(uninitialised="zero")
