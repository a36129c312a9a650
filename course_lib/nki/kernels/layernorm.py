"""LayerNorm: mean and variance by the batch-statistics instructions, which never form the squares in memory.

On a Trainium the imports are `import nki`, `import nki.language as nl` and `import nki.isa as nisa`.

Source: Ba, Kiros and Hinton, "Layer Normalization" (2016); Neuron documentation 2.32, `nki.isa.bn_stats`, `bn_aggr`.
"""

from __future__ import annotations

from course_lib import nki
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl

TILE_ROWS = 128  # partitions of SBUF
STATS_COLUMNS = 512  # elements that one bn_stats takes
STATS = 6  # count, mean, variance * count of the even elements, then of the odd ones


@nki.jit
def layernorm(x: nl.NkiTensor, weight: nl.NkiTensor, bias: nl.NkiTensor, epsilon: float = 1e-5) -> nl.NkiTensor:
    """`(x - mean(x)) / sqrt(var(x) + epsilon) * weight + bias`, with the biased variance.

    Args:
        x: (tokens, d_model) in HBM; a few rows of d_model have to fit into one partition of SBUF.
        weight, bias: (d_model,) in HBM.
        epsilon: added to the variance.

    Returns:
        (tokens, d_model) in HBM, in the format of `x`.
    """
    tokens, d_model = x.shape
    out = nl.ndarray((tokens, d_model), dtype=x.dtype, buffer=nl.shared_hbm)  # (tokens, d_model)

    lanes = min(TILE_ROWS, tokens)
    weight_tile = nl.ndarray((lanes, d_model), dtype=weight.dtype, buffer=nl.sbuf)
    bias_tile = nl.ndarray((lanes, d_model), dtype=bias.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=weight_tile, src=weight.reshape((1, d_model)).broadcast(0, lanes))
    nisa.dma_copy(dst=bias_tile, src=bias.reshape((1, d_model)).broadcast(0, lanes))

    chunks = (d_model + STATS_COLUMNS - 1) // STATS_COLUMNS
    for token in range(0, tokens, TILE_ROWS):
        height = min(TILE_ROWS, tokens - token)
        x_tile = nl.ndarray((height, d_model), dtype=x.dtype, buffer=nl.sbuf)
        nisa.dma_copy(dst=x_tile, src=x[token : token + height, :])

        # The statistics carry their counts, so a shorter last chunk is weighted as it should be.
        stats = nl.ndarray((height, chunks * STATS), dtype=nl.float32, buffer=nl.sbuf)
        for chunk in range(chunks):
            first = chunk * STATS_COLUMNS
            last = min(first + STATS_COLUMNS, d_model)
            nisa.bn_stats(dst=stats[:, chunk * STATS : (chunk + 1) * STATS], data=x_tile[:, first:last])
        moments = nl.ndarray((height, 2), dtype=nl.float32, buffer=nl.sbuf)  # mean, variance
        nisa.bn_aggr(dst=moments, data=stats)

        shifted = nl.ndarray((height, 1), dtype=nl.float32, buffer=nl.sbuf)
        scale = nl.ndarray((height, 1), dtype=nl.float32, buffer=nl.sbuf)
        nisa.tensor_scalar(dst=shifted, data=moments[:, 1:2], op0=nl.add, operand0=epsilon)
        nisa.activation(dst=scale, op=nl.rsqrt, data=shifted)

        normal = nl.ndarray((height, d_model), dtype=nl.float32, buffer=nl.sbuf)
        nisa.tensor_scalar(
            dst=normal, data=x_tile, op0=nl.subtract, operand0=moments[:, 0:1], op1=nl.multiply, operand1=scale
        )
        weighted = nl.ndarray((height, d_model), dtype=nl.float32, buffer=nl.sbuf)
        out_tile = nl.ndarray((height, d_model), dtype=x.dtype, buffer=nl.sbuf)
        nisa.tensor_tensor(dst=weighted, data1=normal, data2=weight_tile[:height, :], op=nl.multiply)
        nisa.tensor_tensor(dst=out_tile, data1=weighted, data2=bias_tile[:height, :], op=nl.add)
        nisa.dma_copy(dst=out[token : token + height, :], src=out_tile)
    return out
