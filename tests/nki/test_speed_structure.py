"""Oracle: counts of NumPy products and copies, which hold on a busy machine too; `make bench` takes the times."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.nki import tiled_matmul
from course_lib import nki
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl
from course_lib.nki import owed
from course_lib.nki.kernel import run_kernel


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes (K, M, N) of the products that NumPy really computes."""
    seen: list[tuple[int, ...]] = []
    compute = owed.add_product

    def counted(target, a, b, adds):
        seen.append((a.shape[0], a.shape[1], b.shape[1]))
        compute(target, a, b, adds)

    monkeypatch.setattr(owed, "add_product", counted)
    return seen


def matrices(k: int, m: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers, so that sums are exact in any order."""
    generator = np.random.default_rng(1)
    return generator.integers(-3, 4, (k, m)).astype(np.float32), generator.integers(-3, 4, (k, n)).astype(np.float32)


def test_a_matmul_in_tiles_runs_as_one_product(products) -> None:
    a, b = matrices(512, 256, 1024)
    assert np.array_equal(nki.simulate(tiled_matmul)(a, b), a.T @ b)
    assert products == [(512, 256, 1024)]


def test_recording_does_not_change_how_it_runs(products) -> None:
    a, b = matrices(512, 128, 512)
    results, cores = run_kernel(tiled_matmul, (a, b), {}, nki.Options(record=True))
    assert np.array_equal(results, a.T @ b)
    assert products == [(512, 128, 512)]
    assert [made.op for made in cores[0].instructions].count("nc_matmul") == 4


def test_a_record_holds_no_tile_s_memory() -> None:
    a, b = matrices(256, 128, 512)
    _, cores = run_kernel(tiled_matmul, (a, b), {}, nki.Options(record=True))
    sbuf = [storage for storage in cores[0].storages if storage.on_chip]
    assert len(sbuf) > 4
    assert all(storage.alive() is None for storage in sbuf)


def test_a_load_that_only_matmuls_use_is_never_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    copies = []
    pay = owed.Load.pay
    monkeypatch.setattr(owed.Load, "pay", lambda self, array: (copies.append(array.shape), pay(self, array))[1])
    a, b = matrices(256, 128, 512)
    nki.simulate(tiled_matmul)(a, b)
    assert copies == []

    @nki.jit
    def used_twice(a, b):
        left, right = nl.ndarray((128, 128), a.dtype), nl.ndarray((128, 512), b.dtype)
        nisa.dma_copy(dst=left, src=a[:128])
        nisa.dma_copy(dst=right, src=b[:128])
        nisa.tensor_tensor(dst=right, data1=right, data2=right, op=nl.add)
        total = nl.ndarray((128, 512), nl.float32, buffer=nl.psum)
        nisa.nc_matmul(total, left, right)
        tile, out = nl.ndarray((128, 512), nl.float32), nl.ndarray((128, 512), nl.float32, buffer=nl.shared_hbm)
        nisa.tensor_copy(dst=tile, src=total)
        nisa.dma_copy(dst=out, src=tile)
        return out

    assert np.array_equal(nki.simulate(used_twice)(a, b), 2 * a[:128].T @ b[:128])
    assert (128, 512) in copies


def test_fresh_tiles_are_filled_only_when_something_shows_through(monkeypatch: pytest.MonkeyPatch) -> None:
    fills = []
    monkeypatch.setattr(owed.Fill, "pay", lambda self, array: fills.append(array.shape) or array.fill(np.nan))

    def kernel(x):
        whole, part = nl.ndarray((128, 512), x.dtype), nl.ndarray((128, 256), x.dtype)
        nisa.tensor_copy(dst=whole[:, :], src=nl.load(x))
        nisa.memset(whole, 0)
        nisa.memset(part[:, :8], 0)
        return x

    nki.simulate(kernel)(np.zeros((128, 512), np.float32))
    assert fills == [(128, 256)]


@pytest.mark.parametrize("shift", [0, 1])
def test_operands_that_don_t_follow_one_another_are_not_joined(products, shift: int) -> None:
    def kernel(a, b):
        total = nl.ndarray((128, 512), nl.float32, buffer=nl.psum)
        for step in (0, 128 + shift):
            left, right = nl.ndarray((128, 128), a.dtype), nl.ndarray((128, 512), b.dtype)
            nisa.dma_copy(dst=left, src=a[step : step + 128])
            nisa.dma_copy(dst=right, src=b[step : step + 128])
            nisa.nc_matmul(total, left, right)
        tile, out = nl.ndarray((128, 512), nl.float32), nl.ndarray((128, 512), nl.float32, buffer=nl.shared_hbm)
        nisa.tensor_copy(dst=tile, src=total)
        nisa.dma_copy(dst=out, src=tile)
        return out

    a, b = matrices(300, 128, 512)
    wanted = a[:128].T @ b[:128] + a[128 + shift : 256 + shift].T @ b[128 + shift : 256 + shift]
    assert np.array_equal(nki.simulate(kernel)(a, b), wanted)
    assert len(products) == 1 + shift


def test_a_4096_cubed_stage_1_matmul_is_followed_without_its_arithmetic() -> None:
    a, b = (np.empty((4096, 4096), np.float32) for _ in range(2))
    _, cores = run_kernel(tiled_matmul, (a, b), {}, nki.Options(record=True, execute=False))
    assert cores[0].count == 8192 * 3 + 256 * 2
