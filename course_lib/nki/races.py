"""Finds bytes of shared memory that one core writes while another reads or writes them, with no barrier in between.

Accesses are sorted into the spans between barriers, so the answer is the same however the threads happened to run. A
kernel that does not divide its work lets all cores write the same values to the same place: the same line writing the
same view on every core is no race.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from course_lib.nki.errors import NkiValidationError
from course_lib.nki.storage import Storage
from course_lib.nki.tensor import NkiTensor


@dataclass(slots=True)
class Touch:
    """One access of a core to shared memory.

    Attributes:
        core: whose.
        writes: a write, else a read.
        index: the instruction's place in the core's program.
        line: where in the kernel.
        size: bytes of an element.
        start, shape, strides: the view, in bytes from the storage's start.
        places: flat element numbers of an indirect view instead, None for a direct one.
    """

    core: int
    writes: bool
    index: int
    line: str
    size: int
    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    places: np.ndarray | None

    def key(self) -> tuple[object, ...]:
        """Equal for the touches of cores that all do the same."""
        places = None if self.places is None else self.places.tobytes()
        return (self.line, self.size, self.start, self.shape, self.strides, places)

    def mark(self, flags: np.ndarray, grain: int) -> None:
        """Sets one flag for every `grain` bytes that it touches."""
        if self.places is None:
            self._part(flags, grain)[...] = True
        else:
            flags.reshape(-1, self.size // grain)[self.places.reshape(-1)] = True

    def mark_unless(self, flags: np.ndarray, known: np.ndarray, grain: int) -> None:
        """Sets the flags of what it touches, except where `known` is set."""
        if self.places is None:
            part = self._part(flags, grain)
            np.logical_or(part, ~self._part(known, grain), out=part)
        else:
            places = self.places.reshape(-1)
            flags.reshape(-1, self.size // grain)[places] |= ~known.reshape(-1, self.size // grain)[places]

    def _part(self, flags: np.ndarray, grain: int) -> np.ndarray:
        strides = (*(step // grain for step in self.strides), 1)
        return np.ndarray((*self.shape, self.size // grain), bool, flags, self.start // grain, strides)


class Races:
    """Accesses of `cores` cores to the memory that they share."""

    def __init__(self, cores: int) -> None:
        self._span = [0] * cores
        self._lock = threading.Lock()
        self._touches: dict[tuple[int, int], tuple[Storage, int, list[Touch]]] = {}

    def passed_barrier(self, core: int) -> None:
        """What a core touches from now on comes after what the others touched before."""
        self._span[core] += 1

    def note(self, core: int, index: int, tensor: NkiTensor, writes: bool, line: str) -> None:
        """Keeps an access to shared memory."""
        memory, base, span = tensor.memory, tensor.base, self._span[core]
        start = memory.__array_interface__["data"][0] - base.__array_interface__["data"][0]
        places = None
        if tensor.indirection is not None:
            found, inside = tensor.indirection.places(tensor)
            places = found if inside is None else found[inside]
        touch = Touch(core, writes, index, line, memory.itemsize, start, memory.shape, memory.strides, places)
        with self._lock:
            kept = self._touches.setdefault((span, id(tensor.storage)), (tensor.storage, base.nbytes, []))
            kept[2].append(touch)

    def check(self) -> None:
        """Looks through all spans.

        Raises:
            NkiValidationError: naming the lines of both cores, the first pair in program order.
        """
        for (_, _), (storage, nbytes, touches) in sorted(self._touches.items(), key=lambda item: item[0][0]):
            found = _collision(nbytes, storage.shape[0], sorted(touches, key=lambda touch: (touch.core, touch.index)))
            if found is not None:
                raise _race(storage, *found)


def _collision(nbytes: int, rows: int, touches: list[Touch]) -> tuple[Touch, Touch] | None:
    """The first write in program order whose bytes another core touches too, and that other access."""
    cores = sorted({touch.core for touch in touches})
    if len(cores) < 2 or not any(touch.writes for touch in touches):
        return None
    grain = min(touch.size for touch in touches)
    # Cores that share out a scatter all write to the last row, which stands for padding and which nobody reads.
    spare = np.zeros(nbytes // grain, dtype=bool)
    if all(touch.writes and touch.places is not None for touch in touches):
        spare[-(nbytes // rows // grain) :] = True
    written = [{touch.key() for touch in touches if touch.core == core and touch.writes} for core in cores]
    common = set.intersection(*written)
    early = {core: _early([touch for touch in touches if touch.core == core], common, nbytes, grain) for core in cores}
    for core in cores:
        own = [touch for touch in touches if touch.core == core and touch.writes and touch.key() not in common]
        others = [touch for touch in touches if touch.core != core]
        found = _meeting(own, others, _marked(own, nbytes, grain) & _marked(others, nbytes, grain) & ~spare, grain)
        if found is None and common:
            same = [touch for touch in touches if touch.core == core and touch.writes and touch.key() in common]
            reads = [touch for touch in others if not touch.writes]
            too_early = np.logical_or.reduce([early[other] for other in cores if other != core])
            found = _meeting(same, reads, _marked(same, nbytes, grain) & too_early, grain)
        if found is not None:
            return found
    return None


def _early(touches: list[Touch], common: set[tuple[object, ...]], nbytes: int, grain: int) -> np.ndarray:
    """Bytes that a core reads before it has written them itself in a write that all cores do."""
    done, early = np.zeros(nbytes // grain, dtype=bool), np.zeros(nbytes // grain, dtype=bool)
    if not common:
        return early
    for touch in touches:
        if not touch.writes:
            touch.mark_unless(early, done, grain)
        elif touch.key() in common:
            touch.mark(done, grain)
    return early


def _meeting(own: list[Touch], others: list[Touch], both: np.ndarray, grain: int) -> tuple[Touch, Touch] | None:
    if not both.any():
        return None
    byte = np.zeros_like(both)
    byte[int(np.argmax(both))] = True
    return _first_at(own, byte, grain), _first_at(others, byte, grain)


def _marked(touches: list[Touch], nbytes: int, grain: int) -> np.ndarray:
    flags = np.zeros(nbytes // grain, dtype=bool)
    for touch in touches:
        touch.mark(flags, grain)
    return flags


def _first_at(touches: list[Touch], byte: np.ndarray, grain: int) -> Touch:
    for touch in touches:
        if (_marked([touch], byte.size * grain, grain) & byte).any():
            return touch
    raise AssertionError("one of the accesses touches this byte")


def _race(storage: Storage, writer: Touch, met: Touch) -> NkiValidationError:
    what = "writes" if met.writes else "reads"
    return NkiValidationError(
        f"core {met.core} {what} {storage.describe()} at {met.line} while core {writer.core} writes the same bytes at "
        f"{writer.line}. Limit: cores share memory only across a barrier. Try: put nisa.core_barrier between the write "
        "and the read, or let each core have its part."
    )
