"""How a launch of several ranks fails: one error for the whole world, which says which rank was the cause."""

from __future__ import annotations

from dataclasses import dataclass


class LaunchError(RuntimeError):
    """A launch of several ranks could not do its work. Every process that it started has been ended."""


@dataclass(frozen=True)
class RankFailure:
    """What one rank has told of its end.

    Args:
        rank: which one.
        kind: the exception's type, or how the process ended ("killed by SIGKILL", "exit status 3").
        message: the exception's text, or the last lines that the process wrote.
        traceback: the rank's traceback below the launcher's own frames; empty where there is none.
        silent: the process ended without an exception: killed, or by os._exit.
        plain: the exception's text says everything: it names value, limit and remedy, and no traceback is needed.
    """

    rank: int
    kind: str
    message: str
    traceback: str = ""
    silent: bool = False
    plain: bool = False


class RankFailed(LaunchError):
    """A rank raised or died; the others were ended because they would have waited for it.

    Args:
        failure: of the rank that was the cause.
        world_size: how many ranks there were.
        others: those that failed after it: as a consequence, or all alike for the same reason.
    """

    def __init__(self, failure: RankFailure, world_size: int, others: tuple[RankFailure, ...] = ()) -> None:
        self.failure = failure
        self.rank = failure.rank
        self.world_size = world_size
        what = f"{failure.kind}: {failure.message}" if failure.message else failure.kind
        alike = len(others) == world_size - 1 and all(
            (other.kind, other.message) == (failure.kind, failure.message) for other in others
        )
        lines = [f"rank {failure.rank} of {world_size} failed: {what}"]
        if failure.traceback and not failure.plain:
            lines.append(f"\nTraceback of rank {failure.rank}:\n{failure.traceback}")
        if world_size > 1 and alike:
            lines[0] = f"All {world_size} ranks failed alike: {what}"
        elif world_size > 1:
            ranks = tuple(other.rank for other in others)
            lines.append(f"The other ranks were ended{f'; {_ranks(ranks)} failed after it' if ranks else ''}.")
        self._parts = (failure, world_size, others)
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[object, ...]:
        """Pickled with what it was made from, not with its text, as a process pool needs it."""
        return type(self), self._parts


class RanksTimedOut(LaunchError):
    """The time limit passed before every rank had returned.

    Args:
        seconds: the limit.
        waiting: rank → where it was, innermost call first; "returned" for those that were done.
    """

    def __init__(self, seconds: float, waiting: dict[int, str]) -> None:
        self.seconds, self.waiting = seconds, waiting
        places: dict[str, list[int]] = {}
        for rank, place in waiting.items():
            places.setdefault(place, []).append(rank)
        told = "\n".join(f"  {_ranks(tuple(ranks))}: {place}" for place, ranks in places.items())
        super().__init__(
            f"{len(waiting)} ranks were given {seconds:g} s and did not all return in time. Where they were:\n{told}\n"
            "Remedy: a rank that waits in a collective waits for one that never calls it: look for the odd one out. If "
            "all of them compute, raise timeout_seconds."
        )

    def __reduce__(self) -> tuple[object, ...]:
        """Pickled with what it was made from, not with its text, as a process pool needs it."""
        return type(self), (self.seconds, self.waiting)


def _ranks(ranks: tuple[int, ...]) -> str:
    return f"rank {ranks[0]}" if len(ranks) == 1 else "ranks " + ", ".join(map(str, ranks))
