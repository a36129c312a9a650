"""A simulated core while it runs a kernel: allocates memory, counts and records instructions, keeps live ranges.

`nki.language` and `nki.isa` are plain functions without a context argument, so the core that runs on this thread is kept
here; that is the one piece of state that the official interface forces.
"""

from __future__ import annotations

import math
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from course_lib.catalog import NeuronCore, neuron_core
from course_lib.nki.constants import MemoryRegion, engine, nc_version
from course_lib.nki.dtypes import DType, as_dtype, stored_as, uninitialised
from course_lib.nki.errors import broken_rule, kernel_frame, kernel_line
from course_lib.nki.instruction import Instruction
from course_lib.nki.options import Options
from course_lib.nki.storage import Storage
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.tracking import access_of, check_reads, check_writes, mark_written

if TYPE_CHECKING:
    from course_lib.nki.launch import Launch

PARTITIONS = 128
_thread = threading.local()


class NkiInstruction:
    """Handle of an issued instruction; `a.depends_on(b)` makes `a` wait for `b` in the cost model."""

    __slots__ = ("_core", "index")

    def __init__(self, core: Core, index: int) -> None:
        self._core, self.index = core, index

    def depends_on(self, *producers: NkiInstruction) -> NkiInstruction:
        """Adds scheduling dependencies; returns itself so that calls chain."""
        if self._core.options.record:
            self._core.instructions[self.index].depends_on.extend(producer.index for producer in producers)
        return self


class Core:
    """One core of a launch.

    Attributes:
        options: settings of the simulation.
        hardware: the core's facts, from the catalog.
        version: its generation.
        program_id, num_programs: its place in the launch.
        launch: what the cores of the launch share.
        count: instructions issued so far.
        instructions: the record; empty unless `options.record`.
        storages: every allocation, in order.
    """

    def __init__(self, options: Options, program_id: int = 0, launch: Launch | None = None, grid: bool = False) -> None:
        self.options = options
        self.version: nc_version = options.version
        self.hardware: NeuronCore = neuron_core(self.version.name)
        self.program_id = program_id
        self.launch = launch
        self.grid = grid
        self.count = 0
        self.instructions: list[Instruction] = []
        self.storages: list[Storage] = []
        self.placed: list[Storage] = []
        self.registers: dict[engine, np.ndarray] = {}
        self.random = np.random.default_rng(0)
        self._shared_count = 0

    @property
    def num_programs(self) -> int:
        return self.launch.cores if self.launch is not None else 1

    def allocate(
        self,
        shape: Any,
        dtype: Any,
        buffer: MemoryRegion = MemoryRegion.sbuf,
        name: str = "",
        address: tuple[int, int] | None = None,
    ) -> NkiTensor:
        """Fresh memory, filled with NaN or 4.

        Raises:
            NkiValidationError: for a shape, format, region or address that the core does not have.
        """
        sizes = _shape_of(shape)
        fmt = as_dtype(dtype)
        if not isinstance(buffer, MemoryRegion):
            raise broken_rule(
                f"buffer={buffer!r}",
                limit="nl.sbuf, nl.psum, nl.hbm, nl.private_hbm or nl.shared_hbm",
                hint="pass the object nl.sbuf, not a string",
            )
        if buffer is MemoryRegion.sbuf or buffer is MemoryRegion.psum:
            _check_on_chip(sizes, fmt, buffer, self)
        if buffer is MemoryRegion.shared_hbm and self.launch is not None:
            self._shared_count += 1
            return self.launch.shared_tensor(self._shared_count, lambda: self._new(sizes, fmt, buffer, name))
        tensor = self._new(sizes, fmt, buffer, name)
        if address is not None:
            self._place(tensor.storage, address)
        return tensor

    def _new(self, shape: tuple[int, ...], dtype: DType, buffer: MemoryRegion, name: str) -> NkiTensor:
        stored = stored_as(dtype, self.options.precise)
        array = np.empty(shape, dtype=stored)
        if self.options.execute:
            array.fill(uninitialised(stored))
        number = len(self.storages)
        storage = Storage(
            shape, dtype, buffer, array, name or f"{buffer.value}_{number}", kernel_line(sys._getframe(1))
        )
        if self.options.uninitialised == "error":
            storage.written = np.zeros(array.nbytes, dtype=bool)
        self.storages.append(storage)
        return NkiTensor(storage, array)

    def adopt(self, array: np.ndarray, dtype: DType, buffer: MemoryRegion, name: str) -> NkiTensor:
        """A kernel's argument: memory that already has values."""
        storage = Storage(array.shape, dtype, buffer, array, name, "")
        self.storages.append(storage)
        return NkiTensor(storage, array)

    def _place(self, storage: Storage, address: tuple[int, int]) -> None:
        partition, byte = int(address[0]), int(address[1])
        if not storage.on_chip:
            raise broken_rule(f"address={address} for {storage.name} in {storage.buffer.value}", limit="SBUF and PSUM")
        room = _partition_bytes(storage.buffer, self.hardware)
        last = byte + storage.partition_bytes
        if partition < 0 or partition + storage.partitions > PARTITIONS or byte < 0 or last > room:
            raise broken_rule(
                f"{storage.name} {storage.shape} {storage.dtype} at address {address} reaches partition "
                f"{partition + storage.partitions} and byte {last:,}",
                limit=f"partition {PARTITIONS} and byte {room:,} of {storage.buffer.value}",
                generation=self.version.name,
            )
        _check_start_partition(storage, partition)
        storage.address = (partition, byte)
        self.placed = [other for other in self.placed if other.alive() is not None]
        for other in self.placed:
            if _same_bytes(storage, other):
                storage.overlaps.append(other)
                other.overlaps.append(storage)
        self.placed.append(storage)

    def issue(
        self,
        op: str,
        on: engine,
        reads: tuple[NkiTensor, ...],
        writes: tuple[NkiTensor, ...],
        about: dict[str, Any] | None = None,
    ) -> NkiInstruction:
        """Counts one instruction; call it after the rules are checked and before values change.

        Args:
            op: name in `nki.isa`.
            on: the engine that runs it.
            reads: tiles that it reads, index tiles of indirect views included.
            writes: tiles that it writes.
            about: facts for the cost model, see `nki.cost`.

        Raises:
            NkiValidationError: when it reads what nobody wrote (if that is an error), or what was overwritten.
        """
        number = self.count
        self.count = number + 1
        if number >= self.options.max_instructions:
            raise broken_rule(
                f"{number:,} instructions",
                limit=f"{self.options.max_instructions:,} (Options.max_instructions)",
                hint="look for a loop that never ends, or raise the limit",
            )
        for tensor in reads:
            storage = tensor.storage
            storage.last = number
            if storage.clobbered or storage.written is not None:
                check_reads(tensor)
        for tensor in writes:
            storage = tensor.storage
            storage.last = number
            if storage.first < 0:
                storage.first = number
            if storage.overlaps:
                check_writes(storage)
            if storage.written is not None:
                mark_written(tensor)
        if self.options.record or self.launch is not None:
            self._record(number, op, on, reads, writes, about)
        return NkiInstruction(self, number)

    def _record(
        self,
        number: int,
        op: str,
        on: engine,
        reads: tuple[NkiTensor, ...],
        writes: tuple[NkiTensor, ...],
        about: dict[str, Any] | None,
    ) -> None:
        frame = kernel_frame(sys._getframe(2))
        line = kernel_line(frame) if frame is not None else ""
        made = Instruction(
            number,
            op,
            on,
            tuple(access_of(tensor) for tensor in reads),
            tuple(access_of(tensor) for tensor in writes),
            line,
            about or {},
        )
        if self.options.record:
            self.instructions.append(made)
        if self.launch is not None:
            self.launch.note(self, made)


