"""SwiGLU's gate and its gradient: silu(gate) * up, between the two matrix products of a feed-forward layer.

The scalar engine leaves its results in PSUM. The vector engine then reads one operand there and one in SBUF, and takes
one cycle for a column of float32 numbers; with both in SBUF it takes two. So nothing is rounded before the result, and
the transfers alone decide the time. On a Trainium the imports are `import nki`, `import nki.language as nl` and
`import nki.isa as nisa`.

Source: Shazeer, "GLU Variants Improve Transformer" (2020); `nki.isa.tensor_tensor`, API reference 2.26.1, for the cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from course_lib import nki
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl

TILE_ROWS = 128  # partitions of SBUF
TILE_COLUMNS = 2048  # of a transfer: 4 KiB of bfloat16 in a row
PART_COLUMNS = 1024  # of a computation: two float32 tiles take half of PSUM, so that two parts are under way


def blocks(shape: tuple[int, ...]) -> Iterator[tuple[Any, Any, tuple[int, int]]]:
    """Slices of rows and of columns that cut a matrix into blocks, with the shape of each."""
    rows, columns = shape
    for row in range(0, rows, TILE_ROWS):
        height = min(TILE_ROWS, rows - row)
        for column in range(0, columns, TILE_COLUMNS):
            width = min(TILE_COLUMNS, columns - column)
            yield nl.ds(row, height), nl.ds(column, width), (height, width)


def parts(width: int) -> Iterator[tuple[Any, int]]:
    """Slices that cut the columns of a block, with the width of each."""
    for column in range(0, width, PART_COLUMNS):
        yield nl.ds(column, min(PART_COLUMNS, width - column)), min(PART_COLUMNS, width - column)


@nki.jit
def swiglu(gate: nl.NkiTensor, up: nl.NkiTensor) -> nl.NkiTensor:
    """`silu(gate) * up`, with `silu(x) = x / (1 + exp(-x))`.

    Args:
        gate, up: (rows, columns) in HBM, of one shape and format.

    Returns:
        (rows, columns) in HBM, in the format of `gate`.
    """
    out = nl.ndarray(gate.shape, dtype=gate.dtype, buffer=nl.shared_hbm)  # (rows, columns)
    for rows, columns, shape in blocks(gate.shape):
        gate_tile = nl.ndarray(shape, dtype=gate.dtype, buffer=nl.sbuf)
        up_tile = nl.ndarray(shape, dtype=up.dtype, buffer=nl.sbuf)
        out_tile = nl.ndarray(shape, dtype=gate.dtype, buffer=nl.sbuf)
        nisa.dma_copy(dst=gate_tile, src=gate[rows, columns])
        nisa.dma_copy(dst=up_tile, src=up[rows, columns])
        for part, width in parts(shape[1]):
            value = nl.ndarray((shape[0], width), dtype=nl.float32, buffer=nl.psum)
            g, u, y = gate_tile[:, part], up_tile[:, part], out_tile[:, part]
            nisa.activation(dst=value, op=nl.silu, data=g)
            nisa.tensor_tensor(dst=y, data1=value, data2=u, op=nl.multiply)
        nisa.dma_copy(dst=out[rows, columns], src=out_tile)
    return out


@nki.jit
def swiglu_backward(gate: nl.NkiTensor, up: nl.NkiTensor, d_out: nl.NkiTensor) -> tuple[nl.NkiTensor, nl.NkiTensor]:
    """Gradients of `swiglu`: `d_out * up * silu'(gate)` and `d_out * silu(gate)`.

    Args:
        gate, up: as in `swiglu`.
        d_out: gradient of its result, of the same shape and format.

    Returns:
        Gradients of `gate` and `up`, (rows, columns) in HBM, in the format of `gate`.
    """
    d_gate = nl.ndarray(gate.shape, dtype=gate.dtype, buffer=nl.shared_hbm)  # (rows, columns)
    d_up = nl.ndarray(gate.shape, dtype=gate.dtype, buffer=nl.shared_hbm)  # (rows, columns)
    for rows, columns, shape in blocks(gate.shape):
        gate_tile = nl.ndarray(shape, dtype=gate.dtype, buffer=nl.sbuf)
        up_tile = nl.ndarray(shape, dtype=up.dtype, buffer=nl.sbuf)
        d_out_tile = nl.ndarray(shape, dtype=d_out.dtype, buffer=nl.sbuf)
        d_gate_tile = nl.ndarray(shape, dtype=gate.dtype, buffer=nl.sbuf)
        d_up_tile = nl.ndarray(shape, dtype=gate.dtype, buffer=nl.sbuf)
        nisa.dma_copy(dst=gate_tile, src=gate[rows, columns])
        nisa.dma_copy(dst=up_tile, src=up[rows, columns])
        nisa.dma_copy(dst=d_out_tile, src=d_out[rows, columns])
        for part, width in parts(shape[1]):
            value = nl.ndarray((shape[0], width), dtype=nl.float32, buffer=nl.psum)
            slope = nl.ndarray((shape[0], width), dtype=nl.float32, buffer=nl.psum)
            g, u, dy = gate_tile[:, part], up_tile[:, part], d_out_tile[:, part]
            dg, du = d_gate_tile[:, part], d_up_tile[:, part]
            nisa.activation(dst=value, op=nl.silu, data=g)
            nisa.activation(dst=slope, op=nl.silu_dx, data=g)
            nisa.tensor_tensor(dst=du, data1=value, data2=dy, op=nl.multiply)
            nisa.tensor_tensor(dst=slope, data1=slope, data2=u, op=nl.multiply)
            nisa.tensor_tensor(dst=dg, data1=slope, data2=dy, op=nl.multiply)
        nisa.dma_copy(dst=d_gate[rows, columns], src=d_gate_tile)
        nisa.dma_copy(dst=d_up[rows, columns], src=d_up_tile)
    return d_gate, d_up
