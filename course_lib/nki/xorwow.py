"""The engines' pseudo-random numbers: XORWOW, one or four states for each of 128 lanes.

NeuronCore-v4 uses XORWOW; the vector engine of earlier generations uses an LFSR whose polynomial is not documented, so
there the sequence differs from the chip's, while the distribution and the effect of seeds are the same.

Source: Neuron documentation 2.32, "Trainium3 architecture guide"; G. Marsaglia, "Xorshift RNGs" (2003).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from course_lib.nki.constants import engine

if TYPE_CHECKING:
    from course_lib.nki.session import Core

LANES, WORDS = 128, 6
STATES = {engine.vector: 4, engine.gpsimd: 1}  # states in each lane
_WEYL = np.uint32(362437)


def states(core: Core, on: engine) -> np.ndarray:
    """An engine's states, (128, states, 6): five words of shift register and a counter. Seeded on first use."""
    found = core.generators.get(on)
    if found is None:
        core.generators[on] = found = from_seed(core.program_id, on)
    return found


def from_seed(seed: int, on: engine) -> np.ndarray:
    """States for all lanes from one 32-bit seed; lanes and states differ."""
    shape = (LANES, STATES[on], WORDS)
    numbers = np.arange(1, np.prod(shape) + 1, dtype=np.uint64) + (np.uint64(seed & 0xFFFFFFFF) << np.uint64(32))
    # Finaliser of SplitMix64: neighbouring counters give unrelated words.
    mixed = numbers * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (mixed ^ (mixed >> np.uint64(31))).astype(np.uint32).reshape(shape)


def draw(core: Core, on: engine, partitions: int, count: int) -> np.ndarray:
    """The next `count` 32-bit numbers of each of the first lanes, (partitions, count)."""
    state = states(core, on)[:partitions]
    width = state.shape[1]
    steps = -(-count // width)
    drawn = np.empty((steps, partitions, width), dtype=np.uint32)
    x, y, z, w, v, d = (np.ascontiguousarray(state[..., word]) for word in range(WORDS))
    for out in drawn:
        t = x ^ (x >> np.uint32(2))
        t ^= t << np.uint32(1)
        x, y, z, w = y, z, w, v
        v = v ^ (v << np.uint32(4))
        v ^= t
        d = d + _WEYL
        np.add(d, v, out=out)
    for word, values in enumerate((x, y, z, w, v, d)):
        state[..., word] = values
    return drawn.transpose(1, 0, 2).reshape(partitions, -1)[:, :count]


def uniform(bits: np.ndarray) -> np.ndarray:
    """Numbers in [0, 1) in float32 from 32-bit numbers: their upper 24 bits."""
    return (bits >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
