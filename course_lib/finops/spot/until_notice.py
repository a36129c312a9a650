"""Train until the work is done, or the instance is called back: then save once more, in time, and say so."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from course_lib.finops.spot.errors import SpotError, check_count
from course_lib.finops.spot.notices import Notice

REQUEUE_EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: not done, run me again


class HasNotice(Protocol):
    """What the loop asks before each step: a `NoticeWatcher`."""

    @property
    def notice(self) -> Notice | None:
        """The notice, once there is one."""
        ...


@dataclass(frozen=True)
class Finished:
    """All steps are done and saved.

    Args:
        steps: number of the first step that was not run, which is the number of steps from the very beginning.
    """

    steps: int
    requeue: bool = False


@dataclass(frozen=True)
class Interrupted:
    """The run had to stop; start it again from what was saved.

    Args:
        reason: "notice", or "deadline" where the caller's own limit came first.
        saved_steps: steps that are safe: a new run begins with this one.
        save_seconds: how long the last save took; 0 where the state was saved already.
        spare_seconds: time left when the save was complete; negative where it came too late to rely on.
        notice: the notice, if there was one.
    """

    reason: str
    saved_steps: int
    save_seconds: float
    spare_seconds: float
    notice: Notice | None
    requeue: bool = True

    @property
    def in_time(self) -> bool:
        """Whether the save was complete before the end."""
        return self.spare_seconds >= 0


Outcome: TypeAlias = Finished | Interrupted


def run_until_notice(
    train_step: Callable[[int], object],
    save: Callable[[int], object],
    watcher: HasNotice,
    *,
    last_step: int,
    first_step: int = 0,
    save_every: int | None = None,
    deadline: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Run training steps until they are done or an interruption is announced, and save.

    The notice is looked for before each step, so a step plus a save has to fit into two minutes less the watcher's
    polling period; `spare_seconds` says how much there was to spare. Requeue a run whose outcome says `requeue`: give
    the process the exit code `REQUEUE_EXIT_CODE` and let its queue start it again.

    Args:
        train_step: takes the number of the step, from 0.
        save: takes the number of steps that are done, and returns when the state is safe outside of this instance; it
            must write a new file and rename it, so that a save that is cut off spoils nothing.
        watcher: tells of the notice, on the same clock as `clock`.
        last_step: number of steps in all.
        first_step: steps that an earlier run has saved.
        save_every: steps between regular saves; None saves at the end only.
        deadline: stop in time for this moment on `clock`, as for a notice: the instance's own time limit, say.
        clock: monotonic seconds.

    Returns:
        `Finished` or `Interrupted`. Exceptions of `train_step` and `save` pass through.

    Raises:
        SpotError: for a step number out of range.
    """
    check_count("first_step", first_step, 0)
    check_count("last_step", last_step)
    if first_step > last_step:
        raise SpotError.of("first_step", first_step, f"is after last_step={last_step}", "nothing is left to run")
    if save_every is not None:
        check_count("save_every", save_every)
    step, saved, longest_save, longest_step = first_step, first_step, 0.0, 0.0

    def save_now() -> float:
        nonlocal saved, longest_save
        began = clock()
        if saved == step:
            return 0.0
        save(step)
        saved, longest_save = step, max(longest_save, clock() - began)
        return clock() - began

    while step < last_step:
        notice = watcher.notice
        limits = [] if deadline is None else [deadline]
        if notice is not None:
            limits.append(notice.deadline)
        if limits and (notice is not None or clock() + longest_step + longest_save >= min(limits)):
            took = save_now()
            spare = min(limits) - clock()
            return Interrupted("notice" if notice is not None else "deadline", saved, took, spare, notice)
        began = clock()
        train_step(step)
        step += 1
        longest_step = max(longest_step, clock() - began)
        if save_every is not None and step % save_every == 0:
            save_now()
    save_now()
    return Finished(step)
