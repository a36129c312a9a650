"""Oracle: sets of (row, column) that each core touches between two barriers, intersected by hand."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest

from course_lib import nki
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl
from course_lib.nki.isa.cores import core_barrier, sendrecv

X = np.arange(128 * 16, dtype=np.float32).reshape(128, 16)


def run(kernel, **options):
    """The kernel's result on two cores."""
    return nki.simulate(nki.jit(kernel)[2], **options)(X)


def write(out, rows: slice, columns: slice) -> None:
    """Writes ones to a part of a shared tensor."""
    part = out[rows, columns]
    tile = nl.ndarray(part.shape, nl.float32, buffer=nl.sbuf)
    nisa.memset(tile, 1)
    nisa.dma_copy(dst=part, src=tile)


def both(first: tuple[slice, slice], second: tuple[slice, slice]):
    """A kernel in which core 0 writes the first part and core 1 the second."""

    def kernel(x):
        out = nl.ndarray((128, 16), nl.float32, buffer=nl.shared_hbm)
        write(out, *(first if nl.program_id(0) == 0 else second))
        return out

    return kernel


ALL = slice(None)


@pytest.mark.parametrize(
    ("first", "second", "meets"),
    [
        ((slice(0, 64), ALL), (slice(64, 128), ALL), False),
        ((slice(0, 65), ALL), (slice(64, 128), ALL), True),
        ((ALL, slice(0, 8)), (ALL, slice(8, 16)), False),
        ((ALL, slice(0, 9)), (ALL, slice(8, 16)), True),
        ((ALL, slice(0, 16, 2)), (ALL, slice(1, 16, 2)), False),
        ((slice(0, 128, 2), ALL), (slice(1, 128, 2), ALL), False),
        ((slice(0, 128, 2), ALL), (slice(0, 128, 3), ALL), True),
    ],
)
def test_only_writes_of_common_elements_are_a_race(first, second, meets: bool) -> None:
    if not meets:
        assert run(both(first, second)).shape == (128, 16)
        return
    with pytest.raises(nki.NkiValidationError, match=r"core 1 writes .* while core 0 writes the same bytes"):
        run(both(first, second))


@pytest.mark.parametrize("slow", [0, 1])
@pytest.mark.parametrize("fenced", [True, False])
def test_reading_what_the_other_core_writes_needs_a_barrier_whoever_is_first(slow: int, fenced: bool) -> None:
    def kernel(x):
        me = nl.program_id(0)
        out = nl.ndarray((128, 16), nl.float32, buffer=nl.shared_hbm)
        if me == slow:
            time.sleep(0.05)
        if me == 0:
            write(out, ALL, ALL)
        if fenced:
            core_barrier(out, (0, 1))
        result = nl.ndarray((128, 16), nl.float32, buffer=nl.shared_hbm)
        if me == 1:
            nisa.dma_copy(dst=result, src=nl.load(out))
        return result

    if fenced:
        assert (run(kernel) == 1).all()
        return
    messages = set()
    for _ in range(3):
        with pytest.raises(nki.NkiValidationError, match=r"core 1 reads .* while core 0 writes") as caught:
            run(kernel)
        messages.add(str(caught.value))
    assert len(messages) == 1
    assert messages.pop().count("test_races.py:") == 3


def test_overwriting_what_the_other_core_still_reads_is_a_race() -> None:
    def kernel(x):
        if nl.program_id(0) == 0:
            write(x, slice(0, 64), ALL)
        else:
            nl.load(x)
        return x

    with pytest.raises(nki.NkiValidationError, match="while core 0 writes the same bytes"):
        nki.simulate(nki.jit(kernel)[2])(X.copy())


def test_a_sendrecv_orders_the_cores_like_a_barrier() -> None:
    def kernel(x):
        me = nl.program_id(0)
        out = nl.ndarray((128, 16), nl.float32, buffer=nl.shared_hbm)
        token, seen = (nl.ndarray((1, 1), nl.float32, buffer=nl.sbuf) for _ in range(2))
        nisa.memset(token, me)
        if me == 0:
            write(out, ALL, ALL)
        sendrecv(token, seen, 1 - me, 1 - me, 0)
        if me == 1:
            nl.load(out)
        return out

    assert (run(kernel) == 1).all()


def test_cores_that_all_do_the_same_work_are_no_race() -> None:
    def kernel(x):
        out = nl.ndarray((128, 16), nl.float32, buffer=nl.shared_hbm)
        write(out, ALL, ALL)
        again = nl.ndarray((128, 16), nl.float32, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=again, src=nl.load(out))
        return again

    assert (run(kernel) == 1).all()


