"""Where a run's paid hours go: useful work, checkpoints, what failures cost, and idling."""

from __future__ import annotations

from dataclasses import dataclass

from course_lib.arithmetic import checkpoint_interval, time_per_useful_time
from course_lib.finops.prices.errors import PriceError, check_not_negative, check_positive


@dataclass(frozen=True)
class RunTimes:
    """How long each of a run's instances did what, in seconds.

    Args:
        useful_seconds: training that counted.
        checkpoint_seconds: writing the checkpoints that were finished.
        lost_seconds: to failures: work done again, checkpoints cut off, restarts.
        idle_seconds: allocated and paid, but neither of these: waiting for data, a person, the next morning.

    Raises:
        PriceError: for a time below 0 or not finite.
    """

    useful_seconds: float
    checkpoint_seconds: float = 0.0
    lost_seconds: float = 0.0
    idle_seconds: float = 0.0

    def __post_init__(self) -> None:
        for name, seconds in vars(self).items():
            check_not_negative(name, seconds, "give seconds, 0 or more")

    @property
    def seconds(self) -> float:
        """All of it: what is paid for."""
        return self.useful_seconds + self.checkpoint_seconds + self.lost_seconds + self.idle_seconds

    @property
    def goodput(self) -> float:
        """Useful time over paid time; 0 when nothing was paid."""
        return self.useful_seconds / self.seconds if self.seconds else 0.0


def expected_times(
    useful_seconds: float,
    *,
    checkpoint_seconds: float = 0.0,
    interval_seconds: float | None = None,
    mtbf_seconds: float | None = None,
    restart_seconds: float = 0.0,
    idle_seconds: float = 0.0,
) -> RunTimes:
    """What a run will take on average, when failures come at random.

    Args:
        useful_seconds: work without any checkpoint or failure, W.
        checkpoint_seconds: time to write one, C.
        interval_seconds: work between two, T; Daly's interval when left out.
        mtbf_seconds: mean time between failures of the whole job, M; None counts none.
        restart_seconds: from a failure until work goes on, R.
        idle_seconds: on top.

    Returns:
        The times. Finished checkpoints take W C / T; the rest of E - W, with E from `time_per_useful_time`, is lost.

    Raises:
        PriceError: for a time out of range; for failures without an interval where C = 0 gives none.
        ArithmeticInputError: when failures come so fast that the run never ends.

    Source: Daly 2006, Future Generation Computer Systems 22(3), eq. 13 and 37.
    """
    check_positive("useful_seconds", useful_seconds)
    for name, value in (
        ("checkpoint_seconds", checkpoint_seconds),
        ("restart_seconds", restart_seconds),
        ("idle_seconds", idle_seconds),
    ):
        check_not_negative(name, value)
    interval = interval_seconds
    if interval is not None:
        check_positive("interval_seconds", interval)
    if mtbf_seconds is None:
        writing = useful_seconds * checkpoint_seconds / interval if interval else 0.0
        return RunTimes(useful_seconds, writing, 0.0, idle_seconds)
    check_positive("mtbf_seconds", mtbf_seconds)
    if interval is None:
        if not checkpoint_seconds:
            remedy = "measure how long writing one takes, or give interval_seconds"
            raise PriceError.of("checkpoint_seconds", checkpoint_seconds, "gives no best interval", remedy)
        interval = checkpoint_interval(checkpoint_seconds, mtbf_seconds, method="daly").interval_seconds
    stretch = time_per_useful_time(interval, checkpoint_seconds, mtbf_seconds, restart_seconds=restart_seconds)
    writing = useful_seconds * checkpoint_seconds / interval
    lost = max(useful_seconds * (stretch - 1) - writing, 0.0)  # rounding can leave -1e-12 where nothing is lost
    return RunTimes(useful_seconds, writing, lost, idle_seconds)


def measured_times(
    allocated_seconds: float, useful_seconds: float, *, checkpoint_seconds: float = 0.0, lost_seconds: float = 0.0
) -> RunTimes:
    """What a run took, from its log and its bill: what is allocated and not accounted for was idle.

    Args:
        allocated_seconds: from the instances' launch to their end.
        useful_seconds, checkpoint_seconds, lost_seconds: as for `RunTimes`.

    Raises:
        PriceError: when the parts are more than the whole.
    """
    check_not_negative("allocated_seconds", allocated_seconds)
    busy = RunTimes(useful_seconds, checkpoint_seconds, lost_seconds)
    idle = allocated_seconds - busy.seconds
    if idle < -1e-6:
        limit = f"is less than the {busy.seconds:g} s of work, checkpoints and losses"
        raise PriceError.of("allocated_seconds", allocated_seconds, limit, "count each second once")
    return RunTimes(useful_seconds, checkpoint_seconds, lost_seconds, max(idle, 0.0))
