"""Where the segments of a packed sequence begin and end.

Source: Neuron documentation 2.32, `nki.isa.sequence_bounds`.
"""

from __future__ import annotations

import numpy as np

from course_lib.nki.constants import engine
from course_lib.nki.errors import broken_rule
from course_lib.nki.isa.operands import index_tiles
from course_lib.nki.isa.rules import SBUF, need_buffer, need_tensor
from course_lib.nki.session import NkiInstruction, current_core
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import raw, store

_FORMATS = ("float32", "int32")


def sequence_bounds(dst: NkiTensor, segment_ids: NkiTensor, name: str | None = None) -> NkiInstruction:
    """For each element, the first index of its segment and the index after its last.

    Neighbours with the same id form a segment. Padding, with id 0, gets (n, -1).

    Args:
        dst: (1, 2, n) tile of float32 or int32: starts, then ends.
        segment_ids: (1, n) tile of float32 or int32, no negative numbers.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for shapes, regions or formats that don't fit.
    """
    core = current_core()
    for role, tile in (("dst", dst), ("segment_ids", segment_ids)):
        need_tensor("sequence_bounds", role, tile)
        need_buffer("sequence_bounds", role, tile, SBUF, "GpSimd reaches SBUF only")
        if tile.dtype not in _FORMATS:
            raise broken_rule(f"sequence_bounds: {role} is {tile.dtype}", limit="float32 or int32")
        if tile.shape[0] != 1:
            raise broken_rule(f"sequence_bounds: {role} has shape {tile.shape}", limit="one partition")
    count = segment_ids.size
    if dst.size != 2 * count:
        raise broken_rule(f"sequence_bounds: dst has shape {dst.shape}", limit=f"(1, 2, {count})")
    about = {"elements": count, "operands": (segment_ids, dst)}
    reads = (segment_ids, *index_tiles(dst, segment_ids))
    handle = core.issue("sequence_bounds", engine.gpsimd, reads, (dst,), about)
    if core.options.execute:
        store(dst, _bounds(raw(segment_ids).reshape(-1)).reshape(dst.shape))
    return handle


def _bounds(ids: np.ndarray) -> np.ndarray:
    """Starts and ends, (2, n)."""
    count = len(ids)
    first = np.concatenate(([True], ids[1:] != ids[:-1]))
    starts = np.flatnonzero(first)
    segment = np.cumsum(first) - 1
    ends = np.append(starts[1:], count)
    padding = ids == 0
    return np.stack((np.where(padding, count, starts[segment]), np.where(padding, -1, ends[segment])))
