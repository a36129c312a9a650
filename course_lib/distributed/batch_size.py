"""Find the microbatch by trying: the largest that fits into memory, or the one that is fastest.

Doubling finds a size that fails within a few tries, bisection the border. Every try is real; what runs out of memory is
caught, and nothing else is.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.distributed as dist

from course_lib.distributed.errors import TrainingSetupError, check_count, check_positive
from course_lib.distributed.memory_limit import is_out_of_memory

Group = Any
Reason = Literal["memory", "maximum", "throughput"]


@dataclass(frozen=True)
class Try:
    """One size that was tried.

    Args:
        microbatch: sequences.
        fits: on every rank.
        seconds: median of the timed runs, of the slowest rank; None where it did not fit or was not timed.
        error: of the first rank that ran out of memory, shortened.
    """

    microbatch: int
    fits: bool
    seconds: float | None = None
    error: str | None = None

    @property
    def sequences_per_second(self) -> float | None:
        """Of one rank."""
        return None if self.seconds is None else self.microbatch / self.seconds


@dataclass(frozen=True)
class MicrobatchSearch:
    """What a search found and how.

    Args:
        microbatch: the answer.
        reason: why it went no further: "memory", the "maximum" that was allowed, or "throughput" that stopped growing.
        tries: in their order.
    """

    microbatch: int
    reason: Reason
    tries: tuple[Try, ...]


def largest_microbatch(
    run: Callable[[int], object],
    *,
    maximum: int,
    start: int = 1,
    group: Group = None,
    out_of_memory: Callable[[BaseException], bool] = is_out_of_memory,
) -> MicrobatchSearch:
    """The largest microbatch up to `maximum` that does not run out of memory on any rank.

    Args:
        run: one training step, forward, backward and optimizer, at a microbatch; a step without the optimizer finds a
            size that fails when its state is made. It must keep nothing, and must not communicate: a rank that runs out
            in the middle would leave the others waiting. So: the module inside of DDP, not DDP.
        maximum: sequences that are ever wanted, such as a rank's share of the global batch.
        start: first size to try; when it fails, smaller ones are tried.
        group: ranks that agree, all of which must call this; the default group where there is one.
        out_of_memory: which errors of `run` mean too large; all others go through.

    Returns:
        The size, the same on all ranks, which fitted twice where memory ended the search; and every try.

    Raises:
        TrainingSetupError: when not even 1 fits, or for a number out of range.
        RuntimeError: on the other ranks, when `run` fails on one for another reason than memory.
    """
    check_count("maximum", maximum)
    check_count("start", start)
    tries: list[Try] = []

    def fits(size: int) -> bool:
        tries.append(_try(run, size, 0, group, out_of_memory, time.perf_counter))
        return tries[-1].fits

    good, bad = 0, maximum + 1  # good fits or is 0, bad does not fit or is not wanted
    size = min(start, maximum)
    while True:
        while good + 1 < bad:
            if fits(size):
                good = size
            else:
                bad = size
            size = min(2 * good, maximum) if good and bad == maximum + 1 else (good + bad) // 2
        if not good or bad > maximum or fits(good):
            break
        # the allocator's leftovers decided, and did so once for and once against it: too close to the border
        good, bad = max((t.microbatch for t in tries if t.fits and t.microbatch < good), default=0), good
        size = (good + bad) // 2
    if not good:
        raise TrainingSetupError.of(
            "microbatch", 1, f"does not fit: {tries[-1].error}", "shard the model, recompute activations, or shorten it"
        )
    return MicrobatchSearch(good, "maximum" if good == maximum else "memory", tuple(tries))


def fastest_microbatch(
    run: Callable[[int], object],
    *,
    maximum: int,
    start: int = 1,
    growth: float = 0.05,
    runs: int = 3,
    group: Group = None,
    out_of_memory: Callable[[BaseException], bool] = is_out_of_memory,
    synchronize: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> MicrobatchSearch:
    """The smallest microbatch past which doubling brings less than `growth` more sequences per second.

    A larger one costs memory that recomputation or longer sequences could use, and rounds the global batch up.

    Args:
        run, maximum, start, group, out_of_memory: as in `largest_microbatch`.
        growth: smallest gain of a doubling that counts, as a share.
        runs: timed runs of each size after one that warms up; the median counts.
        synchronize: waits for the device, such as `hardware().synchronize`.
        clock: seconds.

    Returns:
        The size, the same on all ranks, and every try with its seconds.

    Raises:
        As `largest_microbatch`.
    """
    check_count("maximum", maximum)
    check_count("start", start)
    check_count("runs", runs)
    check_positive("growth", growth, "give a share such as 0.05")

    def waited(size: int) -> None:
        run(size)
        synchronize()

    tries: list[Try] = []
    best: Try | None = None
    size = min(start, maximum)
    while True:
        tries.append(_try(waited, size, runs, group, out_of_memory, clock))
        tried = tries[-1]
        if not tried.fits:
            if best is not None:
                return MicrobatchSearch(best.microbatch, "memory", tuple(tries))
            if size == 1:
                raise TrainingSetupError.of(
                    "microbatch", 1, f"does not fit: {tried.error}", "shard the model or recompute activations"
                )
            maximum, size = size - 1, size // 2  # the first guess was too large: look below it
            continue
        if best is not None and _rate(tried) < _rate(best) * (1 + growth):
            return MicrobatchSearch(best.microbatch, "throughput", tuple(tries))
        best = tried
        if size == maximum:
            return MicrobatchSearch(size, "maximum", tuple(tries))
        size = min(2 * size, maximum)


def _rate(tried: Try) -> float:
    assert tried.seconds is not None
    return tried.microbatch / max(tried.seconds, 1e-12)


def _try(
    run: Callable[[int], object],
    size: int,
    timed: int,
    group: Group,
    out_of_memory: Callable[[BaseException], bool],
    clock: Callable[[], float],
) -> Try:
    """Run one size, on all ranks, and agree about it."""
    seconds: float | None = None
    full: str | None = None
    failure: BaseException | None = None
    try:
        run(size)
        times = []
        for _ in range(timed):
            started = clock()
            run(size)
            times.append(clock() - started)
        seconds = statistics.median(times) if times else None
    except Exception as error:  # noqa: BLE001 - sorted just below, and raised again unless it is about memory
        if out_of_memory(error):
            full = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        else:
            failure = error
    _free()  # after the except block: its error holds the frames, and they hold the tensors that did not fit
    outcomes = _everyones((seconds, full, None if failure is None else repr(failure)), group)
    if failure is not None:
        raise failure
    for rank, (_, _, failed) in enumerate(outcomes):
        if failed is not None:
            raise RuntimeError(f"rank {rank} failed at microbatch={size}, not for lack of memory: {failed}")
    errors = [error for _, error, _ in outcomes if error is not None]
    slowest = [time_ for time_, _, _ in outcomes if time_ is not None]
    return Try(size, not errors, max(slowest) if slowest and not errors else None, errors[0] if errors else None)


def _everyones(outcome: tuple[Any, ...], group: Group) -> list[tuple[Any, ...]]:
    if not dist.is_initialized():
        return [outcome]
    outcomes: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(outcomes, outcome, group=group)
    return outcomes


def _free() -> None:
    gc.collect()  # tensors in reference cycles, such as those of an error's frames
    if torch.accelerator.is_available():
        torch.accelerator.empty_cache()
