"""Oracle: NumPy's `a.T @ b` summed as the documentation's accumulation mode says."""

from __future__ import annotations

import numpy as np
import pytest

from course_lib import nki
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl

GENERATOR = np.random.default_rng(3)
A = GENERATOR.integers(-4, 5, (256, 64)).astype(np.float32)
B = GENERATOR.integers(-4, 5, (256, 512)).astype(np.float32)
ONCE = A[:128].T @ B[:128]
TARGETS = ["trn1", "trn2", "trn3"]


def kernel_of(steps, columns: int = 512):
    """A kernel that runs `steps(psum, a, b)` and returns the PSUM tile."""

    def kernel(a, b):
        psum = nl.ndarray((64, columns), nl.float32, buffer=nl.psum)
        left, right = nl.load(a[:128]), nl.load(b[:128])
        steps(psum, left, right)
        tile, out = nl.ndarray(psum.shape, nl.float32), nl.ndarray(psum.shape, nl.float32, buffer=nl.shared_hbm)
        nisa.tensor_copy(dst=tile, src=psum)
        nisa.dma_copy(dst=out, src=tile)
        return out

    return kernel


def run(steps, target: str = "trn3", columns: int = 512) -> np.ndarray:
    """The PSUM tile after the steps."""
    return nki.simulate(kernel_of(steps, columns), target=target)(A, B)


def refused(steps, target: str = "trn3", columns: int = 512) -> str:
    """The message."""
    with pytest.raises(nki.NkiValidationError) as caught:
        run(steps, target, columns)
    return str(caught.value)


@pytest.mark.parametrize("flags", [(None, None, None), (False, True, True), (None, True, None)])
def test_the_first_matmul_overwrites_and_later_ones_add(flags) -> None:
    def steps(psum, a, b):
        for flag in flags:
            nisa.nc_matmul(psum, a, b, accumulate=flag)

    assert np.array_equal(run(steps), 3 * ONCE)


def test_accumulate_false_starts_anew() -> None:
    def steps(psum, a, b):
        for _ in range(3):
            nisa.nc_matmul(psum, a, b, accumulate=False)

    assert np.array_equal(run(steps), ONCE)


def test_a_chain_of_loads_along_the_contraction_is_one_sum() -> None:
    def kernel(a, b):
        psum = nl.ndarray((64, 512), nl.float32, buffer=nl.psum)
        for row in range(0, 256, 64):
            left, right = nl.ndarray((64, 64), a.dtype), nl.ndarray((64, 512), b.dtype)
            nisa.dma_copy(dst=left, src=a[row : row + 64])
            nisa.dma_copy(dst=right, src=b[row : row + 64])
            nisa.nc_matmul(psum, left, right)
        return save_psum(psum)

    assert np.array_equal(nki.simulate(kernel)(A, B), A.T @ B)


def test_a_chain_sees_the_operands_as_they_were_when_it_was_issued() -> None:
    def kernel(a, b):
        psum = nl.ndarray((64, 512), nl.float32, buffer=nl.psum)
        left, right = nl.ndarray((128, 64), a.dtype), nl.ndarray((128, 512), b.dtype)
        nisa.dma_copy(dst=left, src=a[:128])
        nisa.dma_copy(dst=right, src=b[:128])
        nisa.nc_matmul(psum, left, right)
        nisa.memset(right, 0)
        zero = nl.zeros((128, 64), a.dtype)
        nisa.dma_copy(dst=a[:128], src=zero)
        return save_psum(psum)

    assert np.array_equal(nki.simulate(kernel)(A.copy(), B), ONCE)


def test_the_same_tiles_used_for_several_results() -> None:
    def kernel(a, b):
        left, right = nl.ndarray((128, 64), a.dtype), nl.ndarray((128, 512), b.dtype)
        nisa.dma_copy(dst=left, src=a[:128])
        nisa.dma_copy(dst=right, src=b[:128])
        first, second = (nl.ndarray((64, 512), nl.float32, buffer=nl.psum) for _ in range(2))
        nisa.nc_matmul(first, left, right)
        nisa.nc_matmul(second, left, right)
        nisa.nc_matmul(first, left, right)
        return save_psum(first), save_psum(second)

    first, second = nki.simulate(kernel)(A, B)
    assert np.array_equal(first, 2 * ONCE)
    assert np.array_equal(second, ONCE)


def save_psum(psum):
    """A PSUM tile as the kernel's result."""
    tile, out = nl.ndarray(psum.shape, nl.float32), nl.ndarray(psum.shape, nl.float32, buffer=nl.shared_hbm)
    nisa.tensor_copy(dst=tile, src=psum)
    nisa.dma_copy(dst=out, src=tile)
    return out


def test_halves_that_were_written_apart_both_accumulate() -> None:
    def steps(psum, a, b):
        nisa.nc_matmul(psum[:, :256], a, b[:, :256])
        nisa.nc_matmul(psum[:, 256:], a, b[:, 256:])
        nisa.nc_matmul(psum, a, b)

    assert np.array_equal(run(steps), 2 * ONCE)


