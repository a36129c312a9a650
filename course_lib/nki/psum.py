"""Accumulation in PSUM: which matmul overwrites a region and which adds to it, and that its result fits into a bank.

The first matmul to a location overwrites it, whatever memset or tensor_copy left there: on NeuronCore-v2 and -v3
nothing else is defined, and kernels that clear PSUM before they accumulate give the same values on every generation.

Source: Neuron documentation 2.32, `nki.isa.nc_matmul`, "Accumulation mode"; architecture guide, PSUM banks.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from course_lib.nki.byteflags import ByteFlags
from course_lib.nki.constants import nc_version
from course_lib.nki.errors import broken_rule
from course_lib.nki.storage import Storage
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.tracking import access_of
from course_lib.nki.values import out_of_bounds

BANK_BYTES = 2048
_STEP = 4  # bytes; a tile starts at a multiple
NEVER, MATMUL, OTHER = 0, 1, 2


class PsumState:
    """What wrote each byte of a PSUM tensor.

    Attributes:
        state: NEVER, MATMUL or OTHER for each byte.
        regions: regions that hold results of matmuls alone, by place, shape and strides.
        starts: bit i is set while the tensor could start at byte 4 i of a bank with every result inside one bank.
    """

    __slots__ = ("regions", "starts", "state")

    def __init__(self, storage: Storage) -> None:
        self.state = ByteFlags(storage.partitions, storage.nbytes, NEVER)
        self.regions: set[Any] = set()
        self.starts = (1 << (BANK_BYTES // _STEP)) - 1


def state_of(storage: Storage) -> PsumState:
    """The state of a PSUM tensor."""
    if storage.psum is None:
        storage.psum = PsumState(storage)
    return storage.psum  # type: ignore[no-any-return]


def note_other_write(tensor: NkiTensor) -> None:
    """An instruction other than a matmul gives a region values that don't come from the region itself."""
    known = state_of(tensor.storage)
    known.regions.clear()
    if tensor.indirection is not None:
        known.state.fill(OTHER)
    else:
        known.state.set(tensor, OTHER)


def accumulates(
    dst: NkiTensor, wanted: bool | None, version: nc_version = nc_version.gen4, execute: bool = True
) -> bool | np.ndarray:
    """Whether a matmul into `dst` adds to what is there, and notes that it wrote.

    Args:
        dst: region of a PSUM tensor.
        wanted: the instruction's `accumulate`; None overwrites each location at its first matmul and adds afterwards.
        version: the generation.
        execute: whether the offsets of a scatter are known.

    Returns:
        True or False, or a mask of `dst`'s shape where only part of the region holds an earlier result.

    Raises:
        NkiValidationError: for accumulate=True onto what no matmul wrote, and for a result that no bank can hold.
    """
    storage, memory = dst.storage, dst.memory
    known = state_of(storage)
    if dst.indirection is not None:
        return _accumulates_scattered(dst, wanted, known) if execute else bool(wanted)
    whole = memory is dst.base
    key = 0 if whole else (dst.start, memory.shape, memory.strides)
    if key in known.regions:
        return True if wanted is None else bool(wanted)
    if version < nc_version.gen4:
        _check_bank(dst, known, version)
    before = known.state.whole
    if before is None:
        before = _latest(known.state.of(dst))
    if wanted:
        _check_accumulate(dst, before, version)
    adds: bool | np.ndarray = before == MATMUL
    known.state.set(dst, MATMUL)
    if whole:
        known.regions = {key}
    else:
        known.regions.add(key)
    if wanted is not None:
        return bool(wanted)
    if isinstance(adds, np.ndarray):
        return True if adds.all() else np.broadcast_to(adds, dst.shape) if adds.any() else False
    return bool(adds)


def _latest(state: np.ndarray) -> Any:
    """The state of each element from that of its bytes; one number where all are alike, which is quick to see."""
    words = state.view(f"u{state.shape[-1]}")
    first = words[(0,) * words.ndim]
    return int(first) & 0xFF if (words == first).all() else state.max(axis=-1)


def _accumulates_scattered(dst: NkiTensor, wanted: bool | None, known: PsumState) -> bool | np.ndarray:
    """`accumulates` for a matmul that scatters its columns, element by element."""
    assert dst.indirection is not None
    places, inside = dst.indirection.places(dst)
    if inside is not None:
        raise out_of_bounds(dst, inside)
    state = known.state.elements(dst.dtype.itemsize)
    adds = np.asarray(state[places].max(axis=-1) == MATMUL)
    state[places] = MATMUL
    known.regions.clear()
    return adds if wanted is None else bool(wanted)


def _check_accumulate(dst: NkiTensor, before: Any, version: nc_version) -> None:
    if np.any(before == NEVER):
        raise broken_rule(
            f"nc_matmul: accumulate=True onto {dst.storage.describe()}, which was never written",
            limit="the first matmul to a PSUM location overwrites it",
            hint="pass accumulate=(i > 0), or leave accumulate out",
        )
    if version < nc_version.gen4 and np.any(before == OTHER):
        raise broken_rule(
            f"nc_matmul: accumulate=True onto {dst.storage.describe()}, whose values come from another instruction",
            limit="a matmul accumulates onto the result of a matmul only",
            generation="gen2 and gen3",
            hint="start with accumulate=False and add the other values with nisa.tensor_tensor",
        )


def _check_bank(dst: NkiTensor, known: PsumState, version: nc_version) -> None:
    box, address = access_of(dst), dst.storage.address
    length = box.last_byte - box.first_byte + 1
    if address is not None:
        possible = (address[1] + box.first_byte) % BANK_BYTES in _places(length)
    else:
        known.starts &= _starts(length, box.first_byte % BANK_BYTES)
        possible = known.starts != 0
    if not possible:
        where = f"bytes {box.first_byte:,} to {box.last_byte:,} of each partition of {dst.storage.describe()}"
        raise broken_rule(
            f"nc_matmul: the result takes {where}{f' at address {address}' if address else ''}",
            limit=f"within one PSUM bank of {BANK_BYTES:,} bytes, wherever the tile starts",
            generation=version.name,
            hint="write at most 512 float32 columns that start at a multiple of 512, or use a tile for each bank",
        )


def _places(length: int) -> range:
    """Where in a bank a result of this many bytes may start."""
    return range(0, max(BANK_BYTES - length + 1, 0), _STEP)


@functools.cache
def _starts(length: int, first: int) -> int:
    """Where in a bank a tensor may start, as bits, so that what lies `first` bytes behind its start stays in one."""
    allowed = 0
    for at in _places(length):
        allowed |= 1 << ((at - first) % BANK_BYTES // _STEP)
    return allowed
