"""Matrix transpose on the tensor engine: 128×128 tiles go through the systolic array and come out turned.

On a Trainium the imports are `import nki`, `import nki.language as nl` and `import nki.isa as nisa`.

Source: Neuron documentation 2.32, `nki.isa.nc_transpose`.
"""

from __future__ import annotations

from course_lib import nki
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl

TILE = 128  # partitions of SBUF, and the side of the systolic array
BLOCK = 8 * TILE  # side of what is loaded before anything is stored: 2 KiB or more in a row, on both sides


@nki.jit
def transpose(x: nl.NkiTensor) -> nl.NkiTensor:
    """`x.T`.

    Args:
        x: (rows, columns) in HBM, of any size.

    Returns:
        (columns, rows) in HBM, in the format of `x`.
    """
    rows, columns = x.shape
    out = nl.ndarray((columns, rows), dtype=x.dtype, buffer=nl.shared_hbm)  # (columns, rows)

    for row in range(0, rows, BLOCK):
        block_height = min(BLOCK, rows - row)
        for column in range(0, columns, BLOCK):
            block_width = min(BLOCK, columns - column)
            x_tiles = []  # (128, block_width) for each 128 rows of the block
            for i in range(0, block_height, TILE):
                x_tile = nl.ndarray((min(TILE, block_height - i), block_width), dtype=x.dtype, buffer=nl.sbuf)
                first = row + i
                nisa.dma_copy(dst=x_tile, src=x[first : first + x_tile.shape[0], column : column + block_width])
                x_tiles.append(x_tile)

            for j in range(0, block_width, TILE):
                width = min(TILE, block_width - j)
                out_tile = nl.ndarray((width, block_height), dtype=x.dtype, buffer=nl.sbuf)
                for step, x_tile in enumerate(x_tiles):
                    i, height = step * TILE, x_tile.shape[0]
                    # The array's output lands in PSUM, which DMA cannot reach: one more copy on the way out.
                    turned = nl.ndarray((width, height), dtype=x.dtype, buffer=nl.psum)
                    nisa.nc_transpose(dst=turned, data=x_tile[:, j : j + width], engine=nisa.engine.tensor)
                    nisa.tensor_copy(dst=out_tile[:, i : i + height], src=turned)
                first = column + j
                nisa.dma_copy(dst=out[first : first + width, row : row + block_height], src=out_tile)
    return out
