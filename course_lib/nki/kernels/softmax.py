"""Softmax over rows: maximum, exponential and sum in one pass over SBUF, the sum for free inside the exponential.

On a Trainium the imports are `import nki`, `import nki.language as nl` and `import nki.isa as nisa`.

Source: Neuron documentation 2.32, `nki.isa.activation` (accumulation registers), `nki.isa.tensor_reduce`.
"""

from __future__ import annotations

from course_lib import nki
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl

TILE_ROWS = 128  # partitions of SBUF


@nki.jit
def softmax(x: nl.NkiTensor) -> nl.NkiTensor:
    """`softmax(x, dim=-1)`.

    Args:
        x: (rows, columns) in HBM; a row and its result have to fit into one partition of SBUF (16,384 columns do).

    Returns:
        (rows, columns) in HBM, in the format of `x`.
    """
    rows, columns = x.shape
    out = nl.ndarray((rows, columns), dtype=x.dtype, buffer=nl.shared_hbm)  # (rows, columns)

    for row in range(0, rows, TILE_ROWS):
        height = min(TILE_ROWS, rows - row)
        x_tile = nl.ndarray((height, columns), dtype=x.dtype, buffer=nl.sbuf)
        nisa.dma_copy(dst=x_tile, src=x[row : row + height, :])

        # exp(x - max): the scalar engine adds a bias for each partition, so the maximum comes out negated.
        negative_max = nl.ndarray((height, 1), dtype=nl.float32, buffer=nl.sbuf)
        nisa.tensor_reduce(dst=negative_max, op=nl.maximum, data=x_tile, axis=1, negate=True)

        power = nl.ndarray((height, columns), dtype=nl.float32, buffer=nl.sbuf)
        total = nl.ndarray((height, 1), dtype=nl.float32, buffer=nl.sbuf)
        nisa.activation(
            dst=power,
            op=nl.exp,
            data=x_tile,
            bias=negative_max,
            reduce_op=nl.add,
            reduce_res=total,
            reduce_cmd=nisa.reduce_cmd.reset_reduce,
        )

        inverse = nl.ndarray((height, 1), dtype=nl.float32, buffer=nl.sbuf)
        out_tile = nl.ndarray((height, columns), dtype=x.dtype, buffer=nl.sbuf)
        nisa.reciprocal(dst=inverse, data=total)
        nisa.tensor_scalar(dst=out_tile, data=power, op0=nl.multiply, operand0=inverse)
        nisa.dma_copy(dst=out[row : row + height, :], src=out_tile)
    return out
