"""Matrix multiplication, stages 1 to 4 of 5: the same arithmetic each time, less traffic from stage to stage.

All take the left matrix transposed, because the tensor engine contracts along the partitions of both operands.
On a Trainium the imports are `import nki`, `import nki.language as nl` and `import nki.isa as nisa`.

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
BLOCK_N = 2 * TILE_N
BLOCK_K = 8 * TILE_K


@nki.jit
def matmul_tiled(lhs_t: nl.NkiTensor, rhs: nl.NkiTensor) -> nl.NkiTensor:
    """Stage 1, tiled: each matmul loads its own operands.

    Args:
        lhs_t: (k, m) in HBM, the left matrix transposed.
        rhs: (k, n) in HBM.

    Returns:
        (m, n) in HBM, in the format of `lhs_t`.
    """
    (k_size, m_size), n_size = lhs_t.shape, rhs.shape[1]
    out = nl.ndarray((m_size, n_size), dtype=lhs_t.dtype, buffer=nl.shared_hbm)  # (m, n)

    for m in range(0, m_size, TILE_M):
        height = min(TILE_M, m_size - m)
        for n in range(0, n_size, TILE_N):
            width = min(TILE_N, n_size - n)
            total = nl.ndarray((height, width), dtype=nl.float32, buffer=nl.psum)
            for k in range(0, k_size, TILE_K):
                depth = min(TILE_K, k_size - k)
                lhs_tile = nl.ndarray((depth, height), dtype=lhs_t.dtype, buffer=nl.sbuf)
                rhs_tile = nl.ndarray((depth, width), dtype=rhs.dtype, buffer=nl.sbuf)
                nisa.dma_copy(dst=lhs_tile, src=lhs_t[k : k + depth, m : m + height])
                nisa.dma_copy(dst=rhs_tile, src=rhs[k : k + depth, n : n + width])
                # The first matmul into a PSUM tile overwrites, later ones add.
                nisa.nc_matmul(dst=total, stationary=lhs_tile, moving=rhs_tile)
            out_tile = nl.ndarray((height, width), dtype=out.dtype, buffer=nl.sbuf)
            nisa.tensor_copy(dst=out_tile, src=total)
            nisa.dma_copy(dst=out[m : m + height, n : n + width], src=out_tile)
    return out


@nki.jit
def matmul_hoisted(lhs_t: nl.NkiTensor, rhs: nl.NkiTensor) -> nl.NkiTensor:
    """Stage 2, hoisted loads: a row of output tiles shares its left operand, loaded once before the loop over n.

    Args and result as in `matmul_tiled`.
    """
    (k_size, m_size), n_size = lhs_t.shape, rhs.shape[1]
    out = nl.ndarray((m_size, n_size), dtype=lhs_t.dtype, buffer=nl.shared_hbm)  # (m, n)

    for m in range(0, m_size, TILE_M):
        height = min(TILE_M, m_size - m)
        lhs_tiles = []  # one (depth, height) tile for each step along k
        for k in range(0, k_size, TILE_K):
            depth = min(TILE_K, k_size - k)
            lhs_tile = nl.ndarray((depth, height), dtype=lhs_t.dtype, buffer=nl.sbuf)
            nisa.dma_copy(dst=lhs_tile, src=lhs_t[k : k + depth, m : m + height])
            lhs_tiles.append(lhs_tile)

        for n in range(0, n_size, TILE_N):
            width = min(TILE_N, n_size - n)
            total = nl.ndarray((height, width), dtype=nl.float32, buffer=nl.psum)
            for step, lhs_tile in enumerate(lhs_tiles):
                k, depth = step * TILE_K, lhs_tile.shape[0]
                rhs_tile = nl.ndarray((depth, width), dtype=rhs.dtype, buffer=nl.sbuf)
                nisa.dma_copy(dst=rhs_tile, src=rhs[k : k + depth, n : n + width])
                nisa.nc_matmul(dst=total, stationary=lhs_tile, moving=rhs_tile)
            out_tile = nl.ndarray((height, width), dtype=out.dtype, buffer=nl.sbuf)
            nisa.tensor_copy(dst=out_tile, src=total)
            nisa.dma_copy(dst=out[m : m + height, n : n + width], src=out_tile)
    return out


@nki.jit
def matmul_blocked_free(lhs_t: nl.NkiTensor, rhs: nl.NkiTensor) -> nl.NkiTensor:
    """Stage 3, blocked free dimensions: a block of output tiles shares both operands; each byte is used more often.

    Args and result as in `matmul_tiled`; all of k for one block has to fit into SBUF.
    """
    (k_size, m_size), n_size = lhs_t.shape, rhs.shape[1]
    out = nl.ndarray((m_size, n_size), dtype=lhs_t.dtype, buffer=nl.shared_hbm)  # (m, n)

    for m in range(0, m_size, BLOCK_M):
        block_height = min(BLOCK_M, m_size - m)
        for n in range(0, n_size, BLOCK_N):
            block_width = min(BLOCK_N, n_size - n)
            operands = []  # (depth, block_height) and (depth, block_width) for each step along k
            for k in range(0, k_size, TILE_K):
                depth = min(TILE_K, k_size - k)
                lhs_tile = nl.ndarray((depth, block_height), dtype=lhs_t.dtype, buffer=nl.sbuf)
                rhs_tile = nl.ndarray((depth, block_width), dtype=rhs.dtype, buffer=nl.sbuf)
                nisa.dma_copy(dst=lhs_tile, src=lhs_t[k : k + depth, m : m + block_height])
                nisa.dma_copy(dst=rhs_tile, src=rhs[k : k + depth, n : n + block_width])
                operands.append((lhs_tile, rhs_tile))

            for i in range(0, block_height, TILE_M):
                height = min(TILE_M, block_height - i)
                out_tile = nl.ndarray((height, block_width), dtype=out.dtype, buffer=nl.sbuf)
                for j in range(0, block_width, TILE_N):
                    width = min(TILE_N, block_width - j)
                    total = nl.ndarray((height, width), dtype=nl.float32, buffer=nl.psum)
                    for lhs_tile, rhs_tile in operands:
                        nisa.nc_matmul(
                            dst=total, stationary=lhs_tile[:, i : i + height], moving=rhs_tile[:, j : j + width]
                        )
                    nisa.tensor_copy(dst=out_tile[:, j : j + width], src=total)
                nisa.dma_copy(dst=out[m + i : m + i + height, n : n + block_width], src=out_tile)
    return out


@nki.jit
def matmul_blocked(lhs_t: nl.NkiTensor, rhs: nl.NkiTensor) -> nl.NkiTensor:
    """Stage 4, blocked in k too: SBUF holds one block of each operand, whatever k is; blocks add up in float32 in SBUF.

    Args and result as in `matmul_tiled`.
    """
    (k_size, m_size), n_size = lhs_t.shape, rhs.shape[1]
    out = nl.ndarray((m_size, n_size), dtype=lhs_t.dtype, buffer=nl.shared_hbm)  # (m, n)

    for m in range(0, m_size, BLOCK_M):
        block_height = min(BLOCK_M, m_size - m)
        for n in range(0, n_size, BLOCK_N):
            block_width = min(BLOCK_N, n_size - n)
            sums = []  # one (height, block_width) tile for each TILE_M rows of the block
            for i in range(0, block_height, TILE_M):
                height = min(TILE_M, block_height - i)
                sums.append(nl.ndarray((height, block_width), dtype=nl.float32, buffer=nl.sbuf))

            for block_k in range(0, k_size, BLOCK_K):
                operands = []  # (depth, block_height) and (depth, block_width) for each step along this block of k
                for k in range(block_k, min(block_k + BLOCK_K, k_size), TILE_K):
                    depth = min(TILE_K, k_size - k)
                    lhs_tile = nl.ndarray((depth, block_height), dtype=lhs_t.dtype, buffer=nl.sbuf)
                    rhs_tile = nl.ndarray((depth, block_width), dtype=rhs.dtype, buffer=nl.sbuf)
                    nisa.dma_copy(dst=lhs_tile, src=lhs_t[k : k + depth, m : m + block_height])
                    nisa.dma_copy(dst=rhs_tile, src=rhs[k : k + depth, n : n + block_width])
                    operands.append((lhs_tile, rhs_tile))

                for row, sum_tile in enumerate(sums):
                    i, height = row * TILE_M, sum_tile.shape[0]
                    for j in range(0, block_width, TILE_N):
                        width = min(TILE_N, block_width - j)
                        partial = nl.ndarray((height, width), dtype=nl.float32, buffer=nl.psum)
                        for lhs_tile, rhs_tile in operands:
                            nisa.nc_matmul(
                                dst=partial, stationary=lhs_tile[:, i : i + height], moving=rhs_tile[:, j : j + width]
                            )
                        part = sum_tile[:, j : j + width]
                        if block_k == 0:
                            nisa.tensor_copy(dst=part, src=partial)
                        else:
                            nisa.tensor_tensor(dst=part, data1=part, data2=partial, op=nl.add)

            for row, sum_tile in enumerate(sums):
                i, height = row * TILE_M, sum_tile.shape[0]
                out_tile = nl.ndarray((height, block_width), dtype=out.dtype, buffer=nl.sbuf)
                nisa.tensor_copy(dst=out_tile, src=sum_tile)
                nisa.dma_copy(dst=out[m + i : m + i + height, n : n + block_width], src=out_tile)
    return out
