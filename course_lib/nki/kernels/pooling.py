"""Average pooling of images: a strided view puts each window into the last two dimensions, one instruction sums them.

On a Trainium the imports are `import nki`, `import nki.language as nl` and `import nki.isa as nisa`.

Source: Neuron documentation 2.32, `nki.isa.tensor_reduce`; average pooling as in `torch.nn.functional.avg_pool2d`.
"""

from __future__ import annotations

from course_lib import nki
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl

TILE_CHANNELS = 128  # partitions of SBUF
TILE_BYTES = 32 * 1024  # input bytes of each partition in one step


@nki.jit
def average_pool2d(x: nl.NkiTensor, window: int) -> nl.NkiTensor:
    """Mean over windows of `window` × `window` pixels, side by side; what remains at the right and bottom is dropped.

    Args:
        x: (channels, height, width) in HBM.
        window: side of a window in pixels.

    Returns:
        (channels, height // window, width // window) in HBM, in the format of `x`.
    """
    channels, height, width = x.shape
    out_height, out_width = height // window, width // window
    used_width = out_width * window
    out = nl.ndarray((channels, out_height, out_width), dtype=x.dtype, buffer=nl.shared_hbm)

    row_bytes = window * used_width * 4  # input rows behind one output row
    step = max(1, TILE_BYTES // row_bytes)  # output rows in one step

    for channel in range(0, channels, TILE_CHANNELS):
        planes = min(TILE_CHANNELS, channels - channel)
        for row in range(0, out_height, step):
            count = min(step, out_height - row)  # output rows
            x_tile = nl.ndarray((planes, count * window, used_width), dtype=x.dtype, buffer=nl.sbuf)
            first, last = row * window, (row + count) * window
            nisa.dma_copy(dst=x_tile, src=x[channel : channel + planes, first:last, :used_width])

            # (planes, count, window, out_width, window) -> (planes, count, out_width, window, window); nothing moves.
            windows = (
                x_tile.reshape_dim(2, (out_width, window)).reshape_dim(1, (count, window)).permute((0, 1, 3, 2, 4))
            )
            total = nl.ndarray((planes, count, out_width), dtype=nl.float32, buffer=nl.sbuf)
            mean = nl.ndarray((planes, count, out_width), dtype=x.dtype, buffer=nl.sbuf)
            nisa.tensor_reduce(dst=total, op=nl.add, data=windows, axis=(3, 4))
            nisa.tensor_scalar(dst=mean, data=total, op0=nl.multiply, operand0=1.0 / window**2)
            nisa.dma_copy(dst=out[channel : channel + planes, row : row + count, :], src=mean)
    return out
