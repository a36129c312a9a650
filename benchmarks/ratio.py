"""One measured ratio, and how to take it: the two sides in turn, so that a drifting machine slows both alike."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """Seconds of ours and of the peer (medians), and the median of their ratio pair by pair."""

    what: str
    peer: str
    our_seconds: float
    peer_seconds: float
    ratio: float


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def compare(what: str, ours: Callable[[], object], peer: str, theirs: Callable[[], object], runs: int = 5) -> Ratio:
    """Time ours and theirs in turn, `runs` times after one warm-up of each.

    Args:
        what: what is measured, for the table.
        ours: our side, called without arguments.
        peer: the peer's name, for the table.
        theirs: the peer's side.
        runs: how many pairs count.
    """
    ours()
    theirs()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(runs)]
    return Ratio(
        what,
        peer,
        statistics.median(mine for mine, _ in pairs),
        statistics.median(other for _, other in pairs),
        statistics.median(mine / other for mine, other in pairs),
    )


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute with one thread, so that a measurement needs one free core, not all of them."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def process(command: Sequence[str]) -> Callable[[], object]:
    """A call that runs a command to its end and fails when it does."""
    return lambda: subprocess.run(command, check=True, capture_output=True)
