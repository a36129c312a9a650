"""Oracle: Python integers; a register behaves like the integer that was written to it."""

import numpy as np
import pytest

import course_lib.nki.isa as nisa
import course_lib.nki.language as nl
from course_lib.nki import NkiValidationError, simulate


def test_a_register_counts_loops_and_indexes_tiles():
    def kernel(x, count):
        out = nl.ndarray(x.shape, x.dtype, nl.shared_hbm)
        tile = nl.ndarray((x.shape[0], 4), x.dtype)
        reg = nisa.register_alloc()
        nisa.register_load(reg, count)
        for i in range(reg):
            nisa.dma_copy(tile, x[:, nl.ds(4 * i, 4)])
            nisa.dma_copy(out[:, nl.ds(i * 4, 4)], tile)
        return out

    x = np.arange(8 * 12, dtype=np.float32).reshape(8, 12)
    result = simulate(kernel)(x, np.array([[2]], np.int32))
    np.testing.assert_array_equal(result[:, :8], x[:, :8])
    assert np.isnan(result[:, 8:]).all()


def test_registers_compare_and_compute_like_integers():
    def kernel():
        a, b = nisa.register_alloc(7), nisa.register_alloc()
        nisa.register_move(b, a)
        assert a == b == 7
        assert a < 8 <= b + 1
        assert a - 1 == 6
        assert 20 // a == 2
        assert a * b == 49
        assert a == np.int32(7)
        assert np.int32(8) - a == 1
        assert (a & 3, a | 8, a << 1) == (3, 15, 14)
        assert a % 4 == 3
        assert -a == -7
        assert bool(a)
        assert [10, 20, 30][nisa.register_alloc(1)] == 20
        nisa.register_move(b, -5)
        assert (int(a), int(b)) == (7, -5)

    simulate(kernel)()


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.float32])
@pytest.mark.parametrize("shape", [(1,), (1, 1)])
def test_load_and_store_carry_one_element_of_any_format(dtype, shape):
    def kernel(x):
        out = nl.ndarray(shape, x.dtype, nl.shared_hbm)
        reg = nisa.register_alloc(0)
        nisa.register_load(reg, x)
        nisa.register_store(out, reg)
        return out

    x = np.full(shape, 100, dtype)
    np.testing.assert_array_equal(simulate(kernel)(x), x)


def test_a_tile_in_sbuf_passes_through_a_register():
    def kernel():
        out = nl.ndarray((1, 1), nl.int32, nl.shared_hbm)
        tile, other = nl.ndarray((1, 1), nl.int32), nl.ndarray((1, 1), nl.int32)
        nisa.memset(tile, 41)
        reg = nisa.register_alloc()
        nisa.register_load(reg, tile)
        nisa.register_move(reg, reg + 1)
        nisa.register_store(other, reg)
        nisa.dma_copy(out, other)
        return out

    assert simulate(kernel)().item() == 42


def refuse(match, kernel, *args, **options):
    with pytest.raises(NkiValidationError, match=match):
        simulate(kernel, **options)(*args)


def test_reading_a_register_that_was_never_written_is_an_error():
    refuse("before anything was written", lambda: int(nisa.register_alloc()))


def test_a_register_takes_whole_numbers_of_32_bits():
    refuse("whole number", lambda: nisa.register_alloc(1.5))
    refuse("32 bits", lambda: nisa.register_alloc(2**32))
    refuse("32 bits", lambda: nisa.register_move(nisa.register_alloc(), -(2**31) - 1))


def test_load_and_store_refuse_more_than_one_element_and_psum():
    refuse("exactly one element", lambda: nisa.register_load(nisa.register_alloc(), nl.ndarray((2, 1), nl.int32)))
    refuse("psum", lambda: nisa.register_store(nl.ndarray((1, 1), nl.int32, nl.psum), nisa.register_alloc(1)))
    refuse("a register", lambda: nisa.register_load(3, nl.ndarray((1, 1), nl.int32)))


def test_a_frozen_register_refuses_writes():
    refuse("read-only", lambda: nisa.register_move(nisa.VirtualRegister(3, frozen=True), 4))


def test_a_fraction_is_no_index():
    def kernel(x):
        reg = nisa.register_alloc()
        nisa.register_load(reg, x)
        return [1, 2, 3][reg]

    refuse("whole number", kernel, np.array([1.5], np.float32))


def test_without_values_a_loaded_register_cannot_be_read_but_can_address():
    def follows(x, count):
        reg, copy = nisa.register_alloc(), nisa.register_alloc()
        nisa.register_load(reg, count)
        nisa.register_move(copy, reg)
        tile = nl.ndarray((4, 8), x.dtype)
        nisa.dma_copy(tile, x.select(0, copy))

    def reads(x, count):
        reg, copy = nisa.register_alloc(), nisa.register_alloc()
        nisa.register_load(reg, count)
        nisa.register_move(copy, reg)
        return range(copy)

    arguments = np.zeros((2, 4, 8), np.float32), np.array([1], np.int32)
    simulate(follows, execute=False)(*arguments)
    refuse("execute=False", reads, *arguments, execute=False)


@pytest.mark.parametrize(("target", "version"), [("trn1", 2), ("inf2", 2), ("trn2", 3), ("gen3", 3), ("trn3", 4)])
def test_a_kernel_learns_its_generation(target, version):
    def kernel():
        assert nisa.get_nc_version() == version
        assert nisa.get_nc_version() is nisa.nc_version(version)
        assert nisa.get_nc_sub_version() == 0

    simulate(kernel, target=target)()
