"""Allocation: fresh memory, filled memory, constants and random numbers.

Source: Neuron documentation 2.32, `nki.language`: ndarray, zeros, ones, full, zeros_like, empty_like, shared_constant,
shared_identity_matrix, rand, random_seed.
"""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from course_lib.nki import isa
from course_lib.nki.constants import MemoryRegion, nc_version
from course_lib.nki.dtypes import as_dtype, round_to
from course_lib.nki.errors import broken_rule
from course_lib.nki.operators import OPS
from course_lib.nki.session import PARTITIONS, current_core
from course_lib.nki.tensor import NkiTensor

_FILL_COLUMNS = 2048  # elements of each partition in the tile that fills a tensor in HBM


class _TensorKind(type):
    """Makes `isinstance(x, nl.ndarray)` and `nl.ndarray | None` mean the tensor class."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, NkiTensor)


class ndarray(metaclass=_TensorKind):
    """`nl.ndarray(shape, dtype, buffer)`: fresh memory, holding NaN or 4; as an annotation it means a tensor.

    Args:
        shape: sizes; on chip, the first is the partition dimension (at most 128).
        dtype: number format.
        buffer: `nl.sbuf`, `nl.psum`, `nl.hbm`, `nl.private_hbm` or `nl.shared_hbm`.
        name: a name for messages and the trace.
        address: (partition, byte within the partition) on chip; None lets the compiler place it.
    """

    def __new__(  # type: ignore[misc]
        cls,
        shape: Any,
        dtype: Any,
        buffer: Any = MemoryRegion.sbuf,
        name: str = "",
        address: tuple[int, int] | None = None,
    ) -> NkiTensor:
        return current_core().allocate(shape, dtype, buffer, name, address)


def full(shape: Any, fill_value: Any, dtype: Any, buffer: Any = MemoryRegion.sbuf, name: str = "") -> NkiTensor:
    """Memory filled with a number: a memset on chip; in HBM a memset tile and as many DMAs as it takes."""
    made = current_core().allocate(shape, dtype, buffer, name)
    if made.on_chip:
        isa.memset(dst=made, value=_as_number(fill_value, made))
        return made
    rows = made.reshape((math.prod(made.shape[:-1]), made.shape[-1]))
    tile = current_core().allocate(
        (min(PARTITIONS, rows.shape[0]), min(_FILL_COLUMNS, rows.shape[1])), dtype, MemoryRegion.sbuf
    )
    isa.memset(dst=tile, value=_as_number(fill_value, tile))
    for row in range(0, rows.shape[0], tile.shape[0]):
        for column in range(0, rows.shape[1], tile.shape[1]):
            part = rows[row : row + tile.shape[0], column : column + tile.shape[1]]
            isa.dma_copy(dst=part, src=tile[: part.shape[0], : part.shape[1]])
    return made


def _as_number(value: Any, tensor: NkiTensor) -> Any:
    """The fill value as memset wants it: a whole number for integer formats."""
    if tensor.dtype.is_integer and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def zeros(shape: Any, dtype: Any, buffer: Any = MemoryRegion.sbuf, name: str = "") -> NkiTensor:
    """Memory filled with zeros."""
    return full(shape, 0, dtype, buffer, name)


def ones(shape: Any, dtype: Any, buffer: Any = MemoryRegion.sbuf, name: str = "") -> NkiTensor:
    """Memory filled with ones."""
    return full(shape, 1, dtype, buffer, name)


def zeros_like(x: NkiTensor, dtype: Any = None, buffer: Any = None, name: str = "") -> NkiTensor:
    """Zeros with the shape of `x`, and its format and region unless others are given."""
    return zeros(x.shape, dtype or x.dtype, buffer or x.buffer, name)


def empty_like(x: NkiTensor, dtype: Any = None, buffer: Any = None, name: str = "") -> NkiTensor:
    """Fresh memory with the shape of `x`, and its format and region unless others are given."""
    return current_core().allocate(x.shape, dtype or x.dtype, buffer or x.buffer, name)


def shared_constant(constant: Any) -> NkiTensor:
    """A tensor in shared HBM that holds constant data when the kernel starts, so that no instruction writes it.

    Args:
        constant: a NumPy array, or the path of a `.npy` file.
    """
    values = np.load(constant) if isinstance(constant, str | os.PathLike) else np.asarray(constant)
    made = current_core().allocate(values.shape or (1,), as_dtype(values.dtype), MemoryRegion.shared_hbm)
    made.array[...] = round_to(values.reshape(made.shape), made.array.dtype)
    if made.storage.written is not None:
        made.storage.written.fill(1)
    return made


def shared_identity_matrix(n: int, dtype: Any = "uint8", dst: NkiTensor | None = None) -> NkiTensor:
    """An (n, n) identity matrix in SBUF, loaded from a constant in HBM.

    Args:
        n: rows and columns, at most 128.
        dtype: number format.
        dst: tile to load it into; None allocates one.
    """
    fmt = as_dtype(dtype)
    target = current_core().allocate((n, n), fmt, MemoryRegion.sbuf) if dst is None else dst
    isa.dma_copy(dst=target, src=shared_constant(np.eye(n, dtype=fmt.numpy)))
    return target


def rand(shape: Any, dtype: Any, buffer: Any = MemoryRegion.sbuf, name: str = "") -> NkiTensor:
    """Uniform random numbers between 0 and 1: one instruction on NeuronCore-v4, random bits and a scaling before.

    Args:
        shape: as for `nl.ndarray`; in HBM up to 128 rows.
        dtype: a float format.
        buffer: where the result lives.
        name: a name for messages and the trace.
    """
    core = current_core()
    made = core.allocate(shape, dtype, buffer, name)
    if not made.dtype.is_float:
        raise broken_rule(f"nl.rand: dtype is {made.dtype}", limit="a float format", hint="use nisa.rng for integers")
    tile = made if made.on_chip else core.allocate(made.shape, dtype, MemoryRegion.sbuf)
    if core.version >= nc_version.gen4:
        isa.rand2(dst=tile, min=0.0, max=1.0)
    else:
        bits = core.allocate(made.shape, "uint16", MemoryRegion.sbuf)
        isa.rng(dst=bits)
        isa.tensor_scalar(dst=tile, data=bits, op0=OPS["multiply"], operand0=1.0 / 65535.0)
    if tile is not made:
        isa.dma_copy(dst=made, src=tile)
    return made


def random_seed(seed: NkiTensor) -> None:
    """Seeds `nl.rand`: the same seed gives the same numbers.

    Args:
        seed: (1, 1) tile on chip with a 32-bit value.
    """
    isa.set_rng_seed(src_seeds=seed)


def is_sbuf(buffer: Any) -> bool:
    """Whether a region is the state buffer."""
    return buffer is MemoryRegion.sbuf


def is_psum(buffer: Any) -> bool:
    """Whether a region is the accumulation buffer."""
    return buffer is MemoryRegion.psum


def is_on_chip(buffer: Any) -> bool:
    """Whether a region is SBUF or PSUM."""
    return is_sbuf(buffer) or is_psum(buffer)
