"""What AWS charges for an instance that ran for so many seconds, and what it lets you off when it takes one back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from course_lib.finops.spot.errors import check_not_negative
from course_lib.finops.spot.traces import FloatArray

ROUNDING = 1e-6  # of a step: a sum of seconds that should be whole is not rounded up for its last bit


@dataclass(frozen=True)
class Billing:
    """Rules that turn seconds of running into seconds on the bill.

    Args:
        minimum_seconds: the shortest time that is charged.
        step_seconds: time is rounded up to a multiple of this; 0 does not round.
        free_if_interrupted_within_seconds: an instance that EC2 itself takes back before this age costs nothing.
            One that you terminate yourself is charged at any age, so of a job of many instances only those that EC2
            takes are free.

    Source: Linux and Windows, not SUSE: "Billing for interrupted Spot Instances" (no charge when Amazon EC2 interrupts
    in the first hour, else the seconds used) and "What is Amazon EC2" (by the second, with a minimum of 60 seconds),
    Amazon EC2 User Guide. Volumes, addresses and data transfer are charged in any case and are not in here.
    """

    minimum_seconds: float = 60.0
    step_seconds: float = 1.0
    free_if_interrupted_within_seconds: float = 3600.0

    def __post_init__(self) -> None:
        check_not_negative("minimum_seconds", self.minimum_seconds)
        check_not_negative("step_seconds", self.step_seconds)
        check_not_negative("free_if_interrupted_within_seconds", self.free_if_interrupted_within_seconds)

    def billed_seconds(self, ran: ArrayLike, interrupted: ArrayLike = False) -> FloatArray:
        """Seconds on the bill.

        Args:
            ran: (...) seconds that each instance ran.
            interrupted: (...) whether EC2 ended it.

        Returns:
            (...) seconds.
        """
        seconds = np.asarray(ran, dtype=np.float64)
        if self.step_seconds:
            seconds = np.ceil(seconds / self.step_seconds - ROUNDING) * self.step_seconds
        seconds = np.maximum(seconds, self.minimum_seconds)
        free = np.asarray(interrupted) & (np.asarray(ran) < self.free_if_interrupted_within_seconds)
        return np.where(free, 0.0, seconds)


AWS_LINUX = Billing()
EXACT = Billing(minimum_seconds=0, step_seconds=0, free_if_interrupted_within_seconds=0)
