"""A simulated core while it runs a kernel: allocates memory, counts and records instructions, keeps live ranges.

Every instruction of `nki.isa` goes through `Core.issue`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from course_lib.catalog import NeuronCore, neuron_core
from course_lib.nki.active import current_core as current_core
from course_lib.nki.active import is_running as is_running
from course_lib.nki.active import running as running
from course_lib.nki.byteflags import ByteFlags
from course_lib.nki.constants import MemoryRegion, engine, nc_version
from course_lib.nki.dtypes import DType, stored_as, uninitialised
from course_lib.nki.errors import Lines, broken_rule
from course_lib.nki.handle import NkiInstruction as NkiInstruction
from course_lib.nki.instruction import Instruction, outline
from course_lib.nki.options import Options
from course_lib.nki.owed import FILL, OVERWRITES
from course_lib.nki.placement import PARTITIONS as PARTITIONS
from course_lib.nki.placement import check_address, check_start, form_of, same_bytes
from course_lib.nki.psum import note_other_write
from course_lib.nki.storage import Storage
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.tracking import access_of, check_reads, check_writes, mark_written

if TYPE_CHECKING:
    from course_lib.nki.launch import Launch

_MATMULS = ("nc_matmul", "nc_matmul_mx")  # these keep account of PSUM themselves


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
        world: with `collectives.launch`, what all ranks share and this core's rank.
        storages: every allocation, in order.
        registers, generators: each engine's accumulation registers and states of its random numbers.
        peaks: what `capacity.peak_use` found out.
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
        self.generators: dict[engine, np.ndarray] = {}
        self.random = np.random.default_rng(0)
        self.world: tuple[Any, int] | None = None
        self.peaks: dict[MemoryRegion, Any] = {}
        self._lines = Lines()
        self._forms: dict[Any, tuple[tuple[int, ...], DType]] = {}
        self._shared_count = 0
        self._adopted: list[tuple[Storage, np.ndarray]] = []

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
        plain = type(shape) is tuple and type(dtype) is DType
        known = self._forms.get((shape, dtype, buffer)) if plain else None
        if known is None:
            known = form_of(shape, dtype, buffer, self.hardware)
            if plain and known[0] == shape and all(type(size) is int for size in shape):  # a register changes
                self._forms[shape, dtype, buffer] = known
        sizes, fmt = known
        if buffer is MemoryRegion.shared_hbm and self.launch is not None:
            self._shared_count += 1
            return self.launch.shared_tensor(
                self,
                self._shared_count,
                (sizes, fmt),
                lambda: self._new(sizes, fmt, buffer, name or f"{buffer.value}_{self._shared_count}"),
            )
        tensor = self._new(sizes, fmt, buffer, name)
        if address is not None:
            self._place(tensor.storage, address)
        return tensor

    def _new(self, shape: tuple[int, ...], dtype: DType, buffer: MemoryRegion, name: str) -> NkiTensor:
        stored = stored_as(dtype, self.options.precise)
        array = np.empty(shape, dtype=stored)
        number = len(self.storages)
        if number >= self.options.max_instructions:
            raise broken_rule(
                f"{number:,} allocations",
                limit=f"{self.options.max_instructions:,} (Options.max_instructions)",
                hint="look for a loop that never ends, or raise the limit",
            )
        storage = Storage(shape, dtype, buffer, array, name, self._lines.of(sys._getframe(2)), number)
        storage.shared = self.launch is not None and buffer is MemoryRegion.shared_hbm
        if self.options.execute and not storage.shared:
            storage.owed = FILL
        elif self.options.execute:
            array.fill(uninitialised(stored))
        if self.options.uninitialised == "error":
            storage.written = ByteFlags(shape[0], storage.nbytes)
        self.storages.append(storage)
        return NkiTensor(storage, array)

    def adopt(self, array: np.ndarray, dtype: DType, buffer: MemoryRegion, name: str) -> NkiTensor:
        """A kernel's argument: memory that already has values."""
        storage = Storage(array.shape, dtype, buffer, array, name, "")
        storage.shared = self.launch is not None and buffer is MemoryRegion.shared_hbm
        for other in self._adopted:
            if np.may_share_memory(other[1], array):
                storage.aliased = other[0].aliased = True
        self._adopted.append((storage, array))
        self.storages.append(storage)
        return NkiTensor(storage, array)

    def _place(self, storage: Storage, address: tuple[int, int]) -> None:
        check_address(storage, address, self.hardware)
        self.placed = [other for other in self.placed if other.alive() is not None]
        for other in self.placed:
            if same_bytes(storage, other):
                storage.overlaps = (*storage.overlaps, other)
                other.overlaps = (*other.overlaps, storage)
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
            about: facts for the cost model, see `nki.cost`; the record keeps this dictionary.

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
            if storage.clobbered is not None or storage.written is not None:
                check_reads(tensor)
            if tensor.shape[0] != storage.shape[0]:
                check_start(op, on, tensor)
        for tensor in writes:
            storage = tensor.storage
            storage.last = number
            if storage.first < 0:
                storage.first = number
            if storage.overlaps or storage.clobbered is not None:
                check_writes(tensor)
            if storage.written is not None:
                mark_written(tensor)
            if tensor.shape[0] != storage.shape[0]:
                check_start(op, on, tensor)
            if storage.lent:
                storage.settle_borrowers()
            changes = storage.owed is not None or storage.buffer is MemoryRegion.psum
            if changes and storage.on_chip and op not in _MATMULS:
                self._overwrites(op, tensor, reads)
        if self.options.record or self.launch is not None:
            self._record(number, op, on, reads, writes, about)
        return NkiInstruction(self, number)

    def _overwrites(self, op: str, tensor: NkiTensor, reads: tuple[NkiTensor, ...]) -> None:
        """Forgets what a tile is owed when an instruction gives all of it new values anyway."""
        storage = tensor.storage
        direct = tensor.indirection is None
        for read in reads:
            if read.storage is storage:
                return
            direct = direct and read.indirection is None
        if storage.buffer is MemoryRegion.psum:
            note_other_write(tensor)
        if storage.owed is not None and direct and tensor.memory is tensor.base and op in OVERWRITES:
            storage.owed = None

    def _record(
        self,
        number: int,
        op: str,
        on: engine,
        reads: tuple[NkiTensor, ...],
        writes: tuple[NkiTensor, ...],
        about: dict[str, Any] | None,
    ) -> None:
        line = self._lines.of(sys._getframe(2))
        if self.launch is not None:
            if any(tensor.storage.shared for tensor in (*reads, *writes)):
                self.launch.note(self, number, reads, False, line)
                self.launch.note(self, number, writes, True, line)
            if not self.options.record:
                return
        if about is None:
            about = {}
        elif "operands" in about:  # a record of a whole run must not keep every tile's memory
            about["operands"] = tuple([tensor.outline or outline(tensor) for tensor in about["operands"]])
        read = tuple([tensor.box or access_of(tensor) for tensor in reads])
        written = tuple([tensor.box or access_of(tensor) for tensor in writes])
        self.instructions.append(Instruction(number, op, on, read, written, line, about))
