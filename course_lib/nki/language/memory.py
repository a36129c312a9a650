"""Moving tiles: load, store, load_transpose2d, copy, and gather within a partition.

Source: Neuron documentation 2.32, `nki.language`: load, store, load_transpose2d, copy, gather_flattened, expand_dims,
broadcast_to.
"""

from __future__ import annotations

from typing import Any

from course_lib.nki import isa
from course_lib.nki.constants import MemoryRegion
from course_lib.nki.errors import broken_rule
from course_lib.nki.isa.rules import need_tensor
from course_lib.nki.session import current_core
from course_lib.nki.tensor import NkiTensor, is_hbm

QUADRANT = 32  # partitions that one shuffle reaches


def load(src: NkiTensor, dtype: Any = None) -> NkiTensor:
    """A new tile in SBUF with the values of `src`.

    Args:
        src: tensor in HBM; its first dimension becomes the partition dimension.
        dtype: format of the tile; that of `src` when None.
    """
    _need_hbm("nl.load", "src", src)
    if src.ndim < 2:
        raise broken_rule(
            f"nl.load of {src.name} with shape {src.shape}",
            limit="a tile has a partition dimension and at least one free dimension",
            hint=f"load src.reshape((1, {src.size})), or src.reshape(({src.size}, 1)) to spread it over partitions",
        )
    tile = current_core().allocate(src.shape, dtype or src.dtype, MemoryRegion.sbuf)
    isa.dma_copy(dst=tile, src=src)
    return tile


def store(dst: NkiTensor, value: NkiTensor) -> None:
    """Writes a tile in SBUF to a tensor in HBM.

    Args:
        dst: tensor in HBM.
        value: tile in SBUF with as many elements.
    """
    _need_hbm("nl.store", "dst", dst)
    isa.dma_copy(dst=dst, src=need_tensor("nl.store", "value", value))


def load_transpose2d(src: NkiTensor, dtype: Any = None) -> NkiTensor:
    """A new tile in SBUF with the transpose of a matrix in HBM, transposed by the DMA engines element by element.

    Args:
        src: (rows, columns) in HBM, at most 128 columns.
        dtype: format of the tile; that of `src` when None.
    """
    _need_hbm("nl.load_transpose2d", "src", src)
    if src.ndim != 2:
        raise broken_rule(f"nl.load_transpose2d of shape {src.shape}", limit="two dimensions")
    tile = current_core().allocate(src.shape[::-1], dtype or src.dtype, MemoryRegion.sbuf)
    isa.dma_copy(dst=tile, src=src.permute((1, 0)))
    return tile


def copy(x: NkiTensor, dtype: Any = None) -> NkiTensor:
    """A copy of a tile, in SBUF.

    Args:
        x: tile in SBUF or PSUM.
        dtype: format of the copy; that of `x` when None.
    """
    need_tensor("nl.copy", "x", x)
    tile = current_core().allocate(x.shape, dtype or x.dtype, MemoryRegion.sbuf)
    isa.tensor_copy(dst=tile, src=x)
    return tile


def gather_flattened(data: NkiTensor, indices: NkiTensor, axis: int = 0, dtype: Any = None) -> NkiTensor:
    """Elements of each partition by their flat index within it.

    Args:
        data: (P, ...) tile.
        indices: (P, ...) tile of indices, each below the elements of a partition; int32 is cast to uint32.
        axis: 0 alone: each partition gathers its own elements.
        dtype: format of the result; that of `data` when None.
    """
    if axis != 0:
        raise broken_rule(f"nl.gather_flattened: axis={axis}", limit="0")
    places = indices if indices.dtype == "uint32" else copy(indices, dtype="uint32")
    tile = current_core().allocate(indices.shape, data.dtype, MemoryRegion.sbuf)
    isa.nc_n_gather(dst=tile, data=data, indices=places)
    return tile if dtype is None or dtype == data.dtype else copy(tile, dtype)


def expand_dims(x: NkiTensor, axis: int) -> NkiTensor:
    """A view with a new dimension of size 1."""
    return x.expand_dim(axis)


def broadcast_to(x: NkiTensor, shape: Any, dtype: Any = None) -> NkiTensor:
    """A tile with a larger shape; dimensions of size 1 are repeated.

    Free dimensions repeat by an access pattern with stride 0; a single partition is sent to others by shuffles within
    each quadrant of 32.

    Args:
        x: tile in SBUF or PSUM.
        shape: target, with as many dimensions as `x`.
        dtype: format of the result; that of `x` when None.
    """
    sizes = tuple(int(size) for size in shape)
    fmt = dtype or x.dtype
    if sizes == x.shape:
        return x if fmt == x.dtype else copy(x, fmt)
    if len(sizes) != x.ndim or any(have not in (1, want) for have, want in zip(x.shape, sizes, strict=True)):
        raise broken_rule(
            f"nl.broadcast_to from {x.shape} to {sizes}",
            limit="the same number of dimensions, each equal or 1 before",
            hint="add dimensions with nl.expand_dims first",
        )
    wide = x
    for dim in range(1, x.ndim):
        if wide.shape[dim] != sizes[dim]:
            wide = wide.broadcast(dim, sizes[dim])
    tile = current_core().allocate((x.shape[0], *sizes[1:]), fmt, MemoryRegion.sbuf)
    isa.tensor_copy(dst=tile, src=wide)
    if sizes[0] == x.shape[0]:
        return tile
    spread = current_core().allocate(sizes, fmt, MemoryRegion.sbuf)
    for first in range(0, sizes[0], QUADRANT):
        isa.nc_stream_shuffle(dst=spread[first : first + QUADRANT], src=tile, shuffle_mask=[0] * QUADRANT)
    return spread


def _need_hbm(function: str, role: str, tensor: Any) -> None:
    if not is_hbm(need_tensor(function, role, tensor).buffer):
        raise broken_rule(
            f"{function}: {role} {tensor.name} is in {tensor.buffer.value}",
            limit="a tensor in HBM",
            hint="use nl.copy (nisa.tensor_copy) within the chip",
        )
