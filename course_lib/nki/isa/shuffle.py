"""Movement across partitions within quadrants of 32.

Source: Neuron documentation 2.32, `nki.isa.nc_stream_shuffle`.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from course_lib.nki.constants import engine
from course_lib.nki.errors import broken_rule
from course_lib.nki.isa.operands import index_tiles
from course_lib.nki.isa.rules import need_on_chip, need_tensor
from course_lib.nki.session import NkiInstruction, current_core
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import raw, store

QUADRANT = 32
KEEP = 255


def nc_stream_shuffle(
    dst: NkiTensor, src: NkiTensor, shuffle_mask: Sequence[int], name: str | None = None
) -> NkiInstruction:
    """Partition i of each quadrant of `dst` takes partition `shuffle_mask[i]` of the same quadrant of `src`.

    Args:
        dst, src: tiles in SBUF or PSUM with the same format and elements in each partition; may be the same tile.
        shuffle_mask: 32 numbers from 0 to 31; 255 leaves the partition as it is.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for another mask, for shapes and formats that differ, and for start partitions that the
            engine does not have.
    """
    core = current_core()
    need_on_chip("nc_stream_shuffle", "dst", need_tensor("nc_stream_shuffle", "dst", dst))
    need_on_chip("nc_stream_shuffle", "src", need_tensor("nc_stream_shuffle", "src", src))
    count, width = dst.shape[0], dst.size // dst.shape[0]
    if dst.dtype != src.dtype or src.size // src.shape[0] != width:
        raise broken_rule(
            f"nc_stream_shuffle: dst is {dst.shape} {dst.dtype}, src is {src.shape} {src.dtype}",
            limit="the same format and as many elements in each partition",
        )
    mask = _checked(shuffle_mask)
    active = -(-max(count, src.shape[0]) // QUADRANT) * QUADRANT
    _check_start("dst", dst, active)
    _check_start("src", src, active)
    at = np.arange(count)
    wanted = mask[at % QUADRANT]
    moved = at[wanted != KEEP]
    sources = moved - moved % QUADRANT + wanted[moved]
    beyond = sources[sources >= src.shape[0]]
    if len(beyond):
        raise broken_rule(
            f"nc_stream_shuffle reads partition {beyond[0]} of src with shape {src.shape}",
            limit=f"0 to {src.shape[0] - 1}: the mask is applied to each quadrant of 32 partitions of dst",
            hint="shuffle one quadrant of dst at a time, or mark partitions with 255",
        )
    about = {"elements": width, "partitions": active, "operands": (src, dst)}
    reads = (src, *index_tiles(dst, src))
    handle = core.issue("nc_stream_shuffle", engine.vector, reads, (dst,), about)
    if core.options.execute:
        values = raw(src).reshape(src.shape[0], width)
        if len(moved) != count:
            kept = np.array(raw(dst)).reshape(count, width)
            kept[moved] = values.take(sources, axis=0)
            store(dst, kept.reshape(dst.shape))
        elif src.storage is dst.storage or dst.indirection is not None or dst.memory.shape != (count, width):
            store(dst, values.take(sources, axis=0).reshape(dst.shape))
        else:
            values.take(sources, axis=0, out=dst.array, mode="clip")
    return handle


def _checked(mask: Any) -> np.ndarray:
    try:
        numbers = [operator.index(entry) for entry in mask]
    except TypeError:
        raise broken_rule(f"nc_stream_shuffle: shuffle_mask={mask!r}", limit="a list of 32 whole numbers") from None
    wrong = [entry for entry in numbers if entry != KEEP and not 0 <= entry < QUADRANT]
    if len(numbers) != QUADRANT or wrong:
        what = f"the entry {wrong[0]}" if wrong else f"{len(numbers)} entries"
        raise broken_rule(f"nc_stream_shuffle: shuffle_mask has {what}", limit="32 entries from 0 to 31, or 255")
    return np.array(numbers)


def _check_start(role: str, tensor: NkiTensor, active: int) -> None:
    storage = tensor.storage
    first = tensor.offset // (tensor.base.size // tensor.base.shape[0]) if tensor.indirection is None else 0
    first += storage.address[0] if storage.address is not None else 0
    allowed = (0,) if active > 64 else (0, 64) if active > 32 else (0, 32, 64, 96)
    if first not in allowed:
        raise broken_rule(
            f"nc_stream_shuffle: {role} starts at partition {first} with {active} active partitions",
            limit=f"start at {', '.join(map(str, allowed))}",
        )
