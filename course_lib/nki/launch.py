"""What the cores of one launch share: memory that all of them see, barriers, and messages.

Each core runs the kernel on a thread of its own, as in the official simulator (LNC2). Whether two cores may touch the
same bytes is judged by `races`, which does not depend on the order in which the threads happen to run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from course_lib.nki.errors import broken_rule
from course_lib.nki.meeting import Meeting
from course_lib.nki.patience import Crew
from course_lib.nki.races import Races
from course_lib.nki.tensor import NkiTensor

if TYPE_CHECKING:
    from course_lib.nki.session import Core


class Launch(Crew):
    """Shared state of `cores` cores that run the same kernel.

    Args:
        cores: how many.
    """

    def __init__(self, cores: int) -> None:
        self.cores = cores
        self.meeting = Meeting("core")
        self.races = Races(cores)
        self._shared: dict[int, tuple[Any, NkiTensor, int]] = {}

    @property
    def failure(self) -> BaseException | None:
        """The first error of a core, once all have ended."""
        return self.meeting.failure

    def shared_tensor(self, core: Core, number: int, asked: Any, make: Callable[[], NkiTensor]) -> NkiTensor:
        """The tensor behind the `number`-th shared allocation: the first core to come makes it, the others find it.

        Args:
            core: who asks.
            number: how many shared allocations this core made, this one included.
            asked: shape and format.
            make: allocates it.

        Raises:
            NkiValidationError: when the cores ask for different tensors.
        """
        with self.meeting.lock:
            if number not in self._shared:
                self._shared[number] = (asked, make(), core.program_id)
            known, tensor, first = self._shared[number]
        if known != asked:
            raise broken_rule(
                f"core {core.program_id} allocates {asked[0]} {asked[1]} as shared allocation number {number}, core "
                f"{first} {known[0]} {known[1]} at {tensor.storage.line}",
                limit="all cores of a launch allocate the same nl.shared_hbm tensors in the same order",
                hint="allocate shared tensors outside of branches on nl.program_id, others with buffer=nl.private_hbm",
            )
        return tensor

    def barrier(self, core: Core) -> None:
        """Waits until all cores have come; what they wrote before is visible afterwards.

        Raises:
            NkiValidationError: when another core has ended, failed or waits for something else.
        """
        self.meeting.meet(core.program_id, "nisa.core_barrier", None, range(self.cores))
        self.races.passed_barrier(core.program_id)

    def exchange(self, key: Any, core: Core, value: Any, sender: Any) -> Any:
        """Gives `value` to the other cores that call with `key` too, and takes what `sender` gives.

        Raises:
            NkiValidationError: when another core has ended, failed or waits for something else.
        """
        given = self.meeting.meet(core.program_id, f"nisa.sendrecv {key}", value, range(self.cores))
        self.races.passed_barrier(core.program_id)
        return given[sender]

    def end(self, core: Core, failure: BaseException | None) -> None:
        """A core has ended; those that wait for it are let go."""
        self.meeting.leave(core.program_id, failure)

    def note(self, core: Core, index: int, tensors: tuple[NkiTensor, ...], writes: bool, line: str) -> None:
        """Keeps an instruction's accesses to shared memory for the check at the end."""
        for tensor in tensors:
            if tensor.storage.shared:
                self.races.note(core.program_id, index, tensor, writes, line)

    def check_races(self) -> None:
        """Finds reads and writes of the same shared bytes by two cores with no barrier between them."""
        self.races.check()
