"""Follows what was written: reads of memory that nobody wrote, and of tiles whose addresses another tile took over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from course_lib.nki.errors import broken_rule, kernel_line
from course_lib.nki.instruction import Access

if TYPE_CHECKING:
    from course_lib.nki.storage import Storage
    from course_lib.nki.tensor import NkiTensor


def access_of(tensor: NkiTensor) -> Access:
    """The box of memory that a view covers; an indirect view may reach all of its storage."""
    storage, array = tensor.storage, tensor.array
    partitions = storage.partitions if storage.on_chip else 1
    itemsize = storage.dtype.itemsize
    if tensor.indirection is not None:
        return Access(storage, 0, partitions - 1, 0, storage.nbytes // partitions - 1)
    scale = tensor.dtype.itemsize / array.itemsize  # low precision may be stored wider than it is
    start = array.__array_interface__["data"][0] - tensor.root.__array_interface__["data"][0]
    reach = sum(step * (count - 1) for step, count in zip(array.strides, array.shape, strict=True))
    if not storage.on_chip:
        return Access(storage, 0, 0, int(start * scale), int((start + reach) * scale) + itemsize - 1)
    pitch = tensor.root.strides[0]
    rows = array.strides[0] * (array.shape[0] - 1)
    first = start // pitch
    within = start - first * pitch
    last = within + reach - rows
    return Access(
        storage, first, first + rows // pitch, int(within * scale), int(last * scale) + tensor.dtype.itemsize - 1
    )


def _mask(tensor: NkiTensor) -> np.ndarray:
    """The bytes of `storage.written` that belong to a direct view, one row of bytes for each element."""
    storage, array = tensor.storage, tensor.array
    assert storage.written is not None
    start = array.__array_interface__["data"][0] - tensor.root.__array_interface__["data"][0]
    return np.lib.stride_tricks.as_strided(storage.written[start:], (*array.shape, array.itemsize), (*array.strides, 1))


def mark_written(tensor: NkiTensor) -> None:
    """Notes that an instruction writes a view."""
    storage = tensor.storage
    if storage.written is None:
        return
    if tensor.indirection is None:
        _mask(tensor)[...] = True
        return
    places, inside = tensor.indirection.places(tensor)
    found = places if inside is None else places[inside]
    size = tensor.array.itemsize
    storage.written.reshape(-1, size)[found.reshape(-1)] = True


def check_reads(tensor: NkiTensor) -> None:
    """Refuses to read memory that was overwritten under another name, or never written."""
    storage = tensor.storage
    if storage.clobbered:
        raise broken_rule(
            f"{storage.describe()} is read after its memory was overwritten by {storage.clobbered}",
            limit="two tiles placed at overlapping addresses cannot hold values at the same time",
            hint="give one of them another address, or read this tile before the other is written",
        )
    if storage.written is None or tensor.indirection is not None:
        return
    known = _mask(tensor)
    if not known.all():
        missing = int(np.argmin(known.all(axis=-1)))
        place = tuple(int(at) for at in np.unravel_index(missing, tensor.shape))
        raise broken_rule(
            f"element {place} of {storage.describe()} is read and was never written",
            limit="memory holds garbage until an instruction writes it",
            hint="write the whole tile first (nisa.memset), or read only the part that was written",
        )


def check_writes(storage: Storage) -> None:
    """Notes that a placed tile is written: its neighbours at the same address lose their values."""
    storage.clobbered = ""
    storage.overlaps = [other for other in storage.overlaps if other.alive() is not None]
    for other in storage.overlaps:
        if other.first >= 0:
            other.clobbered = f"{storage.describe()} at {kernel_line()}"
