"""Taking everything away again, in the order that Batch demands.

Close the queue, end its jobs, delete it, wait until it is gone; disable the environment, wait, delete it, wait; then
the launch template and the job definition's revisions. A queue that still feeds an environment would start its
instances again, and an environment that a queue still names can't be deleted. The instance profile stays: it costs
nothing, and other fleets share it. Sources:
https://docs.aws.amazon.com/batch/latest/APIReference/API_DeleteComputeEnvironment.html and
https://docs.aws.amazon.com/batch/latest/APIReference/API_DeleteJobQueue.html
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from course_lib.finops.aws import Clients, one_line
from course_lib.finops.batch.errors import BatchError
from course_lib.finops.batch.fleet import DEFAULT, Fleet
from course_lib.finops.batch.job import Job
from course_lib.finops.batch.look import (
    Sleep,
    active_jobs,
    definitions_of,
    environment_of,
    queue_of,
    settle,
    template_of,
)
from course_lib.finops.batch.network import find_network
from course_lib.finops.batch.setup import check_owner
from course_lib.finops.ephemeral import is_protected

WHY = "its queue is torn down"


@dataclass(frozen=True)
class Removal:
    """One step of a teardown.

    Attributes:
        what: in words.
        done: whether it was carried out; False in a plan.
    """

    what: str
    done: bool


def teardown(
    account: Clients, fleet: Fleet, job: Job, region: str, *, apply: bool = False, sleep: Sleep = time.sleep
) -> tuple[Removal, ...]:
    """Say what will be taken away, in order; with `apply` take it away. Doing it again does what is left, or nothing.

    Raises:
        BatchError: for an environment or a queue that is protected or of another project (nothing was changed), or that
            doesn't settle.
        AwsError: if AWS refuses a step; those before it are done, and the next run goes on from there.
    """
    batch, ec2 = account.client("batch", region=region), account.client("ec2", region=region)
    if fleet.efa and fleet.security_groups == DEFAULT:  # the launch template's name follows from the groups' ids
        fleet = find_network(account, fleet, region)
    queue, environment = queue_of(batch, fleet.name), environment_of(batch, fleet.name)
    for kind, found in (("job queue", queue), ("compute environment", environment)):
        if found:
            check_owner(kind, found, fleet)
            if is_protected(found.get("tags") or {}):
                raise BatchError.of(
                    "name", fleet.name, f"is a protected {kind}", "take the tag protected away if you mean it"
                )
    steps: list[tuple[str, Callable[[], Any]]] = []
    name = fleet.name
    if queue:
        steps.append((f"disable the job queue {name}", lambda: _close_queue(batch, name, sleep)))
        jobs = [(one["jobId"], one["status"]) for one in active_jobs(batch, name)]
        for job_id, status in jobs:
            steps.append((f"terminate the job {job_id} ({status})", _ending(batch, job_id)))
        steps.append((f"delete the job queue {name}", lambda: _delete_queue(batch, name, sleep)))
    if environment:
        steps.append((f"disable the compute environment {name}", lambda: _close_environment(batch, name, sleep)))
        steps.append((f"delete the compute environment {name}", lambda: _delete_environment(batch, name, sleep)))
    if template_of(ec2, fleet.template_name):
        template = fleet.template_name
        steps.append(
            (f"delete the launch template {template}", lambda: ec2.delete_launch_template(LaunchTemplateName=template))
        )
    for revision in definitions_of(batch, job.name):
        if (revision.get("tags") or {}).get("project") == job.lease.project:
            what = f"{job.name}:{revision['revision']}"
            steps.append((f"deregister the job definition {what}", _deregistering(batch, what)))
    for what, work in steps if apply else ():
        with one_line(f"to {what}"):
            work()
    return tuple(Removal(what, apply) for what, _ in steps)


def _ending(batch: Any, job_id: str) -> Callable[[], Any]:
    return lambda: batch.terminate_job(jobId=job_id, reason=WHY)


def _deregistering(batch: Any, what: str) -> Callable[[], Any]:
    return lambda: batch.deregister_job_definition(jobDefinition=what)


def _close_queue(batch: Any, name: str, sleep: Sleep) -> None:
    batch.update_job_queue(jobQueue=name, state="DISABLED")
    settle(lambda: queue_of(batch, name), f"job queue {name}", sleep)


def _delete_queue(batch: Any, name: str, sleep: Sleep) -> None:
    batch.delete_job_queue(jobQueue=name)
    _gone(lambda: queue_of(batch, name), f"job queue {name}", sleep)


def _close_environment(batch: Any, name: str, sleep: Sleep) -> None:
    batch.update_compute_environment(computeEnvironment=name, state="DISABLED")
    settle(lambda: environment_of(batch, name), f"compute environment {name}", sleep)


def _delete_environment(batch: Any, name: str, sleep: Sleep) -> None:
    batch.delete_compute_environment(computeEnvironment=name)
    _gone(lambda: environment_of(batch, name), f"compute environment {name}", sleep)


def _gone(look: Callable[[], dict[str, Any] | None], what: str, sleep: Sleep) -> None:
    """Wait until a deletion is through: what depends on it can't be deleted before."""

    def deleting() -> dict[str, Any] | None:
        found = look()
        return found and {**found, "status": found["status"] if found["status"] == "INVALID" else "DELETING"}

    settle(deleting, what, sleep)
