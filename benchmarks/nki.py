"""What simulating costs: a matmul against NumPy, attention against torch, an instruction against its expression."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.ratio import Ratio, compare
from course_lib import nki
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl
from course_lib.nki.kernels import flash_attention

SIZE = 2048
REPEATS = 2000


@nki.jit
def tiled_matmul(left: Any, right: Any) -> Any:
    """left.T @ right in tiles of 128 × 128 and 128 × 512."""
    depth, rows = left.shape
    columns = right.shape[1]
    out = nl.ndarray((rows, columns), dtype=left.dtype, buffer=nl.shared_hbm)
    for row in range(0, rows, 128):
        for column in range(0, columns, 512):
            total = nl.ndarray((128, 512), nl.float32, buffer=nl.psum)
            for step in range(0, depth, 128):
                stationary = nl.ndarray((128, 128), left.dtype, buffer=nl.sbuf)
                moving = nl.ndarray((128, 512), right.dtype, buffer=nl.sbuf)
                nisa.dma_copy(dst=stationary, src=left[step : step + 128, row : row + 128])
                nisa.dma_copy(dst=moving, src=right[step : step + 128, column : column + 512])
                nisa.nc_matmul(dst=total, stationary=stationary, moving=moving)
            result = nl.ndarray((128, 512), out.dtype, buffer=nl.sbuf)
            nisa.tensor_copy(dst=result, src=total)
            nisa.dma_copy(dst=out[row : row + 128, column : column + 512], src=result)
    return out


@nki.jit
def many_adds(x: Any) -> Any:
    """REPEATS additions of one 128 × 512 tile to itself."""
    tile, total = (nl.ndarray((128, 512), nl.float32, buffer=nl.sbuf) for _ in range(2))
    nisa.dma_copy(dst=tile, src=x)
    for _ in range(REPEATS):
        nisa.tensor_tensor(dst=total, data1=tile, data2=tile, op=nl.add)
    out = nl.ndarray((128, 512), nl.float32, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=total)
    return out


def numpy_adds(x: np.ndarray) -> Callable[[], None]:
    """The same additions in NumPy."""
    total = np.empty_like(x)

    def work() -> None:
        for _ in range(REPEATS):
            np.add(x, x, out=total)

    return work


def attention() -> Ratio:
    """Flash attention of 4 heads of 2048 by 64, at most 6 times torch's own on the CPU."""
    query, key, value = torch.randn((3, 1, 4, 2048, 64), generator=torch.Generator().manual_seed(0))
    ours = nki.simulate(flash_attention)
    return compare(
        "flash attention 4x2048x64 fp32, simulated",
        lambda: ours(query[0], key[0], value[0], 64**-0.5),
        "torch sdpa (CPU)",
        lambda: torch.nn.functional.scaled_dot_product_attention(query, key, value),
    )


def measure() -> list[Ratio]:
    """The figures of the NKI step: at most 1.6 and 2.5 for the matmul, 6 for attention, 15 µs for an instruction."""
    generator = np.random.default_rng(0)
    a, b = (generator.random((SIZE, SIZE), dtype=np.float32) for _ in range(2))
    tile = a[:128, :512].copy()
    plain, priced = nki.simulate(tiled_matmul), nki.profile(tiled_matmul)
    shape = f"{SIZE}x{SIZE}x{SIZE}"
    rows = [
        compare(f"tiled matmul {shape} fp32, simulated", lambda: plain(a, b), "numpy a.T @ b", lambda: a.T @ b),
        compare(f"tiled matmul {shape} fp32, profiled", lambda: priced(a, b), "numpy a.T @ b", lambda: a.T @ b),
        compare(f"{REPEATS} adds of 128x512", lambda: nki.simulate(many_adds)(tile), "numpy add", numpy_adds(tile)),
    ]
    added = (rows[-1].our_seconds - rows[-1].peer_seconds) / REPEATS
    limit = 15e-6
    rows.append(attention())
    rows.append(Ratio("one instruction over its expression", "15 µs", added, limit, added / limit))
    return rows
