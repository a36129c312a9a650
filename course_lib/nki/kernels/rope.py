"""Rotary position embedding: pairs of features of each head turn by an angle that grows with the position.

On a Trainium the imports are `import nki`, `import nki.language as nl` and `import nki.isa as nisa`.

Source: Su et al., "RoFormer" (2021), with the halves of a head paired as in Llama.
"""

from __future__ import annotations

from course_lib import nki
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl

TILE_ROWS = 128  # partitions of SBUF


@nki.jit
def rope(x: nl.NkiTensor, cosine: nl.NkiTensor, sine: nl.NkiTensor) -> nl.NkiTensor:
    """`(first * cos - second * sin, second * cos + first * sin)` for the two halves of each head's features.

    Args:
        x: (heads, positions, d_head) in HBM, d_head even.
        cosine, sine: (positions, d_head / 2) in HBM, of each position's angles.

    Returns:
        (heads, positions, d_head) in HBM, in the format of `x`.
    """
    heads, positions, d_head = x.shape
    half = d_head // 2
    out = nl.ndarray((heads, positions, d_head), dtype=x.dtype, buffer=nl.shared_hbm)

    for position in range(0, positions, TILE_ROWS):
        height = min(TILE_ROWS, positions - position)
        # Angles depend on the position alone: loaded once, used by all heads.
        cos = nl.ndarray((height, half), dtype=cosine.dtype, buffer=nl.sbuf)
        sin = nl.ndarray((height, half), dtype=sine.dtype, buffer=nl.sbuf)
        nisa.dma_copy(dst=cos, src=cosine[position : position + height, :])
        nisa.dma_copy(dst=sin, src=sine[position : position + height, :])

        for head in range(heads):
            x_tile = nl.ndarray((height, d_head), dtype=x.dtype, buffer=nl.sbuf)
            nisa.dma_copy(dst=x_tile, src=x[head, position : position + height, :])
            first, second = x_tile[:, :half], x_tile[:, half:]

            first_cos = nl.ndarray((height, half), dtype=nl.float32, buffer=nl.sbuf)
            first_sin = nl.ndarray((height, half), dtype=nl.float32, buffer=nl.sbuf)
            second_cos = nl.ndarray((height, half), dtype=nl.float32, buffer=nl.sbuf)
            second_sin = nl.ndarray((height, half), dtype=nl.float32, buffer=nl.sbuf)
            nisa.tensor_tensor(dst=first_cos, data1=first, data2=cos, op=nl.multiply)
            nisa.tensor_tensor(dst=first_sin, data1=first, data2=sin, op=nl.multiply)
            nisa.tensor_tensor(dst=second_cos, data1=second, data2=cos, op=nl.multiply)
            nisa.tensor_tensor(dst=second_sin, data1=second, data2=sin, op=nl.multiply)

            out_tile = nl.ndarray((height, d_head), dtype=x.dtype, buffer=nl.sbuf)
            nisa.tensor_tensor(dst=out_tile[:, :half], data1=first_cos, data2=second_sin, op=nl.subtract)
            nisa.tensor_tensor(dst=out_tile[:, half:], data1=second_cos, data2=first_sin, op=nl.add)
            nisa.dma_copy(dst=out[head, position : position + height, :], src=out_tile)
    return out
