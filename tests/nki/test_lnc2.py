"""Oracle: NumPy on the two halves; what each core sends and receives written out by hand."""

from __future__ import annotations

import traceback

import numpy as np
import pytest

from course_lib import nki
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl
from course_lib.nki.constants import dma_engine
from course_lib.nki.isa.cores import core_barrier, sendrecv

X = np.arange(128 * 8, dtype=np.float32).reshape(128, 8)
HALVES = (slice(0, 64), slice(64, 128))


def run(kernel, *args, **options):
    """The kernel's result on two cores."""
    return nki.simulate(nki.jit(kernel)[2], **options)(*args)


def refused(kernel, *args, **options) -> str:
    """The message."""
    with pytest.raises(nki.NkiValidationError) as caught:
        run(kernel, *args, **options)
    return str(caught.value)


def swap(x, **how):
    """The halves of x exchanged by sendrecv."""
    me = nl.program_id(0)
    mine, theirs = (nl.ndarray((64, 8), nl.float32, buffer=nl.sbuf) for _ in range(2))
    nisa.dma_copy(dst=mine, src=x[HALVES[me]])
    sendrecv(src=mine, dst=theirs, send_to_rank=1 - me, recv_from_rank=1 - me, pipe_id=0, **how)
    out = nl.ndarray((128, 8), nl.float32, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out[HALVES[me]], src=theirs)
    return out


@pytest.mark.parametrize("choice", [dma_engine.dma, dma_engine.gpsimd_dma])
def test_sendrecv_exchanges_tiles(choice: dma_engine) -> None:
    got = run(lambda x: swap(x, dma_engine=choice), X)
    assert np.array_equal(got, np.concatenate([X[64:], X[:64]]))


def test_a_sent_tile_may_change_at_once() -> None:
    def kernel(x):
        me = nl.program_id(0)
        out = nl.ndarray((2, 64, 8), nl.float32, buffer=nl.shared_hbm)
        mine, theirs = nl.load(x[HALVES[me]]), nl.ndarray((64, 8), nl.float32, buffer=nl.sbuf)
        sendrecv(mine, theirs, 1 - me, 1 - me, 0)
        nisa.memset(mine, -1)
        nisa.dma_copy(dst=out[me], src=theirs)
        return out

    assert np.array_equal(run(kernel, X), np.stack([X[64:], X[:64]]))


def test_both_cores_see_program_ids_and_a_shared_tensor() -> None:
    def kernel(x):
        me = nl.program_id(0)
        assert nl.num_programs(0) == 2
        out = nl.ndarray((128, 8), nl.float32, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=out[HALVES[me]], src=nl.load(x[HALVES[me]]))
        core_barrier(out, (0, 1))
        total = nl.load(out[HALVES[1 - me]])
        result = nl.ndarray((128, 8), nl.float32, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=result[HALVES[me]], src=total)
        return result

    assert np.array_equal(run(kernel, X), np.concatenate([X[64:], X[:64]]))


def test_a_core_that_never_comes_is_named_at_once() -> None:
    def kernel(x):
        out = nl.ndarray((128, 8), nl.float32, buffer=nl.shared_hbm)
        if nl.program_id(0) == 0:
            core_barrier(out, (0, 1))
        return out

    assert "core 0 waits in nisa.core_barrier for core 1, which has already ended" in refused(kernel, X)


def test_a_barrier_does_not_meet_a_sendrecv() -> None:
    def kernel(x):
        out = nl.ndarray((128, 8), nl.float32, buffer=nl.shared_hbm)
        tile = nl.load(x)
        if nl.program_id(0) == 0:
            core_barrier(out, (0, 1))
        else:
            sendrecv(tile, nl.ndarray((128, 8), nl.float32), 0, 0, 0)
        return out

    message = refused(kernel, X)
    assert "core_barrier" in message
    assert "sendrecv" in message


