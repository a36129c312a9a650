"""Matrix multiplication, stage 5 of 5: large transfers, the right operand kept in SBUF, all sums in PSUM.

A block of the result takes all eight banks of PSUM, so nothing is added outside the tensor engine whatever k is, and
the engine's only companions are the copies out of PSUM. On a Trainium the imports are `import nki`,
`import nki.language as nl` and `import nki.isa as nisa`.

Source: Neuron documentation 2.32, "Matrix multiplication" tutorial, for the idea of the stages; the code is our own.
"""

from __future__ import annotations

from course_lib import nki
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl

TILE_K = 128  # contraction: partitions of both operands
TILE_M = 128  # columns of the stationary operand
TILE_N = 512  # columns of the moving operand: one bank of PSUM in float32
BLOCK_M = 4 * TILE_M
BLOCK_N = 2 * TILE_N  # 4 × 2 tiles of the result fill PSUM's 8 banks
CHUNK_K = 8 * TILE_K  # rows in one transfer: 8 KiB and 16 KiB of each partition in bfloat16
RESIDENT_BYTES = 64 * 1024  # of each partition: room for a column block of `rhs` and for the next one to arrive


@nki.jit
def matmul(lhs_t: nl.NkiTensor, rhs: nl.NkiTensor) -> nl.NkiTensor:
    """`lhs_t.T @ rhs`.

    Args:
        lhs_t: (k, m) in HBM, the left matrix transposed; bfloat16 runs at the tensor engine's full rate.
        rhs: (k, n) in HBM.

    Returns:
        (m, n) in HBM, in the format of `lhs_t`.
    """
    (k_size, m_size), n_size = lhs_t.shape, rhs.shape[1]
    out = nl.ndarray((m_size, n_size), dtype=lhs_t.dtype, buffer=nl.shared_hbm)  # (m, n)
    steps = (k_size + TILE_K - 1) // TILE_K
    resident = steps * BLOCK_N * rhs.dtype.itemsize <= RESIDENT_BYTES

    for n in range(0, n_size, BLOCK_N):
        block_width = min(BLOCK_N, n_size - n)
        rhs_chunks: dict[int, list[nl.NkiTensor]] = {}

        for m in range(0, m_size, BLOCK_M):
            block_height = min(BLOCK_M, m_size - m)
            tiles = []  # (i, j, PSUM tile) for each tile of the result in this block
            for i in range(0, block_height, TILE_M):
                for j in range(0, block_width, TILE_N):
                    shape = (min(TILE_M, block_height - i), min(TILE_N, block_width - j))
                    tiles.append((i, j, nl.ndarray(shape, dtype=nl.float32, buffer=nl.psum)))

            for k in range(0, k_size, CHUNK_K):
                depth = min(CHUNK_K, k_size - k)
                lhs_chunk = load_chunk(lhs_t[k : k + depth, m : m + block_height])
                if k not in rhs_chunks or not resident:
                    rhs_chunks[k] = load_chunk(rhs[k : k + depth, n : n + block_width])
                # One tile of the result after the other: the first is complete, and on its way out of PSUM, while the
                # engine works on the last.
                for i, j, total in tiles:
                    height, width = total.shape
                    for lhs_tile, rhs_tile in zip(lhs_chunk, rhs_chunks[k], strict=True):
                        nisa.nc_matmul(
                            dst=total, stationary=lhs_tile[:, i : i + height], moving=rhs_tile[:, j : j + width]
                        )

            for i in range(0, block_height, TILE_M):
                height = min(TILE_M, block_height - i)
                out_tile = nl.ndarray((height, block_width), dtype=out.dtype, buffer=nl.sbuf)
                for row, j, total in tiles:
                    if row == i:
                        nisa.tensor_copy(dst=out_tile[:, j : j + total.shape[1]], src=total)
                nisa.dma_copy(dst=out[m + i : m + i + height, n : n + block_width], src=out_tile)
    return out


def load_chunk(block: nl.NkiTensor) -> list[nl.NkiTensor]:
    """Loads rows of HBM with one transfer, each 128 of them side by side in the partitions.

    Args:
        block: (rows, columns) view in HBM.

    Returns:
        Views of (128, columns), the last one shorter where rows is no multiple of 128.
    """
    rows, columns = block.shape
    full = rows // TILE_K
    tiles = []
    if full:
        chunk = nl.ndarray((TILE_K, full, columns), dtype=block.dtype, buffer=nl.sbuf)
        # (full × 128, columns) -> (128, full, columns)
        nisa.dma_copy(dst=chunk, src=block[: full * TILE_K, :].reshape_dim(0, (full, TILE_K)).permute((1, 0, 2)))
        tiles += [chunk[:, step, :] for step in range(full)]
    if rows > full * TILE_K:
        rest = nl.ndarray((rows - full * TILE_K, columns), dtype=block.dtype, buffer=nl.sbuf)
        nisa.dma_copy(dst=rest, src=block[full * TILE_K :, :])
        tiles.append(rest)
    return tiles
