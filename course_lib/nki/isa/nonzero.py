"""Indices of the elements that are not zero, and how many there are.

Source: Neuron documentation 2.32, `nki.isa.nonzero_with_count`.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from course_lib.nki.constants import engine, nc_version
from course_lib.nki.errors import broken_rule
from course_lib.nki.isa.gather import GROUP
from course_lib.nki.isa.operands import index_tiles
from course_lib.nki.isa.rules import SBUF, need_buffer, need_tensor
from course_lib.nki.session import NkiInstruction, current_core
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import raw, store


def nonzero_with_count(
    dst: NkiTensor, src: NkiTensor, index_offset: int = 0, padding_val: int = -1, name: str | None = None
) -> NkiInstruction:
    """In partitions 0, 16, 32, ...: indices of the non-zero elements, padding, and their count in the last element.

    Other partitions of `dst` stay as they are: each GpSimd core reads and writes its first partition only.
    NeuronCore-v3 on.

    Args:
        dst: (P, N + 1) tile of int32 in SBUF.
        src: (P, N) tile of float32 or int32 in SBUF.
        index_offset: added to each index.
        padding_val: fills the places that are left over.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for shapes, regions or formats that don't fit, and before NeuronCore-v3.
    """
    core = current_core()
    if core.version < nc_version.gen3:
        raise broken_rule("nonzero_with_count", limit="from NeuronCore-v3", generation=core.version.name)
    for role, tile in (("dst", dst), ("src", src)):
        need_tensor("nonzero_with_count", role, tile)
        need_buffer("nonzero_with_count", role, tile, SBUF, "GpSimd reaches SBUF only")
    if src.dtype not in ("float32", "int32"):
        raise broken_rule(f"nonzero_with_count: src is {src.dtype}", limit="float32 or int32")
    if dst.dtype != "int32":
        raise broken_rule(f"nonzero_with_count: dst is {dst.dtype}", limit="int32")
    count = src.size // src.shape[0]
    if dst.shape[0] != src.shape[0] or dst.size // dst.shape[0] != count + 1:
        raise broken_rule(
            f"nonzero_with_count: dst has shape {dst.shape} for src {src.shape}",
            limit=f"({src.shape[0]}, {count + 1}): one element more, for the count",
        )
    offset, padding = _int32("index_offset", index_offset), _int32("padding_val", padding_val)
    about = {"elements": count, "operands": (src, dst)}
    # Partitions that it skips keep their values, so it is no plain overwrite of dst.
    rows = _rows(src)
    handle = core.issue("nonzero_with_count", engine.gpsimd, (*rows, *index_tiles(dst, src)), tuple(_rows(dst)), about)
    if core.options.execute:
        for source, target in zip(_rows(src), _rows(dst), strict=True):
            found = np.flatnonzero(raw(source))
            result = np.full(count + 1, padding, dtype=np.int64)
            result[: len(found)] = found + offset
            result[count] = len(found)
            store(target, result.reshape(target.shape))
    return handle


def _rows(tile: NkiTensor) -> list[NkiTensor]:
    """The first partition of each group of 16."""
    return [tile[first : first + 1] for first in range(0, tile.shape[0], GROUP)]


def _int32(role: str, value: Any) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = 2**31
    if not -(2**31) <= number < 2**31:
        raise broken_rule(f"nonzero_with_count: {role}={value!r}", limit="a whole number of 32 bits")
    return number
