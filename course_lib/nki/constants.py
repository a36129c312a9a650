"""Enums of `nki.isa` and `nki.language`, with the official names and values."""

from __future__ import annotations

from enum import Enum, IntEnum


class MemoryRegion(Enum):
    """Where a tensor lives."""

    __hash__ = object.__hash__  # members are compared by identity, and Enum's own hash runs in Python

    sbuf = "sbuf"
    psum = "psum"
    private_hbm = "private_hbm"
    shared_hbm = "shared_hbm"


class engine(Enum):
    """Engines of a NeuronCore."""

    __hash__ = object.__hash__  # as for MemoryRegion

    tensor = 1
    vector = 5
    scalar = 2
    gpsimd = 3
    dma = 4
    sync = 6
    unknown = 0


class reduce_cmd(Enum):
    """What happens to an engine's accumulation registers."""

    idle = 0
    reset = 1
    reduce = 2
    reset_reduce = 3
    load_reduce = 4


class dge_mode(Enum):
    """Who generates DMA descriptors."""

    unknown = 0
    swdge = 1
    hwdge = 2
    none = 3


class oob_mode(Enum):
    """What happens to an index out of bounds."""

    error = 0
    skip = 1


class matmul_perf_mode(Enum):
    """Performance mode of the tensor engine."""

    none = "none"
    double_row = "double_row"


class nc_version(IntEnum):
    """Generation of the NeuronCore; kernels compare it with numbers."""

    gen2 = 2
    gen3 = 3
    gen4 = 4


class dma_engine(Enum):
    """Which DMA engine moves data between the cores of a pair."""

    dma = 1
    gpsimd_dma = 2
