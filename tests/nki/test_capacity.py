"""Oracle: bytes of each partition added up by hand for the tiles between their first write and their last use."""

from __future__ import annotations

import numpy as np
import pytest

from course_lib import nki
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl
from course_lib.nki.capacity import peak_use
from course_lib.nki.constants import MemoryRegion
from course_lib.nki.kernel import Kernel, run_kernel

KIB = 1024
ROOM = {"trn1": 192 * KIB, "trn2": 224 * KIB, "trn3": 256 * KIB}
FLAGS = np.zeros((1, 1), dtype=np.float32)


def tiles(count: int, bytes_: int, *, together: bool, partitions: int = 128, buffer=nl.sbuf):
    """A kernel with `count` tiles of `bytes_` of each partition, all in use at the end, or each at its own time."""

    def kernel(x):
        made = []
        for _ in range(count):
            tile = nl.ndarray((partitions, bytes_ // 4), nl.float32, buffer=buffer)
            nisa.memset(tile, 0)
            made.append(tile)
            if not together:
                nisa.memset(tile, 1)
        if together:
            for tile in made:
                nisa.tensor_copy(dst=tile, src=tile)
        return x

    return kernel


def run(kernel, **options):
    """Runs a kernel; execute=False, since only sizes matter."""
    return nki.simulate(kernel, execute=False, **options)(FLAGS)


def peak(kernel, buffer: MemoryRegion = MemoryRegion.sbuf) -> float:
    """Most bytes of a partition at one time."""
    options = nki.Options(execute=False, capacity=False)
    return peak_use(run_kernel(Kernel(kernel), (FLAGS,), {}, options)[1][0], buffer)[0]


@pytest.mark.parametrize("target", sorted(ROOM))
def test_all_of_sbuf_can_be_used_and_not_a_tile_more(target: str) -> None:
    fits = ROOM[target] // (32 * KIB)
    run(tiles(fits, 32 * KIB, together=True), target=target)
    with pytest.raises(nki.NkiValidationError, match=f"{ROOM[target]:,} bytes") as caught:
        run(tiles(fits + 1, 32 * KIB, together=True), target=target)
    assert "test_capacity.py:" in str(caught.value)
    assert f"{fits + 1} of (128, 8192) float32 allocated at" in str(caught.value)  # a loop's tiles in one entry


def test_tiles_that_live_one_after_the_other_share_the_room() -> None:
    run(tiles(50, 64 * KIB, together=False))
    assert peak(tiles(50, 64 * KIB, together=False)) == 64 * KIB
    assert peak(tiles(3, 64 * KIB, together=True)) == 3 * 64 * KIB


@pytest.mark.parametrize(("partitions", "more"), [(128, 1), (65, 1), (64, 2), (33, 2), (32, 4), (1, 4)])
def test_tiles_of_few_partitions_can_be_stacked(partitions: int, more: int) -> None:
    run(tiles(8 * more, 32 * KIB, together=True, partitions=partitions))
    with pytest.raises(nki.NkiValidationError, match="alive at one time"):
        run(tiles(8 * more + 1, 32 * KIB, together=True, partitions=partitions))


def test_psum_has_eight_banks() -> None:
    run(tiles(8, 2 * KIB, together=True, buffer=nl.psum))
    with pytest.raises(nki.NkiValidationError, match="16,384 bytes"):
        run(tiles(9, 2 * KIB, together=True, buffer=nl.psum))


def test_tiles_at_one_address_take_the_room_of_one() -> None:
    def kernel(x):
        made = [nl.ndarray((128, 32 * KIB // 4), nl.float32, buffer=nl.sbuf, address=(0, 0)) for _ in range(9)]
        for tile in made:
            nisa.memset(tile, 0)
        for tile in made:
            nisa.memset(tile, 1)
        return x

    assert peak(kernel) == 32 * KIB
    run(kernel)


def test_a_tile_that_is_never_written_takes_no_room() -> None:
    def kernel(x):
        made = [nl.ndarray((128, 32 * KIB // 4), nl.float32, buffer=nl.sbuf) for _ in range(20)]
        nisa.memset(made[0], 0)
        return x

    assert peak(kernel) == 32 * KIB


def test_the_check_can_be_turned_off() -> None:
    run(tiles(9, 32 * KIB, together=True), capacity=False)


def test_one_tile_larger_than_a_partition_is_refused_where_it_is_allocated() -> None:
    def kernel(x):
        nl.ndarray((128, 256 * KIB // 4 + 1), nl.float32, buffer=nl.sbuf)
        return x

    with pytest.raises(nki.NkiValidationError, match="262,144 bytes for each partition"):
        run(kernel)
