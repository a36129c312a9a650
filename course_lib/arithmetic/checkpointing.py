"""How often to write a checkpoint, what failures cost, and when a spot price is worth its interruptions."""

import math
from dataclasses import dataclass
from typing import Literal

from course_lib.arithmetic.errors import (
    ArithmeticInputError,
    check_choice,
    check_not_negative,
    check_positive,
)

IntervalMethod = Literal["young", "daly"]
OverheadMethod = Literal["exponential", "first_order"]


@dataclass(frozen=True)
class CheckpointInterval:
    """When to checkpoint.

    Args:
        interval_seconds: useful work between two checkpoints, the writing itself not counted.
        checkpoint_seconds: time to write one.
        mtbf_seconds: mean time between failures (or spot interruptions) of the whole job.
        method: "young" or "daly".
    """

    interval_seconds: float
    checkpoint_seconds: float
    mtbf_seconds: float
    method: IntervalMethod

    def __float__(self) -> float:
        """The interval in seconds."""
        return float(self.interval_seconds)


def checkpoint_interval(
    checkpoint_seconds: float, mtbf_seconds: float, method: IntervalMethod = "young"
) -> CheckpointInterval:
    """The interval that loses the least time to checkpoints and repeated work together.

    Args:
        checkpoint_seconds: time to write a checkpoint, C.
        mtbf_seconds: mean time between failures of the job, M.
        method: "young" sqrt(2CM); "daly" sqrt(2CM) (1 + sqrt(C/2M)/3 + (C/2M)/9) - C for C < 2M, else M.

    Returns:
        The interval; `float()` of it is in seconds.

    Raises:
        ArithmeticInputError: for times that are not above 0, or an unknown method.

    Source: Young 1974, CACM 17(9); Daly 2006, Future Generation Computer Systems 22(3), eq. 37.
    """
    check_positive("checkpoint_seconds", checkpoint_seconds)
    check_positive("mtbf_seconds", mtbf_seconds)
    check_choice("method", method, ("young", "daly"))
    interval = math.sqrt(2 * checkpoint_seconds * mtbf_seconds)
    if method == "daly":
        ratio = checkpoint_seconds / (2 * mtbf_seconds)
        higher_order = interval * (1 + math.sqrt(ratio) / 3 + ratio / 9) - checkpoint_seconds
        interval = higher_order if ratio < 1 else mtbf_seconds
    return CheckpointInterval(interval, checkpoint_seconds, mtbf_seconds, method)


def time_per_useful_time(
    interval_seconds: float,
    checkpoint_seconds: float,
    mtbf_seconds: float,
    *,
    restart_seconds: float = 0.0,
    method: OverheadMethod = "exponential",
) -> float:
    """Expected wall time over useful time of a job that checkpoints, fails and restarts.

    Args:
        interval_seconds: useful work between checkpoints, T.
        checkpoint_seconds: time to write one, C.
        mtbf_seconds: mean time between failures, M.
        restart_seconds: from a failure until work goes on, R.
        method: "exponential" M e^(R/M) (e^((T+C)/M) - 1) / T, exact when failures come at random at any time,
            restarts included; "first_order" 1 + C/T + (T/2 + R)/M, close while T + C and R are far below M.

    Returns:
        A ratio of at least 1; its inverse is the goodput.

    Raises:
        ArithmeticInputError: for a time out of range, or an unknown method.

    Source: Daly 2006, Future Generation Computer Systems 22(3), eq. 13 (exponential) and Young 1974 (first order).
    """
    check_positive("interval_seconds", interval_seconds)
    check_not_negative("checkpoint_seconds", checkpoint_seconds)
    check_positive("mtbf_seconds", mtbf_seconds)
    check_not_negative("restart_seconds", restart_seconds)
    check_choice("method", method, ("exponential", "first_order"))
    t, c, m, r = interval_seconds, checkpoint_seconds, mtbf_seconds, restart_seconds
    if method == "first_order":
        return 1 + c / t + (t / 2 + r) / m
    if (t + c + r) / m > 700:  # e^700 is the last power of e that a float holds
        raise ArithmeticInputError.of(
            "mtbf_seconds", m, "is so short that the job never ends", "checkpoint more often, or find a calmer market"
        )
    return m * math.exp(r / m) * math.expm1((t + c) / m) / t


def spot_break_even(time_per_useful: float) -> float:
    """The highest spot price, as a share of on-demand, at which spot still costs less.

    Args:
        time_per_useful: from `time_per_useful_time`, for the spot market's interruptions.

    Returns:
        A fraction; 0.84 means that spot pays below 84 % of the on-demand price. Waiting for capacity and a missed
        deadline are not in it.

    Raises:
        ArithmeticInputError: for a ratio below 1.

    Source: cost = price * wall time, for both ways of purchase.
    """
    check_positive("time_per_useful", time_per_useful)
    if time_per_useful < 1:
        raise ArithmeticInputError.of(
            "time_per_useful", time_per_useful, "is less than 1", "give wall time over useful time, e.g. 1.19"
        )
    return 1 / time_per_useful
