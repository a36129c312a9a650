"""Finds bytes of shared memory that one core writes while another reads or writes them, with no barrier in between.

Accesses are sorted into the spans between barriers, so the answer is the same however the threads happened to run. A
kernel that does not divide its work lets all cores write the same values to the same place: the same line writing the
same view on every core is no race. Published kernels fill a result on one core and scatter into it from the other soon
after, or scatter what is padding to one place, without a barrier: a scatter to bytes that another core writes draws a
warning.
"""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass

import numpy as np

from course_lib.nki.errors import NkiValidationError
from course_lib.nki.indirection import Lookup
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
        lookup: for an indirect view its first elements and the pattern laid from each; None for a direct one. Every
            element's number would take several times the memory of the tensor itself.
    """

    core: int
    writes: bool
    index: int
    line: str
    size: int
    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    lookup: tuple[np.ndarray, tuple[tuple[int, ...], ...]] | None

    @property
    def scatters(self) -> bool:
        """Whether its elements were looked up at run time."""
        return self.lookup is not None

    def key(self) -> tuple[object, ...]:
        """Equal for the touches of cores that all do the same."""
        looked_up = None if self.lookup is None else (self.lookup[0].tobytes(), self.lookup[1])
        return (self.line, self.size, self.start, self.shape, self.strides, looked_up)

    def mark(self, flags: np.ndarray, grain: int) -> None:
        """Sets one flag for every `grain` bytes that it touches."""
        if self.lookup is None:
            self._part(flags, grain)[...] = True
        else:
            elements = flags.reshape(-1, self.size // grain)
            elements[self._places(len(elements))] = True

    def mark_unless(self, flags: np.ndarray, known: np.ndarray, grain: int) -> None:
        """Sets the flags of what it touches, except where `known` is set."""
        if self.lookup is None:
            part = self._part(flags, grain)
            np.logical_or(part, ~self._part(known, grain), out=part)
        else:
            elements = flags.reshape(-1, self.size // grain)
            places = self._places(len(elements))
            elements[places] |= ~known.reshape(-1, self.size // grain)[places]

    def _places(self, total: int) -> np.ndarray:
        assert self.lookup is not None
        places, pairs = self.lookup
        for step, count in pairs:
            places = (places.reshape(-1, 1) + np.arange(count) * step).reshape(-1)
        return places[(places >= 0) & (places < total)]

    def _part(self, flags: np.ndarray, grain: int) -> np.ndarray:
        strides = (*(step // grain for step in self.strides), 1)
        return np.ndarray((*self.shape, self.size // grain), bool, flags, self.start // grain, strides)


def _in_short(lookup: Lookup) -> tuple[np.ndarray, tuple[tuple[int, ...], ...]]:
    """First elements whose index is in bounds, and the pattern that is laid from each."""
    found = lookup.found()
    within = found[(found >= 0) & (found < lookup.length)]
    pairs = lookup.pattern if lookup.vector is None else lookup.pattern[1:]
    return lookup.start + within * lookup.step, tuple(tuple(pair) for pair in pairs)


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
        lookup = _in_short(tensor.indirection) if isinstance(tensor.indirection, Lookup) else None
        touch = Touch(core, writes, index, line, memory.itemsize, start, memory.shape, memory.strides, lookup)
        with self._lock:
            kept = self._touches.setdefault((span, id(tensor.storage)), (tensor.storage, base.nbytes, []))
            kept[2].append(touch)

    def check(self) -> None:
        """Looks through all spans.

        Raises:
            NkiValidationError: naming the lines of both cores, the first pair in program order.
        """
        for (_, _), (storage, nbytes, touches) in sorted(self._touches.items(), key=lambda item: item[0][0]):
            found = _collision(nbytes, sorted(touches, key=lambda touch: (touch.core, touch.index)))
            if found is not None:
                raise NkiValidationError(_race(storage, *found))
            found = _met_by_scatter(nbytes, storage.shape[0], touches)
            if found is not None:
                warnings.warn(_race(storage, *found), RuntimeWarning, stacklevel=2)


def _common(touches: list[Touch]) -> set[tuple[object, ...]]:
    """The writes that all cores do."""
    cores = sorted({touch.core for touch in touches})
    return set.intersection(
        *({touch.key() for touch in touches if touch.core == core and touch.writes} for core in cores)
    )


def _collision(nbytes: int, touches: list[Touch]) -> tuple[Touch, Touch] | None:
    """The first write in program order whose bytes another core touches too, and that other access."""
    cores = sorted({touch.core for touch in touches})
    if len(cores) < 2 or not any(touch.writes for touch in touches):
        return None
    grain = min(touch.size for touch in touches)
    common = _common(touches)
    early = {core: _early([touch for touch in touches if touch.core == core], common, nbytes, grain) for core in cores}
    for core in cores:
        others = [touch for touch in touches if touch.core != core]
        own = [touch for touch in touches if touch.core == core and touch.writes and touch.key() not in common]
        reads = [touch for touch in others if not touch.writes]
        slices = [touch for touch in own if not touch.scatters]
        found = _meeting(slices, [touch for touch in others if not (touch.writes and touch.scatters)], nbytes, grain)
        if found is None and len(slices) < len(own):
            found = _meeting([touch for touch in own if touch.scatters], reads, nbytes, grain)
        if found is None and common:
            same = [touch for touch in touches if touch.core == core and touch.writes and touch.key() in common]
            too_early = np.logical_or.reduce([early[other] for other in cores if other != core])
            found = _meeting(same, reads, nbytes, grain, within=too_early)
        if found is not None:
            return found
    return None


def _met_by_scatter(nbytes: int, rows: int, touches: list[Touch]) -> tuple[Touch, Touch] | None:
    """A core's scatter and another core's write to some of the same bytes."""
    scatters = [touch for touch in touches if touch.writes and touch.scatters]
    if not scatters:
        return None
    common = _common(touches)
    grain = min(touch.size for touch in touches)
    within = None
    if len(scatters) == len(touches):  # the last row stands for padding, and nobody reads it
        within = np.ones(nbytes // grain, dtype=bool)
        within[-(nbytes // rows // grain) :] = False
    for core in sorted({touch.core for touch in scatters}):
        own = [touch for touch in scatters if touch.core == core and touch.key() not in common]
        others = [touch for touch in touches if touch.core != core and touch.writes and touch.key() not in common]
        found = _meeting(own, others, nbytes, grain, within)
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


def _meeting(
    own: list[Touch], others: list[Touch], nbytes: int, grain: int, within: np.ndarray | None = None
) -> tuple[Touch, Touch] | None:
    """The first of `own` and the first of `others` at a byte that both touch (and that lies within, if given)."""
    if not own or not others:
        return None
    both = _marked(own, nbytes, grain) & _marked(others, nbytes, grain)
    if within is not None:
        both &= within
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


def _race(storage: Storage, writer: Touch, met: Touch) -> str:
    what = "writes" if met.writes else "reads"
    return (
        f"core {met.core} {what} {storage.describe()} at {met.line} while core {writer.core} writes the same bytes at "
        f"{writer.line}. Limit: cores share memory only across a barrier. Try: put nisa.core_barrier between the write "
        f"and the {'other write' if met.writes else 'read'}, or let each core have its part."
    )
