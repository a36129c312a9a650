"""Runs a few instructions on tiles that hold given arrays, for the tests of `nki.isa`."""

from __future__ import annotations

import numpy as np

import course_lib.nki.isa as nisa
import course_lib.nki.language as nl
from course_lib.nki import simulate


def run(body, *arrays, shape=None, dtype=nl.float32, target="gen4", psum=()):
    """Brings arrays to SBUF (those whose place is in `psum` to PSUM), calls body(dst, *tiles) and returns dst."""

    def kernel(*inputs):
        out = nl.ndarray(shape or inputs[0].shape, dtype, nl.shared_hbm)
        tiles = []
        for place, x in enumerate(inputs):
            tile = nl.ndarray(x.shape, x.dtype)
            nisa.dma_copy(tile, x)
            if place in psum:
                bank = nl.ndarray(x.shape, x.dtype, nl.psum)
                nisa.tensor_copy(bank, tile)
                tile = bank
            tiles.append(tile)
        dst = nl.ndarray(out.shape, dtype)
        body(dst, *tiles)
        nisa.dma_copy(out, dst)
        return out

    return simulate(kernel, target=target)(*arrays)


def normal(*shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)
