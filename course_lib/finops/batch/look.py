"""What is there already, by name: environments, queues, definitions, jobs; and waiting until Batch has settled them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from course_lib.finops.aws import AwsError, one_line, pages
from course_lib.finops.batch.errors import BatchError

ACTIVE = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")
POLL, PATIENCE = 5.0, 600.0  # seconds: between looks, and until giving up

# The pause between two looks; tests hand in one that does not wait.
Sleep = Callable[[float], None]


def environment_of(batch: Any, name: str) -> dict[str, Any] | None:
    """A compute environment by name, or None.

    Raises:
        AwsError: if Batch can't be asked.
    """
    with one_line(f"looking for the compute environment {name}"):
        found = batch.describe_compute_environments(computeEnvironments=[name])["computeEnvironments"]
    return _there(found)


def queue_of(batch: Any, name: str) -> dict[str, Any] | None:
    """A job queue by name, or None.

    Raises:
        AwsError: if Batch can't be asked.
    """
    with one_line(f"looking for the job queue {name}"):
        found = batch.describe_job_queues(jobQueues=[name])["jobQueues"]
    return _there(found)


def definitions_of(batch: Any, name: str) -> list[dict[str, Any]]:
    """The active revisions of a job definition, oldest first.

    Raises:
        AwsError: if Batch can't be asked.
    """
    doing = f"looking for job definitions {name}"
    asked = {"jobDefinitionName": name, "status": "ACTIVE"}
    found = [one for page in pages(batch, "describe_job_definitions", doing, **asked) for one in page["jobDefinitions"]]
    return sorted(found, key=lambda one: one["revision"])


def active_jobs(batch: Any, queue: str) -> Iterator[dict[str, Any]]:
    """The jobs of a queue that have not ended.

    Raises:
        AwsError: if Batch can't be asked.
    """
    for status in ACTIVE:
        for page in pages(batch, "list_jobs", f"listing jobs in {queue}", jobQueue=queue, jobStatus=status):
            yield from page["jobSummaryList"]


def template_of(ec2: Any, name: str) -> dict[str, Any] | None:
    """A launch template by name, or None.

    Raises:
        AwsError: if EC2 can't be asked.
    """
    try:
        with one_line(f"looking for the launch template {name}"):
            found = ec2.describe_launch_templates(LaunchTemplateNames=[name])["LaunchTemplates"]
    except AwsError as error:
        if error.code == "InvalidLaunchTemplateName.NotFoundException":
            return None
        raise
    return next(iter(found), None)


def settle(look: Callable[[], dict[str, Any] | None], what: str, sleep: Sleep = time.sleep) -> dict[str, Any] | None:
    """Wait until an environment or a queue is VALID, or gone; gives it, or None.

    Raises:
        BatchError: if it becomes INVALID (with Batch's reason), or doesn't settle within ten minutes.
        AwsError: if Batch can't be asked.
    """
    waited = 0.0
    while True:
        found = look()
        if found is None or found.get("status", "VALID") == "VALID":
            return found
        if found["status"] == "INVALID":
            raise BatchError(f"{what} is INVALID: {found.get('statusReason', '')}. Remedy: mend that, or tear it down.")
        if waited >= PATIENCE:
            raise BatchError(
                f"{what} is still {found['status']} after {waited:.0f} s. Remedy: run the same command again."
            )
        sleep(POLL)
        waited += POLL


def _there(found: list[dict[str, Any]]) -> dict[str, Any] | None:
    return next((one for one in found if one.get("status") != "DELETED"), None)