def test_reading_the_same_input_is_no_race() -> None:
    def kernel(x):
        nl.load(x)
        return x

    assert np.array_equal(run(kernel), X)


@pytest.mark.parametrize("shift", [0, 1])
def test_a_scatter_touches_the_rows_that_its_indices_name(shift: int) -> None:
    def kernel(x, indices):
        me = nl.program_id(0)
        out = nl.ndarray((128, 16), nl.float32, buffer=nl.shared_hbm)
        tile, rows = nl.load(x[:32]), nl.load(indices[me])
        nisa.dma_copy(dst=out.ap([[16, 32], [1, 16]], vector_offset=rows, indirect_dim=0), src=tile)
        return out

    rows = np.stack([np.arange(0, 64, 2), np.arange(1, 65, 2)]).astype(np.int32).reshape(2, 32, 1)
    rows[1, 7] -= shift
    simulated = nki.simulate(nki.jit(kernel)[2])
    if shift:
        with pytest.warns(RuntimeWarning, match="core 1 writes .* while core 0 writes the same bytes"):
            simulated(X, rows)
    else:
        assert np.array_equal(simulated(X, rows)[0:64:2], X[:32])


def fills_and_scatters(x, rows, fenced):
    me = nl.program_id(0)
    out = nl.ndarray((128, 16), nl.float32, buffer=nl.shared_hbm)
    half = nl.zeros((64, 16), nl.float32)
    nisa.dma_copy(dst=out[me * 64 : me * 64 + 64], src=half)
    if fenced:
        nisa.core_barrier(out, (0, 1))
    tile, mine = nl.load(x[:32]), nl.load(rows[me])
    nisa.dma_copy(dst=out.ap([[16, 32], [1, 16]], vector_offset=mine, indirect_dim=0), src=tile)
    return out


@pytest.mark.parametrize("fenced", [False, True])
def test_a_scatter_over_what_the_other_core_fills_draws_a_warning(fenced: bool, recwarn) -> None:
    rows = np.stack([np.arange(0, 64, 2), np.arange(1, 65, 2)]).astype(np.int32).reshape(2, 32, 1)
    nki.simulate(nki.jit(fills_and_scatters)[2])(X, rows, fenced)
    seen = [str(warning.message) for warning in recwarn]
    if fenced:
        assert not seen
    else:
        assert "core 0 writes" in seen[0]
        assert "while core 1 writes the same bytes" in seen[0]
        assert "nisa.core_barrier" in seen[0]


def test_what_the_other_core_scatters_is_not_to_be_read_without_a_barrier() -> None:
    def kernel(x, indices):
        out = nl.ndarray((128, 16), nl.float32, buffer=nl.shared_hbm)
        tile, rows = nl.load(x[:32]), nl.load(indices)
        if nl.program_id(0) == 0:
            nisa.dma_copy(dst=out.ap([[16, 32], [1, 16]], vector_offset=rows, indirect_dim=0), src=tile)
        else:
            nisa.dma_copy(dst=tile, src=out[32:64])
        return out

    rows = np.arange(40, 72).astype(np.int32).reshape(32, 1)
    with pytest.raises(nki.NkiValidationError, match=r"core 1 reads .* while core 0 writes the same bytes"):
        nki.simulate(nki.jit(kernel)[2])(X, rows)


def test_the_account_of_gathers_takes_less_memory_than_their_elements() -> None:
    def kernel(x, indices):
        tile, rows = nl.ndarray((128, 512), nl.float32), nl.load(indices)
        for _ in range(64):
            nisa.dma_copy(dst=tile, src=x.ap([[512, 128], [1, 512]], vector_offset=rows, indirect_dim=0))

    table, rows = np.zeros((256, 512), np.float32), np.arange(128).astype(np.int32).reshape(128, 1)
    tracemalloc.start()
    nki.simulate(nki.jit(kernel)[2])(table, rows)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * 64 * 128 * 512 * 4 / 2  # half of the float32 elements that two cores gathered


def test_many_accesses_are_no_race() -> None:
    def kernel(x):
        me = nl.program_id(0)
        out = nl.ndarray((512, 128, 16), nl.float32, buffer=nl.shared_hbm)
        tile = nl.ndarray((128, 8), nl.float32, buffer=nl.sbuf)
        nisa.memset(tile, me)
        for block in range(512):
            nisa.dma_copy(dst=out[block, :, me * 8 : me * 8 + 8], src=tile)
        return out

    got = run(kernel)
    assert (got[..., :8] == 0).all()
    assert (got[..., 8:] == 1).all()
