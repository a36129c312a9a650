"""Checks that the tiles which are alive at one time fit into SBUF and PSUM.

A tile lives from its first write to its last use in program order. Tiles of 64 or 32 partitions can share a partition's
bytes with others, so they count for half or a quarter: a lower bound, which never refuses what a compiler could place.
The physical size is the limit; the documentation says that a little less is usable and prints no number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from course_lib.nki.constants import MemoryRegion
from course_lib.nki.errors import NkiValidationError
from course_lib.nki.placement import same_bytes

if TYPE_CHECKING:
    from course_lib.nki.session import Core
    from course_lib.nki.storage import Storage


def weight_bytes(storage: Storage) -> float:
    """Bytes of one partition that a tile takes at least, when small tiles are stacked."""
    share = 1.0 if storage.partitions > 64 else 0.5 if storage.partitions > 32 else 0.25
    return storage.partition_bytes * share


def peak_use(core: Core, buffer: MemoryRegion) -> tuple[float, list[Storage]]:
    """Most bytes of a partition in use at one time, and the tiles that are alive then."""
    known = core.peaks.get(buffer)
    if known is None or known[0] != core.count:
        known = core.peaks[buffer] = core.count, _peak_use(core, buffer)
    return known[1]


def _peak_use(core: Core, buffer: MemoryRegion) -> tuple[float, list[Storage]]:
    tiles = [storage for storage in core.storages if storage.buffer is buffer and storage.first >= 0]
    # At one moment, ends (0) sort before beginnings (1).
    events = [(tile.first, 1, number) for number, tile in enumerate(tiles)]
    events += [(tile.last + 1, 0, number) for number, tile in enumerate(tiles)]
    events.sort()
    counted: dict[int, float] = {}
    placed: list[Storage] = []
    used = peak = 0.0
    moment = -1
    for when, begins, number in events:
        tile = tiles[number]
        if not begins:
            used -= counted.pop(number)
            if tile.address is not None:
                placed.remove(tile)
            continue
        weight = weight_bytes(tile)
        if tile.address is not None:
            # The kernel may put two tiles at one address and read what is left of the first; they take the room of one.
            weight = 0.0 if any(same_bytes(tile, other) for other in placed) else weight
            placed.append(tile)
        counted[number] = weight
        used += weight
        if used > peak:
            peak, moment = used, when
    return peak, [tile for tile in tiles if tile.first <= moment <= tile.last]


def check_capacity(core: Core) -> None:
    """Refuses a kernel whose live tiles don't fit.

    Raises:
        NkiValidationError: naming the largest of them and their lines.
    """
    for buffer, room in (
        (MemoryRegion.sbuf, core.hardware.sbuf_partition_bytes),
        (MemoryRegion.psum, core.hardware.psum_partition_bytes),
    ):
        peak, alive = peak_use(core, buffer)
        if peak > room:
            raise NkiValidationError(
                f"{len(alive)} tiles alive at one time take {peak:,.0f} bytes of each {buffer.value} partition. "
                f"Limit on {core.version.name}: {room:,} bytes. The largest: {_listed(alive)}. "
                "Try: smaller blocks, a shorter life (load a tile just before its use), or a smaller format."
            )


def _listed(alive: list[Storage], most: int = 4) -> str:
    """The tiles in words, those of one line and shape together, the largest groups first."""
    groups: dict[tuple[object, ...], list[Storage]] = {}
    for tile in alive:
        groups.setdefault((tile.line, tile.shape, tile.dtype), []).append(tile)
    ordered = sorted(groups.values(), key=lambda tiles: sum(map(weight_bytes, tiles)), reverse=True)
    words = [
        f"{len(tiles)} of {tiles[0].shape} {tiles[0].dtype} allocated at {tiles[0].line}, "
        f"{tiles[0].partition_bytes:,} bytes of a partition each"
        for tiles in ordered[:most]
    ]
    rest = sum(map(len, ordered[most:]))
    return "; ".join(words) + (f"; and {rest} more" if rest else "")
