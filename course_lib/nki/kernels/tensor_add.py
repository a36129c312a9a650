"""Element-wise sum: the smallest kernel with the shape of every kernel: load a tile, compute, store it.

On a Trainium the imports are `import nki`, `import nki.language as nl` and `import nki.isa as nisa`.

Source: Neuron documentation 2.32, "NKI programming model".
"""

from __future__ import annotations

from course_lib import nki
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl

TILE_ROWS = 128  # partitions of SBUF
TILE_COLUMNS = 2048  # 4 KiB or more of each partition, so that a transfer outlasts its start-up time


@nki.jit
def tensor_add(a: nl.NkiTensor, b: nl.NkiTensor) -> nl.NkiTensor:
    """`a + b`.

    Args:
        a, b: (rows, columns) in HBM, of any size.

    Returns:
        (rows, columns) in HBM, in the format of `a`.
    """
    rows, columns = a.shape
    out = nl.ndarray((rows, columns), dtype=a.dtype, buffer=nl.shared_hbm)  # (rows, columns)

    for row in range(0, rows, TILE_ROWS):
        height = min(TILE_ROWS, rows - row)
        for column in range(0, columns, TILE_COLUMNS):
            width = min(TILE_COLUMNS, columns - column)
            block = (slice(row, row + height), slice(column, column + width))

            a_tile = nl.ndarray((height, width), dtype=a.dtype, buffer=nl.sbuf)
            b_tile = nl.ndarray((height, width), dtype=b.dtype, buffer=nl.sbuf)
            sum_tile = nl.ndarray((height, width), dtype=out.dtype, buffer=nl.sbuf)

            nisa.dma_copy(dst=a_tile, src=a[block])
            nisa.dma_copy(dst=b_tile, src=b[block])
            nisa.tensor_tensor(dst=sum_tile, data1=a_tile, data2=b_tile, op=nl.add)
            nisa.dma_copy(dst=out[block], src=sum_tile)
    return out
