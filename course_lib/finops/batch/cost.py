"""What a job can cost at most, before it is submitted."""

from __future__ import annotations

from dataclasses import dataclass

from course_lib.arithmetic import cost_usd
from course_lib.finops.batch.errors import BatchError
from course_lib.finops.batch.job import Job


@dataclass(frozen=True)
class WorstCase:
    """A bound on the bill.

    Attributes:
        usd: price x timeout x attempts x children x nodes.
        usd_per_hour: of one instance.
        instance_hours: of all attempts of all children on all nodes.
    """

    usd: float
    usd_per_hour: float
    instance_hours: float

    def __str__(self) -> str:
        return f"at most {self.usd:,.2f} USD: {self.instance_hours:,.2f} instance hours at {self.usd_per_hour:,.4f} USD"


def worst_case(job: Job) -> WorstCase:
    """The most that the attempts of a job can cost: each child fails just before its timeout, as often as it may.

    Each attempt counts as a whole instance, also if several containers could share one. Not in it: booting, pulling the
    image, the minutes until Batch gives an idle instance back, disks, addresses and S3.

    Raises:
        BatchError: when nobody knows the instance's price.
    """
    price = job.machine.usd_per_hour(job.usd_per_hour)
    hours = job.timeout.total_seconds() / 3600 * job.retry.attempts * job.array_size * job.nodes
    return WorstCase(cost_usd(hours, price), price, hours)


def check_budget(job: Job) -> WorstCase:
    """The worst case of a job that its budget allows.

    Raises:
        BatchError: if it is above the budget; says by which factor.
    """
    worst = worst_case(job)
    if worst.usd > job.budget_usd:
        raise BatchError.of(
            "budget_usd",
            job.budget_usd,
            f"is less than the worst case, {worst.usd:,.2f} USD ({worst.instance_hours:,.2f} instance hours)",
            "shorten the timeout, allow fewer attempts, shrink the array, or ask for more budget",
        )
    return worst
