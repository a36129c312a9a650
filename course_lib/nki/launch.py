"""What the cores of one launch share: memory that all of them see, barriers, and the check that nobody reads too early.

Each core runs the kernel on a thread of its own, as in the official simulator (LNC2).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from course_lib.nki.errors import NkiValidationError, broken_rule
from course_lib.nki.instruction import Access, Instruction
from course_lib.nki.tensor import NkiTensor

if TYPE_CHECKING:
    from course_lib.nki.session import Core

BARRIER_SECONDS = 60.0  # a core that never comes must not hang a learner's notebook


class Launch:
    """Shared state of `cores` cores that run the same kernel.

    Args:
        cores: how many.
    """

    def __init__(self, cores: int) -> None:
        self.cores = cores
        self.failure: BaseException | None = None
        self._lock = threading.Lock()
        self._shared: dict[int, NkiTensor] = {}
        self._barrier = threading.Barrier(cores)
        self._epoch = [0] * cores
        self._accesses: dict[int, list[tuple[int, int, Access, bool, str]]] = {}
        self._mailboxes: dict[Any, Any] = {}
        self._mail = threading.Condition(self._lock)

    def shared_tensor(self, number: int, make: Callable[[], NkiTensor]) -> NkiTensor:
        """The tensor behind the `number`-th shared allocation: the first core to come makes it, the others find it."""
        with self._lock:
            if number not in self._shared:
                self._shared[number] = make()
            return self._shared[number]

    def barrier(self, core: Core) -> None:
        """Waits until all cores have come; what they wrote before is visible afterwards.

        Raises:
            NkiValidationError: when another core ended or failed instead of coming.
        """
        try:
            self._barrier.wait(timeout=BARRIER_SECONDS)
        except threading.BrokenBarrierError:
            raise broken_rule(
                f"core {core.program_id} waits at a barrier that another core never reaches",
                limit="every core of the launch passes each barrier",
                hint="keep nisa.core_barrier and nisa.sendrecv out of branches that only one core takes",
            ) from None
        self._epoch[core.program_id] += 1

    def exchange(self, key: Any, core: Core, value: Any, sender: Any) -> Any:
        """Leaves `value` under (key, this core) and takes what `sender` leaves under (key, sender).

        Raises:
            NkiValidationError: when the sender never sends.
        """
        with self._mail:
            self._mailboxes.setdefault((key, core.program_id), []).append(value)
            self._mail.notify_all()
            box = (key, sender)
            if not self._mail.wait_for(lambda: self.failure or self._mailboxes.get(box), timeout=BARRIER_SECONDS):
                raise broken_rule(
                    f"core {core.program_id} waits for core {sender}, which never sends",
                    limit="sendrecv is called by both cores, with ranks that match",
                )
            if self.failure is not None:
                raise broken_rule(f"core {core.program_id} waits for core {sender}, which failed")
            return self._mailboxes[box].pop(0)

    def end(self, core: Core, failure: BaseException | None) -> None:
        """A core has ended; if it failed, those that wait for it are let go."""
        if failure is None:
            return
        with self._mail:
            if self.failure is None or not isinstance(failure, NkiValidationError):
                self.failure = self.failure or failure
            self._mail.notify_all()
        self._barrier.abort()

    def note(self, core: Core, instruction: Instruction) -> None:
        """Keeps accesses to shared memory for the check at the end."""
        epoch = self._epoch[core.program_id]
        for accesses, writes in ((instruction.reads, False), (instruction.writes, True)):
            for access in accesses:
                if access.storage.shared:
                    entry = (core.program_id, epoch, access, writes, instruction.line)
                    with self._lock:
                        self._accesses.setdefault(id(access.storage), []).append(entry)

    def check_races(self) -> None:
        """Finds reads and writes of the same shared bytes by two cores with no barrier between them.

        Raises:
            NkiValidationError: naming both lines; whatever order the threads happened to run in.
        """
        for entries in self._accesses.values():
            writes = [entry for entry in entries if entry[3]]
            for core, epoch, access, _, line in writes:
                for other, when, touched, also_writes, at in entries:
                    if other != core and when == epoch and access.overlaps(touched):
                        what = "writes" if also_writes else "reads"
                        raise broken_rule(
                            f"core {other} {what} {touched.storage.describe()} at {at} while core {core} writes the "
                            f"same bytes at {line}",
                            limit="cores share memory only across a barrier",
                            hint="put nisa.core_barrier between the write and the read, or let each core have its part",
                        )