def current_core() -> Core:
    """The core that runs a kernel on this thread.

    Raises:
        NkiValidationError: outside a kernel.
    """
    core = getattr(_thread, "core", None)
    if core is None:
        raise broken_rule(
            "an NKI function was called outside a kernel",
            limit="nki.isa and nki.language work while a kernel runs",
            hint="put the call into a function decorated with @nki.jit and run nki.simulate(kernel)(...)",
        )
    return core  # type: ignore[no-any-return]


class running:  # noqa: N801 - used as a context manager
    """Makes a core the one that runs on this thread, for the length of a `with` block."""

    def __init__(self, core: Core) -> None:
        self._core, self._before = core, getattr(_thread, "core", None)

    def __enter__(self) -> Core:
        _thread.core = self._core
        return self._core

    def __exit__(self, *about: object) -> None:
        _thread.core = self._before


def _shape_of(shape: Any) -> tuple[int, ...]:
    try:
        sizes = tuple(int(size) for size in shape)
    except TypeError:
        raise broken_rule(f"shape={shape!r}", limit="a tuple of whole numbers, e.g. (128, 512)") from None
    if not sizes or min(sizes) < 1:
        raise broken_rule(f"shape={sizes}", limit="one dimension or more, each 1 or more")
    return sizes


def _partition_bytes(buffer: MemoryRegion, hardware: NeuronCore) -> int:
    return hardware.sbuf_partition_bytes if buffer is MemoryRegion.sbuf else hardware.psum_partition_bytes


def _check_on_chip(sizes: tuple[int, ...], dtype: DType, buffer: MemoryRegion, core: Core) -> None:
    if len(sizes) < 2:
        raise broken_rule(
            f"shape={sizes} in {buffer.value}",
            limit="on-chip tensors have a partition dimension and at least one free dimension",
            hint=f"use ({sizes[0]}, 1)",
        )
    if sizes[0] > PARTITIONS:
        raise broken_rule(
            f"shape={sizes} in {buffer.value} has a partition dimension of {sizes[0]}",
            limit=f"{PARTITIONS} partitions",
            hint="split dimension 0 into tiles of nl.tile_size.pmax, or put it in a free dimension",
        )
    used = math.prod(sizes[1:]) * dtype.itemsize
    room = _partition_bytes(buffer, core.hardware)
    if used > room:
        raise broken_rule(
            f"shape={sizes} {dtype} in {buffer.value} takes {used:,} bytes of each partition",
            limit=f"{room:,} bytes for each partition",
            generation=core.version.name,
            hint="use smaller tiles, or a format with fewer bytes",
        )


def _check_start_partition(storage: Storage, partition: int) -> None:
    count = storage.partitions
    allowed = (0,) if count > 64 else (0, 64) if count > 32 else (0, 32, 64, 96)
    if partition not in allowed:
        raise broken_rule(
            f"{storage.name} with {count} partitions starts at partition {partition}",
            limit=f"tiles of {count} partitions start at {', '.join(map(str, allowed))}",
            hint="more than 64 partitions start at 0, more than 32 at 0 or 64, others at a multiple of 32",
        )


def _same_bytes(one: Storage, other: Storage) -> bool:
    if one.buffer is not other.buffer or one.address is None or other.address is None:
        return False
    (p, b), (q, c) = one.address, other.address
    return (
        p < q + other.partitions
        and q < p + one.partitions
        and b < c + other.partition_bytes
        and c < b + one.partition_bytes
    )
