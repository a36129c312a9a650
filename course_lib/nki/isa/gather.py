"""Gathers within SBUF on the GpSimd engine: across groups of 16 partitions, or within each partition.

Source: Neuron documentation 2.32, `nki.isa.local_gather`, `nc_n_gather`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from course_lib.nki.constants import engine
from course_lib.nki.errors import broken_rule
from course_lib.nki.isa.operands import index_tiles
from course_lib.nki.isa.rules import SBUF, need_buffer, need_tensor
from course_lib.nki.session import NkiInstruction, current_core
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import raw, store

GROUP = 16  # partitions that one of the eight GpSimd cores reaches
_LENGTHS = (1, 2, 4, 8, 16, 32)
MOST_INDICES = 4096


def local_gather(
    dst: NkiTensor,
    src_buffer: NkiTensor,
    index: NkiTensor,
    num_elem_per_idx: int = 1,
    num_valid_indices: int | None = None,
    name: str | None = None,
) -> NkiInstruction:
    """Each group of 16 partitions gathers from its partitions, with indices that the 16 partitions share.

    Index j of a group is `index[j % 16, j // 16]` of the group's rows, and counts elements of a partition.

    Args:
        dst: (P, indices * num_elem_per_idx) tile in SBUF, in the format of `src_buffer`.
        src_buffer: (P, N) tile in SBUF, P a multiple of 16.
        index: (P, K) tile of uint16 in SBUF.
        num_elem_per_idx: elements to take from each index on: 1, 2, 4, 8, 16 or 32.
        num_valid_indices: indices of each group to use; None uses all 16 K.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for shapes, regions or formats that don't fit, and for an index out of bounds.
    """
    core = current_core()
    tiles = (("dst", dst), ("src_buffer", src_buffer), ("index", index))
    for role, tile in tiles:
        need_buffer("local_gather", role, need_tensor("local_gather", role, tile), SBUF, "GpSimd reaches SBUF only")
    partitions = src_buffer.shape[0]
    if partitions % GROUP or index.shape[0] != partitions or dst.shape[0] != partitions:
        raise broken_rule(
            f"local_gather: dst {dst.shape}, src_buffer {src_buffer.shape}, index {index.shape}",
            limit=f"the same number of partitions in all, a multiple of {GROUP}",
        )
    if index.dtype != "uint16":
        raise broken_rule(f"local_gather: index is {index.dtype}", limit="uint16", hint="cast with nisa.tensor_copy")
    _need_same_dtype("local_gather", dst, src_buffer, "src_buffer")
    if num_elem_per_idx not in _LENGTHS:
        raise broken_rule(f"local_gather: num_elem_per_idx={num_elem_per_idx}", limit=", ".join(map(str, _LENGTHS)))
    room = GROUP * math.prod(index.shape[1:])
    count = room if num_valid_indices is None else int(num_valid_indices)
    if not 1 <= count <= room:
        raise broken_rule(
            f"local_gather: num_valid_indices={count}", limit=f"1 to {room}, the indices of 16 partitions"
        )
    if count > MOST_INDICES:
        raise broken_rule(f"local_gather: {count} indices for each core", limit=f"{MOST_INDICES}")
    width = count * num_elem_per_idx
    if dst.size // partitions != width:
        raise broken_rule(
            f"local_gather: dst has shape {dst.shape}",
            limit=f"{width} elements in each partition: {count} indices of {num_elem_per_idx}",
        )
    about = {
        "elements": width,
        "indices": count,
        "elements_per_index": num_elem_per_idx,
        "operands": (src_buffer, index, dst),
    }
    reads = (src_buffer, index, *index_tiles(dst, src_buffer, index))
    handle = core.issue("local_gather", engine.gpsimd, reads, (dst,), about)
    if core.options.execute:
        # (groups, 16, K) -> indices of each group, along the partitions first
        shared = raw(index).reshape(partitions // GROUP, GROUP, -1).transpose(0, 2, 1)
        starts = shared.reshape(partitions // GROUP, room)[:, :count].astype(np.int64)
        places = (starts[:, :, None] + np.arange(num_elem_per_idx)).reshape(partitions // GROUP, 1, width)
        source = raw(src_buffer).reshape(partitions // GROUP, GROUP, -1)
        _need_inside("local_gather", places, source.shape[-1])
        store(dst, np.take_along_axis(source, places, axis=2).reshape(dst.shape))
    return handle


def nc_n_gather(dst: NkiTensor, data: NkiTensor, indices: NkiTensor, name: str | None = None) -> NkiInstruction:
    """`dst[p, i] = data[p, indices[p, i]]`, with the free dimensions of `data` and of `indices` flattened.

    Args:
        dst: tile in SBUF, in the format of `data`, with as many elements as `indices`.
        data: (P, N) tile in SBUF.
        indices: tile of uint32 in SBUF, values below N.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for shapes, regions or formats that don't fit, and for an index out of bounds.
    """
    core = current_core()
    for role, tile in (("dst", dst), ("data", data), ("indices", indices)):
        need_buffer("nc_n_gather", role, need_tensor("nc_n_gather", role, tile), SBUF, "GpSimd reaches SBUF only")
    partitions = data.shape[0]
    if indices.shape[0] != partitions or dst.shape[0] != partitions or dst.size != indices.size:
        raise broken_rule(
            f"nc_n_gather: dst {dst.shape}, data {data.shape}, indices {indices.shape}",
            limit="the same partitions in all, and as many elements in dst as in indices",
        )
    if indices.dtype != "uint32":
        raise broken_rule(
            f"nc_n_gather: indices are {indices.dtype}", limit="uint32", hint="cast with nisa.tensor_copy"
        )
    _need_same_dtype("nc_n_gather", dst, data, "data")
    count = dst.size // partitions
    about = {"elements": count, "instructions": -(-count // 512), "operands": (data, indices, dst)}
    reads = (data, indices, *index_tiles(dst, data, indices))
    handle = core.issue("nc_n_gather", engine.gpsimd, reads, (dst,), about)
    if core.options.execute:
        places = raw(indices).reshape(partitions, count)
        source = raw(data).reshape(partitions, -1)
        width = source.shape[1]
        _need_inside("nc_n_gather", places, width)
        flat = places + np.arange(0, partitions * width, width).reshape(-1, 1)
        store(dst, source.reshape(-1).take(flat).reshape(dst.shape))
    return handle


def _need_same_dtype(op: str, dst: NkiTensor, src: NkiTensor, role: str) -> None:
    if dst.dtype != src.dtype:
        raise broken_rule(
            f"{op}: dst is {dst.dtype}, {role} is {src.dtype}",
            limit="the same format: a gather casts nothing",
            hint="cast with nisa.tensor_copy before or after",
        )


def _need_inside(op: str, places: Any, width: int) -> None:
    if places.max() >= width:
        raise broken_rule(
            f"{op}: an index reaches element {int(places.max())}",
            limit=f"0 to {width - 1}, the elements of a partition",
            hint="the hardware doesn't check: it would read other data",
        )
