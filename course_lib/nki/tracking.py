"""Follows what was written: reads of memory that nobody wrote, and of bytes that another placed tile overwrote."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from course_lib.nki.byteflags import bytes_of
from course_lib.nki.errors import broken_rule, kernel_line
from course_lib.nki.instruction import Access

if TYPE_CHECKING:
    from course_lib.nki.storage import Storage
    from course_lib.nki.tensor import NkiTensor


def access_of(tensor: NkiTensor) -> Access:
    """The box of memory that a view covers; an indirect view may reach all of its storage."""
    if tensor.box is None:
        tensor.box = _box(tensor)
    return tensor.box


def _box(tensor: NkiTensor) -> Access:
    storage, memory = tensor.storage, tensor.memory
    # A row is a partition on chip, and the innermost dimension of the storage in HBM: blocks of columns stay apart.
    on_chip = storage.on_chip
    if memory is tensor.base or tensor.indirection is not None:
        rows = storage.shape[0] if on_chip else math.prod(storage.shape[:-1])
        return Access(storage, 0, rows - 1, 0, storage.nbytes // rows - 1)
    base = tensor.base
    pitch = base.strides[0] if on_chip else base.strides[-1] * base.shape[-1]
    first, within = divmod(tensor.start, pitch)
    rows = reach = 0
    for step, count in zip(memory.strides, memory.shape, strict=True):
        if step >= pitch and step % pitch == 0:
            rows += step // pitch * (count - 1)
        else:
            reach += step * (count - 1)
    size, stored = tensor.dtype.itemsize, memory.itemsize
    if within + reach >= pitch:  # it runs on into the next rows
        rows += (within + reach) // pitch
        within, reach = 0, pitch - stored
    last = (within + reach) // stored * size + size - 1
    return Access(storage, first, first + rows, within // stored * size, last)


def mark_written(tensor: NkiTensor) -> None:
    """Notes that an instruction writes a view."""
    written = tensor.storage.written
    if written is None or written.whole == 1:
        return
    if tensor.indirection is None:
        written.set(tensor, 1)
        return
    places, inside = tensor.indirection.places(tensor)
    found = places if inside is None else places[inside]
    written.set_places(tensor.dtype.itemsize, found, 1)


def check_reads(tensor: NkiTensor) -> None:
    """Refuses to read bytes that were overwritten under another name, or never written."""
    storage = tensor.storage
    if storage.clobbered is not None and tensor.indirection is None:
        lost = bytes_of(storage.clobbered, tensor)
        if lost.any():
            raise broken_rule(
                f"{storage.describe()} is read after its memory was overwritten by "
                f"{storage.clobberers[int(lost.max()) - 1]}",
                limit="two tiles placed at overlapping addresses cannot hold values at the same time",
                hint="give one of them another address, or read this tile before the other is written",
            )
    written = storage.written
    if written is None or written.whole == 1 or tensor.indirection is not None:
        return
    flags = written.of(tensor)
    if flags.all():
        if tensor.memory is tensor.base:  # written in parts, and complete now: the next read sees it at a glance
            written.fill(1)
    else:
        known = flags.all(axis=-1)
        place = tuple(int(at) for at in np.unravel_index(int(np.argmin(known)), known.shape))
        raise broken_rule(
            f"element {place} of {storage.describe()} is read and was never written",
            limit="memory holds garbage until an instruction writes it",
            hint="write the whole tile first (nisa.memset), or read only the part that was written",
        )


def check_writes(tensor: NkiTensor) -> None:
    """Notes that a placed tile is written: others lose the bytes that they have at the same addresses."""
    storage = tensor.storage
    storage.overlaps = [other for other in storage.overlaps if other.alive() is not None]
    if storage.clobbered is not None:
        if tensor.memory is tensor.base or tensor.indirection is not None:
            storage.clobbered = None
        else:
            bytes_of(storage.clobbered, tensor)[...] = 0
    held = [other for other in storage.overlaps if other.first >= 0]
    if not held:
        return
    touched = np.zeros(storage.nbytes, dtype=bool)
    if tensor.indirection is None:
        bytes_of(touched, tensor)[...] = True
    by = f"{storage.describe()} at {kernel_line()}"
    for other in held:
        _overwrite(other, storage, touched, by)


def _overwrite(other: Storage, storage: Storage, touched: np.ndarray, by: str) -> None:
    mine, theirs = _common(storage, other), _common(other, storage)
    hit = touched.reshape(storage.partitions, -1)[mine]
    if not hit.any():
        return
    if by not in other.clobberers and len(other.clobberers) < 255:
        other.clobberers = (*other.clobberers, by)
    number = other.clobberers.index(by) + 1 if by in other.clobberers else 255
    if other.clobbered is None:
        other.clobbered = np.zeros(other.nbytes, dtype=np.uint8)
    other.clobbered.reshape(other.partitions, -1)[theirs][hit] = number


def _common(one: Storage, other: Storage) -> tuple[slice, slice]:
    """Partitions and bytes of `one` that lie at addresses of `other`."""
    assert one.address is not None
    assert other.address is not None
    (p, b), (q, c) = one.address, other.address
    return (
        slice(max(q - p, 0), min(q + other.partitions - p, one.partitions)),
        slice(max(c - b, 0), min(c + other.partition_bytes - b, one.partition_bytes)),
    )
