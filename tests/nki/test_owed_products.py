"""Oracle: NumPy on whole numbers, so that sums are exact; values that are put off must be those of program order."""

from __future__ import annotations

import numpy as np
import pytest

from course_lib import nki
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl

GENERATOR = np.random.default_rng(3)
A, B = (GENERATOR.integers(-3, 4, (256, 256)).astype(np.float32) for _ in range(2))


def product(a, b, bank=None):
    """a.T @ b of two (128, 128) parts of HBM: the tile in PSUM."""
    left, right = (nl.ndarray((128, 128), nl.float32) for _ in range(2))
    nisa.dma_copy(dst=left, src=a)
    nisa.dma_copy(dst=right, src=b)
    bank = nl.ndarray((128, 128), nl.float32, buffer=nl.psum) if bank is None else bank
    nisa.nc_matmul(bank, left, right)
    return bank


def copied(bank):
    """A tile's copy in SBUF."""
    tile = nl.ndarray((128, 128), nl.float32)
    nisa.tensor_copy(dst=tile, src=bank)
    return tile


def wanted(i: int, j: int) -> np.ndarray:
    return A[:128, i : i + 128].T @ B[:128, j : j + 128]


def test_a_matrix_that_is_covered_in_part_shows_the_mark_elsewhere() -> None:
    def kernel(a, b):
        out = nl.ndarray((256, 256), nl.float32, buffer=nl.shared_hbm)
        for i, j in ((128, 0), (0, 128)):
            nisa.dma_copy(
                dst=out[i : i + 128, j : j + 128], src=copied(product(a[:128, i : i + 128], b[:128, j:][:, :128]))
            )
        return out

    out = nki.simulate(kernel)(A, B)
    assert np.array_equal(out[128:, :128], wanted(128, 0))
    assert np.array_equal(out[:128, 128:], wanted(0, 128))
    assert np.isnan(out[:128, :128]).all()
    assert np.isnan(out[128:, 128:]).all()


@pytest.mark.parametrize("shift", [0, 64])
def test_the_later_of_two_stores_to_the_same_place_stays(shift: int) -> None:
    def kernel(a, b):
        out = nl.ndarray((256, 256), nl.float32, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=out[:128, :128], src=copied(product(a[:128, :128], b[:128, :128])))
        nisa.dma_copy(dst=out[shift : shift + 128, :128], src=copied(product(a[:128, 128:], b[:128, 128:])))
        return out

    out = nki.simulate(kernel)(A, B)
    assert np.array_equal(out[shift : shift + 128, :128], wanted(128, 128))
    assert np.array_equal(out[:shift, :128], wanted(0, 0)[:shift])


def test_operands_that_change_after_the_store_change_nothing() -> None:
    def kernel(a, b):
        out = nl.ndarray((128, 128), nl.float32, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=out, src=copied(product(a[:128, :128], b[:128, :128])))
        zeros = nl.ndarray((128, 128), nl.float32)
        nisa.memset(zeros, 0.0)
        nisa.dma_copy(dst=a[:128, :128], src=zeros)
        return out

    a = A.copy()
    assert np.array_equal(nki.simulate(kernel)(a, B), wanted(0, 0))
    assert not a[:128, :128].any()


def test_a_copy_keeps_the_sum_as_it_was_when_more_is_added_to_the_bank() -> None:
    def kernel(a, b):
        early, late = (nl.ndarray((128, 128), nl.float32, buffer=nl.shared_hbm) for _ in range(2))
        bank = product(a[:128, :128], b[:128, :128])
        first = copied(bank)
        product(a[128:, :128], b[128:, :128], bank)
        nisa.dma_copy(dst=late, src=copied(bank))
        nisa.dma_copy(dst=early, src=first)
        return early, late

    early, late = nki.simulate(kernel)(A, B)
    assert np.array_equal(early, wanted(0, 0))
    assert np.array_equal(late, A[:, :128].T @ B[:, :128])


def test_what_was_stored_can_be_loaded_and_changed_on_chip() -> None:
    def kernel(a, b):
        scratch, out = (nl.ndarray((128, 128), nl.float32, buffer=nl.shared_hbm) for _ in range(2))
        tile = copied(product(a[:128, :128], b[:128, :128]))
        nisa.dma_copy(dst=scratch, src=tile)
        back = nl.ndarray((128, 128), nl.float32)
        nisa.dma_copy(dst=back, src=scratch)
        nisa.tensor_tensor(dst=tile, data1=tile, data2=back, op=nl.add)
        nisa.dma_copy(dst=out, src=tile)
        return scratch, out

    scratch, out = nki.simulate(kernel)(A, B)
    assert np.array_equal(scratch, wanted(0, 0))
    assert np.array_equal(out, 2 * wanted(0, 0))


def test_a_product_stored_over_its_own_operand() -> None:
    def kernel(a, b):
        nisa.dma_copy(dst=a[:128, :128], src=copied(product(a[:128, :128], b[:128, :128])))
        return a

    assert np.array_equal(nki.simulate(kernel)(A.copy(), B)[:128, :128], wanted(0, 0))


def test_one_array_under_two_names() -> None:
    def kernel(a, b, c):
        nisa.dma_copy(dst=c[:128, :128], src=copied(product(a[:128, :128], b[:128, :128])))
        return product_of(a, b)

    def product_of(a, b):
        out = nl.ndarray((128, 128), nl.float32, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=out, src=copied(product(a[:128, :128], b[:128, :128])))
        return out

    a = A.copy()
    out = nki.simulate(kernel)(a, B, a[:])
    assert np.array_equal(a[:128, :128], wanted(0, 0))
    assert np.array_equal(out, wanted(0, 0).T @ B[:128, :128])
