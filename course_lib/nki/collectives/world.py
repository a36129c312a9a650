"""Starts a kernel on several ranks, each on a thread of its own, and lets them exchange data."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from course_lib.nki.errors import broken_rule
from course_lib.nki.kernel import Kernel, default_options, run_kernel
from course_lib.nki.meeting import Gone, Meeting
from course_lib.nki.options import Options
from course_lib.nki.patience import Crew
from course_lib.nki.registers import VirtualRegister
from course_lib.nki.session import Core, current_core


class World(Crew):
    """What all ranks of a launch share.

    Args:
        ranks: how many.
        cores: physical cores of each rank (LNC); core i of a rank meets core i of the others.
    """

    def __init__(self, ranks: int, cores: int) -> None:
        self.ranks, self.cores = ranks, cores
        self.meeting = Meeting("rank")

    def exchange(self, core: Core, rank: int, what: str, value: Any, group: Iterable[int]) -> dict[int, Any]:
        """Gives `value` to all ranks of a group and takes theirs, by rank.

        Raises:
            NkiValidationError: when a rank of the group does not come.
        """
        if self.cores == 1:
            return self.meeting.meet(rank, what, value, group)
        twin = core.program_id
        given = self.meeting.meet(rank * self.cores + twin, what, value, [other * self.cores + twin for other in group])
        return {member // self.cores: brought for member, brought in given.items()}

    def leave(self, rank: int, failure: BaseException | None) -> None:
        """A rank has ended."""
        for core in range(self.cores):
            self.meeting.leave(rank * self.cores + core, failure)


_ALONE = World(1, 1)


def here() -> tuple[Core, World, int]:
    """The core that runs on this thread, its world, and its rank; a kernel by itself is rank 0 of 1."""
    core = current_core()
    world, rank = core.world if core.world is not None else (_ALONE, 0)
    return core, world, rank


def rank_id(name: str | None = None) -> VirtualRegister:
    """The rank that runs this kernel.

    Args:
        name: a name for the instruction.

    Returns:
        A register; it behaves like the integer in it.
    """
    return VirtualRegister(here()[2])


def launch(
    kernel: Callable[..., Any] | Kernel, ranks: int, options: Options | None = None, **changes: Any
) -> Callable[[Sequence[Any]], list[Any]]:
    """A function that runs a kernel on several ranks at once.

    Args:
        kernel: a kernel or a plain function; `kernel[2]` gives each rank two physical cores.
        ranks: how many ranks.
        options: settings; by default those of the environment.
        changes: single settings by name, e.g. target="trn2".

    Returns:
        A callable that takes one tuple of arguments for each rank and returns one result for each rank.

    Raises:
        NkiValidationError: when the arguments are not one tuple for each rank, or what a rank's kernel raises.
    """
    wrapped = kernel if isinstance(kernel, Kernel) else Kernel(kernel)
    if ranks < 1:
        raise broken_rule(f"launch on {ranks} ranks", limit="1 or more")

    def run(arguments: Sequence[Any]) -> list[Any]:
        if len(arguments) != ranks or not all(isinstance(given, tuple | list) for given in arguments):
            raise broken_rule(
                f"launch on {ranks} ranks with {len(arguments)} entries of arguments",
                limit="one tuple of arguments for each rank",
                hint="launch(kernel, 2)([(a0, b0), (a1, b1)])",
            )
        return _run(wrapped, arguments, replace(options or default_options(), **changes))

    return run


def _run(kernel: Kernel, arguments: Sequence[Any], options: Options) -> list[Any]:
    world = World(len(arguments), max(1, kernel.lnc))
    results: list[Any] = [None] * world.ranks

    def work(rank: int) -> None:
        failure: BaseException | None = None
        try:
            results[rank] = run_kernel(kernel, tuple(arguments[rank]), {}, options, world=(world, rank))[0]
        except BaseException as error:  # noqa: BLE001 - raised again by the caller's thread below
            failure = error
        world.leave(rank, failure)

    threads = [threading.Thread(target=work, args=(rank,), daemon=True) for rank in range(world.ranks)]
    world.run_all(threads)
    failure = world.meeting.failure
    if failure is not None:
        assert not isinstance(failure, Gone), "a rank that lost its partner is never the first to fail"
        raise failure
    return results
