"""The eight largest values of each partition, where they are, and how to strike them out.

Source: Neuron documentation 2.32, `nki.isa.max8`, `nc_find_index8`, `nc_match_replace8`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from course_lib.nki.constants import engine
from course_lib.nki.errors import broken_rule
from course_lib.nki.isa.operands import index_tiles, need_tile
from course_lib.nki.isa.rules import need_same_layout
from course_lib.nki.session import NkiInstruction, current_core
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import as_float32, scalar_of, store

FEWEST, MOST = 8, 16_384


def max8(dst: NkiTensor, src: NkiTensor, name: str | None = None) -> NkiInstruction:
    """The eight largest values of each partition, in descending order, compared in float32.

    Args:
        dst: (P, 8) tile.
        src: (P, N) tile, N from 8 to 16,384.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for other shapes.
    """
    core = current_core()
    _need_data("max8", "src", src)
    _need_eight("max8", "dst", dst, src)
    about = {"elements": src.size // src.shape[0], "operands": (src, dst)}
    handle = core.issue("max8", engine.vector, (src, *index_tiles(dst, src)), (dst,), about)
    if core.options.execute:
        values = as_float32(src).reshape(src.shape[0], -1)
        top = np.partition(values, values.shape[1] - 8, axis=1)[:, -8:]
        store(dst, np.sort(top, axis=1)[:, ::-1])
    return handle


def nc_find_index8(dst: NkiTensor, data: NkiTensor, vals: NkiTensor, name: str | None = None) -> NkiInstruction:
    """Where each of eight values first occurs in its partition; all bits set where it does not.

    The second of two equal values gets the second occurrence, and so on.

    Args:
        dst: (P, 8) tile of uint16 or uint32.
        data: (P, N) tile, N from 8 to 16,384.
        vals: (P, 8) tile.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for other shapes or formats.
    """
    core = current_core()
    _need_data("nc_find_index8", "data", data)
    _need_eight("nc_find_index8", "vals", vals, data)
    _need_indices("nc_find_index8", "dst", dst, data)
    about = {"elements": data.size // data.shape[0], "operands": (data, vals, dst)}
    handle = core.issue("nc_find_index8", engine.vector, (data, vals, *index_tiles(data, vals)), (dst,), about)
    if core.options.execute:
        store(dst, _match(data, vals, range(8))[0].reshape(dst.shape))
    return handle


def nc_match_replace8(
    dst: NkiTensor,
    data: NkiTensor,
    vals: NkiTensor,
    imm: float,
    dst_idx: NkiTensor | None = None,
    name: str | None = None,
) -> NkiInstruction:
    """`data` with the first occurrence of each of eight values replaced by `imm`.

    Equal values take one occurrence each, beginning with the last of them: the highest column of `dst_idx` gets the
    first.

    Args:
        dst: (P, N) tile for the result; may be `data`.
        data: (P, N) tile, N from 8 to 16,384.
        vals: (P, 8) tile.
        imm: a number.
        dst_idx: (P, 8) tile of uint16 or uint32 for the places; all bits set where a value does not occur.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for other shapes or formats.
    """
    core = current_core()
    _need_data("nc_match_replace8", "data", data)
    need_tile("nc_match_replace8", "dst", dst)
    need_same_layout("nc_match_replace8", dst, data, "dst and data")
    _need_eight("nc_match_replace8", "vals", vals, data)
    number = scalar_of(imm)
    writes: tuple[NkiTensor, ...] = (dst,)
    if dst_idx is not None:
        _need_indices("nc_match_replace8", "dst_idx", dst_idx, data)
        writes = (dst, dst_idx)
    about = {"elements": data.size // data.shape[0], "operands": (data, vals, dst)}
    reads = (data, vals, *index_tiles(data, vals, dst))
    handle = core.issue("nc_match_replace8", engine.vector, reads, writes, about)
    if core.options.execute:
        places, used = _match(data, vals, range(7, -1, -1))
        store(dst, np.where(used, np.float32(number), as_float32(data).reshape(used.shape)))
        if dst_idx is not None:
            store(dst_idx, places.reshape(dst_idx.shape))
    return handle


def _match(data: NkiTensor, vals: NkiTensor, order: Any) -> tuple[np.ndarray, np.ndarray]:
    """Places (P, 8) of values, in `order`, each the first that no earlier one took; and which elements were taken.

    A value that does not occur has the largest uint32, which saturates to all bits set in uint16 as well.
    """
    values = as_float32(data).reshape(data.shape[0], -1)
    wanted = as_float32(vals).reshape(data.shape[0], 8)
    used = np.zeros(values.shape, dtype=bool)
    places = np.full(wanted.shape, 0xFFFFFFFF, dtype=np.int64)
    rows = np.arange(len(values))
    for column in order:
        matches = (values == wanted[:, column, None]) & ~used
        first = matches.argmax(axis=1)
        found = matches[rows, first]
        places[found, column] = first[found]
        used[rows[found], first[found]] = True
    return places, used


def _need_data(op: str, role: str, tile: Any) -> None:
    need_tile(op, role, tile)
    count = tile.size // tile.shape[0]
    if not FEWEST <= count <= MOST:
        raise broken_rule(
            f"{op}: {role} of shape {tile.shape} has {count} elements in each partition",
            limit=f"{FEWEST} to {MOST:,}",
            hint="search a longer row in parts, then search the parts' results",
        )


def _need_eight(op: str, role: str, tile: Any, data: NkiTensor) -> None:
    need_tile(op, role, tile)
    if tile.shape[0] != data.shape[0] or tile.size != 8 * data.shape[0]:
        raise broken_rule(f"{op}: {role} has shape {tile.shape}", limit=f"({data.shape[0]}, 8)")


def _need_indices(op: str, role: str, tile: Any, data: NkiTensor) -> None:
    _need_eight(op, role, tile, data)
    if tile.dtype not in ("uint16", "uint32"):
        raise broken_rule(f"{op}: {role} is {tile.dtype}", limit="uint16 or uint32")
