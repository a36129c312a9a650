"""Selective scan, the heart of Mamba: a linear recurrence whose decay and input depend on the data, one lane a channel.

The recurrence over positions is one instruction of the vector engine for each state; a block of positions hands its
last state on. On a Trainium the imports are `import nki`, `import nki.language as nl` and `import nki.isa as nisa`.

Source: Gu and Dao, "Mamba" (2023), algorithm 2; Neuron documentation 2.32, `nki.isa.tensor_tensor_scan`.
"""

from __future__ import annotations

from course_lib import nki
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl

TILE_CHANNELS = 128  # partitions of SBUF
BLOCK_POSITIONS = 512


@nki.jit
def selective_scan(
    x: nl.NkiTensor, delta: nl.NkiTensor, decay: nl.NkiTensor, b: nl.NkiTensor, c: nl.NkiTensor
) -> nl.NkiTensor:
    """`h[t] = exp(delta[t] * decay) * h[t-1] + delta[t] * b[t] * x[t]` and `y[t] = sum over states of c[t] * h[t]`.

    Args:
        x, delta: (channels, positions) in HBM.
        decay: (channels, states) in HBM, float32, negative (the matrix A).
        b, c: (states, positions) in HBM.

    Returns:
        (channels, positions) in HBM, in the format of `x`.
    """
    channels, positions = x.shape
    states = decay.shape[1]
    out = nl.ndarray((channels, positions), dtype=x.dtype, buffer=nl.shared_hbm)  # (channels, positions)

    for channel in range(0, channels, TILE_CHANNELS):
        lanes = min(TILE_CHANNELS, channels - channel)
        rows = slice(channel, channel + lanes)
        decay_tile = nl.ndarray((lanes, states), dtype=nl.float32, buffer=nl.sbuf)
        carried = nl.ndarray((lanes, states), dtype=nl.float32, buffer=nl.sbuf)  # h after the last block
        nisa.dma_copy(dst=decay_tile, src=decay[rows, :])
        nisa.memset(dst=carried, value=0.0)

        for start in range(0, positions, BLOCK_POSITIONS):
            width = min(BLOCK_POSITIONS, positions - start)
            columns = slice(start, start + width)
            x_tile = nl.ndarray((lanes, width), dtype=x.dtype, buffer=nl.sbuf)
            delta_tile = nl.ndarray((lanes, width), dtype=delta.dtype, buffer=nl.sbuf)
            nisa.dma_copy(dst=x_tile, src=x[rows, columns])
            nisa.dma_copy(dst=delta_tile, src=delta[rows, columns])

            # b and c are the same for all channels: every partition gets a copy of each state's row.
            b_tile = nl.ndarray((lanes, states, width), dtype=b.dtype, buffer=nl.sbuf)
            c_tile = nl.ndarray((lanes, states, width), dtype=c.dtype, buffer=nl.sbuf)
            nisa.dma_copy(dst=b_tile, src=b[:, columns].expand_dim(0).broadcast(0, lanes))
            nisa.dma_copy(dst=c_tile, src=c[:, columns].expand_dim(0).broadcast(0, lanes))

            delta_x = nl.ndarray((lanes, width), dtype=nl.float32, buffer=nl.sbuf)
            y = nl.ndarray((lanes, width), dtype=nl.float32, buffer=nl.sbuf)
            nisa.tensor_tensor(dst=delta_x, data1=delta_tile, data2=x_tile, op=nl.multiply)
            nisa.memset(dst=y, value=0.0)

            for state in range(states):
                keep = nl.ndarray((lanes, width), dtype=nl.float32, buffer=nl.sbuf)  # exp(delta * decay)
                enter = nl.ndarray((lanes, width), dtype=nl.float32, buffer=nl.sbuf)  # delta * b * x
                h = nl.ndarray((lanes, width), dtype=nl.float32, buffer=nl.sbuf)
                shown = nl.ndarray((lanes, width), dtype=nl.float32, buffer=nl.sbuf)  # c * h
                last = carried[:, state : state + 1]
                nisa.activation(dst=keep, op=nl.exp, data=delta_tile, scale=decay_tile[:, state : state + 1])
                nisa.tensor_tensor(dst=enter, data1=delta_x, data2=b_tile[:, state, :], op=nl.multiply)
                nisa.tensor_tensor_scan(dst=h, data0=keep, data1=enter, initial=last, op0=nl.multiply, op1=nl.add)
                nisa.tensor_copy(dst=last, src=h[:, width - 1 : width])
                nisa.tensor_tensor(dst=shown, data1=h, data2=c_tile[:, state, :], op=nl.multiply)
                nisa.tensor_tensor(dst=y, data1=y, data2=shown, op=nl.add)

            out_tile = nl.ndarray((lanes, width), dtype=x.dtype, buffer=nl.sbuf)
            nisa.tensor_copy(dst=out_tile, src=y)
            nisa.dma_copy(dst=out[rows, columns], src=out_tile)
    return out
