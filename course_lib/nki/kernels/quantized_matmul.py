"""Matrix multiplication with quantized weights: half the bytes over HBM, one scale for each output channel.

Output channels lie on the partitions of the result, so that the scale is one number for each partition and costs
nothing: the copy out of PSUM multiplies. On a Trainium the imports are `import nki`, `import nki.language as nl` and
`import nki.isa as nisa`.

Source: Dettmers et al., "LLM.int8()" (2022), section 2, for scales along one dimension.
"""

from __future__ import annotations

from course_lib import nki
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl

TILE_K = 128  # contraction: partitions of both operands
TILE_N = 128  # output channels: columns of the stationary operand
TILE_M = 512  # tokens: columns of the moving operand, and one bank of PSUM in float32
BLOCK_N = 8 * TILE_N  # channels in one load of weights: as many tiles of the result as PSUM has banks


@nki.jit
def quantized_matmul(x_t: nl.NkiTensor, weight: nl.NkiTensor, scale: nl.NkiTensor) -> nl.NkiTensor:
    """`(x @ (weight * scale)).T`, features first as the next layer wants its input.

    Args:
        x_t: (k, tokens) in HBM, bfloat16: the activations transposed.
        weight: (k, channels) in HBM, int8 or an FP8 format of the target.
        scale: (channels,) in HBM, float32: a weight's real value is `weight * scale[channel]`.

    Returns:
        (channels, tokens) in HBM, in the format of `x_t`.
    """
    (k_size, tokens), channels = x_t.shape, weight.shape[1]
    out = nl.ndarray((channels, tokens), dtype=x_t.dtype, buffer=nl.shared_hbm)  # (channels, tokens)

    for m in range(0, tokens, TILE_M):
        width = min(TILE_M, tokens - m)
        x_tiles = []  # (depth, width) for each step along k
        for k in range(0, k_size, TILE_K):
            x_tile = nl.ndarray((min(TILE_K, k_size - k), width), dtype=x_t.dtype, buffer=nl.sbuf)
            nisa.dma_copy(dst=x_tile, src=x_t[k : k + x_tile.shape[0], m : m + width])
            x_tiles.append(x_tile)

        for n in range(0, channels, BLOCK_N):
            block = min(BLOCK_N, channels - n)
            totals = []  # one (height, width) tile for each TILE_N channels of the block
            for i in range(0, block, TILE_N):
                shape = (min(TILE_N, block - i), width)
                totals.append(nl.ndarray(shape, dtype=nl.float32, buffer=nl.psum))

            for step, x_tile in enumerate(x_tiles):
                k, depth = step * TILE_K, x_tile.shape[0]
                weight_tile = nl.ndarray((depth, block), dtype=weight.dtype, buffer=nl.sbuf)
                nisa.dma_copy(dst=weight_tile, src=weight[k : k + depth, n : n + block])
                if weight.dtype == nl.int8:
                    # The tensor engine takes no integers; bfloat16's 8 bits hold every int8 exactly.
                    integer_tile = weight_tile
                    weight_tile = nl.ndarray((depth, block), dtype=nl.bfloat16, buffer=nl.sbuf)
                    nisa.tensor_copy(dst=weight_tile, src=integer_tile)
                for row, total in enumerate(totals):
                    i = row * TILE_N
                    nisa.nc_matmul(dst=total, stationary=weight_tile[:, i : i + total.shape[0]], moving=x_tile)

            for row, total in enumerate(totals):
                height, first = total.shape[0], n + row * TILE_N
                scale_tile = nl.ndarray((height, 1), dtype=nl.float32, buffer=nl.sbuf)
                out_tile = nl.ndarray((height, width), dtype=out.dtype, buffer=nl.sbuf)
                nisa.dma_copy(dst=scale_tile, src=scale.reshape((channels, 1))[first : first + height, :])
                nisa.tensor_scalar(dst=out_tile, data=total, op0=nl.multiply, operand0=scale_tile)
                nisa.dma_copy(dst=out[first : first + height, m : m + width], src=out_tile)
    return out