def test_a_region_that_overlaps_an_old_one_adds_only_there() -> None:
    def steps(psum, a, b):
        nisa.nc_matmul(psum[:, :256], a, b[:, :256])
        nisa.nc_matmul(psum, a, b)

    wanted = ONCE.copy()
    wanted[:, :256] *= 2
    assert np.array_equal(run(steps), wanted)


def test_a_part_of_an_old_region_accumulates() -> None:
    def steps(psum, a, b):
        nisa.nc_matmul(psum, a, b)
        nisa.nc_matmul(psum[:, 100:200], a, b[:, 100:200])

    wanted = ONCE.copy()
    wanted[:, 100:200] *= 2
    assert np.array_equal(run(steps), wanted)


@pytest.mark.parametrize("target", TARGETS)
def test_accumulating_onto_what_was_never_written_is_refused(target: str) -> None:
    message = refused(lambda psum, a, b: nisa.nc_matmul(psum, a, b, accumulate=True), target)
    assert "never written" in message


def test_a_partly_written_region_cannot_be_accumulated_onto() -> None:
    def steps(psum, a, b):
        nisa.nc_matmul(psum[:, :256], a, b[:, :256])
        nisa.nc_matmul(psum, a, b, accumulate=True)

    assert "never written" in refused(steps)


@pytest.mark.parametrize("target", TARGETS)
def test_clearing_psum_first_is_harmless_everywhere(target: str) -> None:
    def steps(psum, a, b):
        nisa.memset(psum, 0)
        nisa.nc_matmul(psum, a, b)
        nisa.nc_matmul(psum, a, b)

    assert np.array_equal(run(steps, target), 2 * ONCE)


@pytest.mark.parametrize("target", ["trn1", "trn2"])
def test_a_matmul_that_really_accumulates_onto_memset_is_refused_before_gen4(target: str) -> None:
    def steps(psum, a, b):
        nisa.memset(psum, 1)
        nisa.nc_matmul(psum, a, b, accumulate=True)

    message = refused(steps, target)
    assert "another instruction" in message
    assert "gen2 and gen3" in message
    assert np.array_equal(run(steps, "trn3"), ONCE + 1)


def test_a_result_updated_in_place_is_still_a_matmul_s_result() -> None:
    def steps(psum, a, b):
        nisa.nc_matmul(psum, a, b)
        nisa.tensor_scalar(dst=psum, data=psum, op0=nl.multiply, operand0=2.0)
        nisa.nc_matmul(psum, a, b)

    assert np.array_equal(run(steps, "trn2"), 3 * ONCE)


@pytest.mark.parametrize("target", ["trn1", "trn2"])
def test_a_result_lies_within_one_bank(target: str) -> None:
    def steps(psum, a, b):
        nisa.nc_matmul(psum[:, :512], a, b)
        nisa.nc_matmul(psum[:, 256:768], a, b)

    message = refused(steps, target, columns=1024)
    assert "one PSUM bank of 2,048 bytes" in message
    assert np.array_equal(run(steps, "trn3", columns=1024)[:, 512:768], ONCE[:, 256:])


def test_a_tile_that_can_start_in_the_middle_of_a_bank_is_legal() -> None:
    def steps(psum, a, b):
        nisa.nc_matmul(psum[:, :256], a, b[:, :256])
        nisa.nc_matmul(psum[:, 256:], a, b)

    got = run(steps, "trn2", columns=768)
    assert np.array_equal(got, np.concatenate([ONCE[:, :256], ONCE], axis=1))


def test_a_placed_tile_is_held_to_its_bank() -> None:
    def kernel(a, b):
        psum = nl.ndarray((64, 512), nl.float32, buffer=nl.psum, address=(0, 1024))
        nisa.nc_matmul(psum, nl.load(a[:128]), nl.load(b[:128]))
        return save_psum(psum)

    with pytest.raises(nki.NkiValidationError, match="address"):
        nki.simulate(kernel, target="trn2")(A, B)


@pytest.mark.parametrize("precise", [True, False])
def test_bfloat16_chains_sum_in_float32(precise: bool) -> None:
    import ml_dtypes

    def kernel(a, b):
        psum = nl.ndarray((64, 512), nl.float32, buffer=nl.psum)
        for row in range(0, 256, 128):
            left, right = nl.ndarray((128, 64), a.dtype), nl.ndarray((128, 512), b.dtype)
            nisa.dma_copy(dst=left, src=a[row : row + 128])
            nisa.dma_copy(dst=right, src=b[row : row + 128])
            nisa.nc_matmul(psum, left, right)
        return save_psum(psum)

    a, b = A.astype(ml_dtypes.bfloat16), B.astype(ml_dtypes.bfloat16)
    assert np.array_equal(nki.simulate(kernel, precise=precise)(a, b), A.T @ B)
