"""Submitting a job: the worst case is compared with the budget first, and the same job is not submitted twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from course_lib.finops.aws import Clients, aws_now, one_line
from course_lib.finops.batch.cost import WorstCase, check_budget
from course_lib.finops.batch.definition import DIGEST, definition
from course_lib.finops.batch.errors import BatchError
from course_lib.finops.batch.job import DEPENDENCIES, Dependency, Job
from course_lib.finops.batch.look import active_jobs, definitions_of, queue_of


@dataclass(frozen=True)
class Submission:
    """What a submission will do.

    Attributes:
        job: what is submitted.
        worst: the bound on its bill.
        parameters: of SubmitJob.
    """

    job: Job
    worst: WorstCase
    parameters: dict[str, Any]

    def __str__(self) -> str:
        asked = self.job
        children = f"{asked.array_size} children, " if asked.array_size > 1 else ""
        end = f"{asked.lease.expires_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        return "\n".join(
            (
                f"submit {self.parameters['jobDefinition']} to {self.parameters['jobQueue']} for {asked.lease.owner}",
                f"{children}up to {asked.retry.attempts} attempts of {asked.timeout}, lease until {end}",
                f"{self.worst}; the budget is {asked.budget_usd:,.2f} USD",
            )
        )


def plan_submission(
    account: Clients,
    job: Job,
    queue: str,
    region: str,
    depends_on: Sequence[Dependency] = (),
    now: datetime | None = None,
) -> Submission:
    """Check a submission, and say what it would do; changes nothing.

    Raises:
        BatchError: for a job above its budget, a lease that ends before one attempt could, a queue or an equal job
            definition that isn't there, a queue that is closed, or a job of this name that hasn't ended.
        AwsError: if AWS can't be asked.
    """
    worst = check_budget(job)
    now = now or aws_now(account)
    if now + job.timeout > job.lease.expires_at:
        raise BatchError.of(
            "expires_at",
            job.lease.expires_at.isoformat(),
            f"is earlier than one attempt of {job.timeout} from AWS's time, {now:%Y-%m-%d %H:%M} UTC",
            "extend the lease, or shorten the timeout",
        )
    if len(depends_on) > DEPENDENCIES:
        raise BatchError.of(
            "depends_on", len(depends_on), f"is more than {DEPENDENCIES} jobs", "depend on an array instead"
        )
    batch = account.client("batch", region=region)
    found = queue_of(batch, queue)
    if found is None:
        raise BatchError.of("queue", queue, f"is not there in {region}", "set it up first (course finops batch apply)")
    if found["state"] != "ENABLED":
        raise BatchError.of("queue", queue, "is disabled", "somebody stopped it on purpose; ask before you enable it")
    wanted = definition(job)
    equal = [
        one for one in definitions_of(batch, job.name) if (one.get("tags") or {}).get(DIGEST) == wanted["tags"][DIGEST]
    ]
    if not equal:
        raise BatchError.of("job", job.name, "has no equal job definition", "register it (course finops batch apply)")
    waiting = [one["jobId"] for one in active_jobs(batch, queue) if one["jobName"] == job.name]
    if waiting:
        raise BatchError.of(
            "job", job.name, f"has not ended yet as {waiting[0]}", "wait, terminate it, or give this one another name"
        )
    parameters: dict[str, Any] = {
        "jobName": job.name,
        "jobQueue": queue,
        "jobDefinition": f"{job.name}:{equal[-1]['revision']}",
        "propagateTags": True,
        "tags": job.lease.tags(),
    }
    if job.array_size > 1:
        parameters["arrayProperties"] = {"size": job.array_size}
    if depends_on:
        parameters["dependsOn"] = [dependency.as_dict() for dependency in depends_on]
    return Submission(job, worst, parameters)


def submit(account: Clients, submission: Submission, region: str) -> str:
    """Submit what was planned; gives the job's id.

    Raises:
        AwsError: if Batch refuses it.
    """
    with one_line(f"submitting {submission.job.name}"):
        answer = account.client("batch", region=region).submit_job(**submission.parameters)
    return str(answer["jobId"])