def test_the_kernel_s_own_error_is_raised_with_its_line() -> None:
    def kernel(x):
        out = nl.ndarray((128, 8), nl.float32, buffer=nl.shared_hbm)
        if nl.program_id(0) == 1:
            raise ZeroDivisionError("here")
        core_barrier(out, (0, 1))
        return out

    with pytest.raises(ZeroDivisionError, match="here") as caught:
        run(kernel, X)
    assert any('ZeroDivisionError("here")' in (frame.line or "") for frame in traceback.extract_tb(caught.tb))


def test_shared_allocations_must_agree() -> None:
    def kernel(x):
        me = nl.program_id(0)
        out = nl.ndarray((128, 8 + me), nl.float32, buffer=nl.shared_hbm)
        core_barrier(out, (0, 1))
        return out

    message = refused(kernel, X)
    assert "(128, 8)" in message
    assert "(128, 9)" in message
    assert "shared allocation number 1" in message


def call(change):
    """A kernel that calls sendrecv with changed arguments."""

    def kernel(x):
        me = nl.program_id(0)
        given = {
            "src": nl.load(x),
            "dst": nl.ndarray((128, 8), nl.float32, buffer=nl.sbuf),
            "send_to_rank": 1 - me,
            "recv_from_rank": 1 - me,
            "pipe_id": 0,
        }
        sendrecv(**{**given, **change(me)})
        return x

    return kernel


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda me: {"send_to_rank": 2}, "send_to_rank=2"),
        (lambda me: {"send_to_rank": 0}, "which sends to core 0"),
        (lambda me: {"dst": nl.ndarray((128, 4), nl.float32)}, "the same shape and format"),
        (lambda me: {"dst": nl.ndarray((128, 8), nl.bfloat16)}, "the same shape and format"),
        (lambda me: {"dst": nl.ndarray((128, 8), nl.float32, buffer=nl.psum)}, "psum"),
        (lambda me: {"pipe_id": me}, "pipe_id=1"),
        (lambda me: {"dma_engine": "dma"}, "dma_engine='dma'"),
    ],
)
def test_what_sendrecv_does_not_do_is_refused(change, why: str) -> None:
    assert why in refused(call(change), X)


@pytest.mark.parametrize(("dtype", "bytes_"), [(nl.float32, 1024), (nl.bfloat16, 512), (nl.uint8, 256)])
def test_gpsimd_dma_moves_256_elements_of_a_partition(dtype, bytes_: int) -> None:
    def kernel(columns):
        me = nl.program_id(0)
        src, dst = (nl.ndarray((16, columns), dtype, buffer=nl.sbuf) for _ in range(2))
        nisa.memset(src, 1)
        sendrecv(src, dst, 1 - me, 1 - me, 0, dma_engine=dma_engine.gpsimd_dma)

    run(kernel, 256)
    assert f"{bytes_:,} bytes" in refused(kernel, 257)


def test_cores_exist_from_gen3_and_only_with_two_of_them() -> None:
    def barrier(x):
        out = nl.ndarray((4, 4), nl.float32, buffer=nl.shared_hbm)
        core_barrier(out, (0, 1))
        return out

    assert "NeuronCore-v3" in refused(barrier, X, target="trn1")
    with pytest.raises(nki.NkiValidationError, match="LNC2"):
        nki.simulate(barrier)(X)


def test_a_barrier_of_one_core_does_nothing() -> None:
    def kernel(x):
        core_barrier(x, (0,))
        return x

    assert np.array_equal(nki.simulate(kernel)(X), X)


def test_a_barrier_is_about_shared_memory() -> None:
    def kernel(x):
        core_barrier(nl.ndarray((4, 4), nl.float32, buffer=nl.private_hbm), (0, 1))
        return x

    assert "private_hbm" in refused(kernel, X)


def test_private_memory_is_each_core_s_own() -> None:
    def kernel(x):
        me = nl.program_id(0)
        mine = nl.ndarray((64, 8), nl.float32, buffer=nl.private_hbm)
        nisa.dma_copy(dst=mine, src=nl.load(x[HALVES[me]]))
        out = nl.ndarray((128, 8), nl.float32, buffer=nl.shared_hbm)
        core_barrier(out, (0, 1))
        nisa.dma_copy(dst=out[HALVES[me]], src=nl.load(mine))
        return out

    assert np.array_equal(run(kernel, X), X)
