"""RMSNorm: each row over its root mean square, times a weight for each column.

On a Trainium the imports are `import nki`, `import nki.language as nl` and `import nki.isa as nisa`.

Source: Zhang and Sennrich, "Root Mean Square Layer Normalization" (2019).
"""

from __future__ import annotations

from course_lib import nki
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl

TILE_ROWS = 128  # partitions of SBUF


@nki.jit
def rmsnorm(x: nl.NkiTensor, weight: nl.NkiTensor, epsilon: float = 1e-6) -> nl.NkiTensor:
    """`x / sqrt(mean(x**2) + epsilon) * weight`.

    Args:
        x: (tokens, d_model) in HBM; a few rows of d_model have to fit into one partition of SBUF.
        weight: (d_model,) in HBM.
        epsilon: added to the mean square.

    Returns:
        (tokens, d_model) in HBM, in the format of `x`.
    """
    tokens, d_model = x.shape
    out = nl.ndarray((tokens, d_model), dtype=x.dtype, buffer=nl.shared_hbm)  # (tokens, d_model)

    # Engines read along a partition; the weight is the same for all tokens, so every partition gets a copy, once.
    lanes = min(TILE_ROWS, tokens)
    weight_tile = nl.ndarray((lanes, d_model), dtype=weight.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=weight_tile, src=weight.reshape((1, d_model)).broadcast(0, lanes))

    for token in range(0, tokens, TILE_ROWS):
        height = min(TILE_ROWS, tokens - token)
        x_tile = nl.ndarray((height, d_model), dtype=x.dtype, buffer=nl.sbuf)
        nisa.dma_copy(dst=x_tile, src=x[token : token + height, :])

        square = nl.ndarray((height, d_model), dtype=nl.float32, buffer=nl.sbuf)
        total = nl.ndarray((height, 1), dtype=nl.float32, buffer=nl.sbuf)
        nisa.activation(
            dst=square,
            op=nl.square,
            data=x_tile,
            reduce_op=nl.add,
            reduce_res=total,
            reduce_cmd=nisa.reduce_cmd.reset_reduce,
        )

        mean = nl.ndarray((height, 1), dtype=nl.float32, buffer=nl.sbuf)
        scale = nl.ndarray((height, 1), dtype=nl.float32, buffer=nl.sbuf)
        nisa.tensor_scalar(dst=mean, data=total, op0=nl.multiply, operand0=1.0 / d_model, op1=nl.add, operand1=epsilon)
        nisa.activation(dst=scale, op=nl.rsqrt, data=mean)

        # (x * scale) * weight in one instruction of the vector engine.
        out_tile = nl.ndarray((height, d_model), dtype=x.dtype, buffer=nl.sbuf)
        nisa.scalar_tensor_tensor(
            dst=out_tile,
            data=x_tile,
            op0=nl.multiply,
            operand0=scale,
            op1=nl.multiply,
            operand1=weight_tile[:height, :],
        )
        nisa.dma_copy(dst=out[token : token + height, :], src=out_tile)
    return out
