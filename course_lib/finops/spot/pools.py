"""Which pools to take the instances from: the cheapest hour is not always the cheapest run.

A pool is one instance type in one zone. A job that trains synchronously stops when any of its instances is taken, so
every further pool adds its own interruptions; instances of one pool tend to go together, which hurts such a job less
than as many interruptions one by one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from course_lib.finops.spot.errors import SpotError, check_count, check_not_negative, check_positive


@dataclass(frozen=True)
class Pool:
    """One instance type in one zone.

    Args:
        name: such as "us-east-1a".
        usd_per_hour: spot price of one instance.
        mean_seconds_between_interruptions: of one instance.
        common_share: share, 0 to 1, of an instance's interruptions in which the pool takes all of the job's instances
            at once; 0 is the usual assumption of independent instances.
        mean_wait_seconds: mean time until the pool has room again.
        at_most: instances that it can hold for you (its room, or your quota); None is no limit.

    Raises:
        SpotError: for a number out of range.
    """

    name: str
    usd_per_hour: float
    mean_seconds_between_interruptions: float
    common_share: float = 0.0
    mean_wait_seconds: float = 0.0
    at_most: int | None = None

    def __post_init__(self) -> None:
        check_positive("usd_per_hour", self.usd_per_hour)
        check_positive("mean_seconds_between_interruptions", self.mean_seconds_between_interruptions)
        check_not_negative("mean_wait_seconds", self.mean_wait_seconds)
        check_not_negative("common_share", self.common_share)
        if self.common_share > 1:
            raise SpotError.of("common_share", self.common_share, "must be a share, 0 to 1", "write 0.3 for 30 %")
        if self.at_most is not None:
            check_count("at_most", self.at_most, 0)

    def taken_usd_per_second(self, instances: int) -> float:
        """Price per hour of what EC2 takes, per second; one by one or all together, each instance goes as often."""
        return instances * self.usd_per_hour / self.mean_seconds_between_interruptions

    def interruptions_per_second(self, instances: int) -> float:
        """Rate at which a job with that many instances in this pool is interrupted by it."""
        if not instances:
            return 0.0
        return (instances * (1 - self.common_share) + self.common_share) / self.mean_seconds_between_interruptions


def job_mean_seconds(allocation: Mapping[str, int], pools: Iterable[Pool]) -> float:
    """Mean time between interruptions of a job that stops when any of its instances is taken.

    Args:
        allocation: pool → instances.
        pools: all of the pools that it names, and perhaps others.

    Returns:
        Seconds: M / N for N independent instances of one pool.

    Raises:
        SpotError: for an unknown pool or no instance.

    Source: the first of independent exponential times is exponential, with the sum of their rates; shocks that a pool's
    instances share: Marshall and Olkin 1967, Journal of the American Statistical Association 62.
    """
    known = pools_by_name(pools)
    _check_names(allocation, known)
    rate = math.fsum(known[name].interruptions_per_second(count) for name, count in allocation.items())
    if not rate:
        raise SpotError.of("allocation", dict(allocation), "holds no instance", "allocate at least one")
    return 1 / rate


def pools_by_name(pools: Iterable[Pool]) -> dict[str, Pool]:
    """name → pool.

    Raises:
        SpotError: for no pool, or two of one name.
    """
    listed = list(pools)
    known = {pool.name: pool for pool in listed}
    if not known or len(known) != len(listed):
        raise SpotError.of("pools", [pool.name for pool in listed], "must be pools of different names", "rename one")
    return known


def _check_names(allocation: Mapping[str, int], known: Mapping[str, Pool]) -> None:
    for name, count in allocation.items():
        if name not in known:
            raise SpotError.of("pool", name, "is unknown", f"name one of {sorted(known)}")
        check_count(f"allocation[{name!r}]", count, 0)
