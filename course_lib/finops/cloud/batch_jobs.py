"""AWS Batch without machines: jobs wait as RUNNABLE and can be ended; queues go in the order that AWS wants.

moto would call every job SUCCEEDED at once, though nothing ran. Nothing runs here either, so nothing succeeds: to run a
job's command, there is `course finops batch run-local`. A server that started a caller's commands as processes of this
machine would be a door that a practice account should not have. What AWS refuses is refused: a submission to a closed
queue, the deletion of an open one, and of an environment that is open or that a queue still names. And an environment
that names no service role gets Batch's service-linked one, which moto would demand. Sources:
https://docs.aws.amazon.com/batch/latest/APIReference/API_CreateComputeEnvironment.html (serviceRole),
https://docs.aws.amazon.com/batch/latest/userguide/job_states.html,
https://docs.aws.amazon.com/batch/latest/APIReference/API_DeleteJobQueue.html and
https://docs.aws.amazon.com/batch/latest/APIReference/API_DeleteComputeEnvironment.html
"""

from __future__ import annotations

import json
from typing import Any

from course_lib.finops.cloud.instances import account_of
from course_lib.finops.cloud.wire import ApiCall, ApiError

ENDED = ("SUCCEEDED", "FAILED")
WAITS = "the practice account has no machines for Batch: run it with `course finops batch run-local`"
SERVICE = "batch.amazonaws.com"
LINKED = "AWSServiceRoleForBatch"


def create_environment(account: Any, call: ApiCall) -> dict[str, Any] | None:
    """Make a managed environment under Batch's own role, unless its caller named one."""
    from moto.core.exceptions import JsonRESTError

    asked, backend = call.parameters, _backend(call)
    if asked.get("serviceRole") or asked.get("type") != "MANAGED":
        return None
    iam = backend.iam_backend
    role = next((one for one in iam.roles.values() if one.name == LINKED), None)
    if role is None:
        about: dict[str, Any] = {
            "permissions_boundary": None,
            "description": "",
            "tags": [],
            "max_session_duration": "3600",
        }
        trust = {"Effect": "Allow", "Principal": {"Service": SERVICE}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        role = iam.create_role(LINKED, document, f"/aws-service-role/{SERVICE}/", linked_service=SERVICE, **about)
    try:
        made = backend.create_compute_environment(
            compute_environment_name=asked["computeEnvironmentName"],
            _type=asked["type"],
            state=asked.get("state"),
            compute_resources=asked.get("computeResources"),
            service_role=role.arn,
            tags=asked.get("tags"),
        )
    except JsonRESTError as error:
        raise ApiError(error.error_type, error.message) from error
    return {"computeEnvironmentArn": made.arn, "computeEnvironmentName": made.name}


def submit(account: Any, call: ApiCall) -> dict[str, Any]:
    """Take a job: RUNNABLE, or PENDING while another job that it depends on hasn't succeeded."""
    from moto.batch.models import JOB_NAME_REGEX, Job

    backend, asked = _backend(call), call.parameters
    name = str(asked["jobName"])
    definition = backend.get_job_definition(asked["jobDefinition"])
    queue = backend.get_job_queue(asked["jobQueue"])
    size = int((asked.get("arrayProperties") or {}).get("size", 0))
    if not JOB_NAME_REGEX.match(name):
        raise _refused("Job name should match valid pattern")
    if definition is None or definition.status != "ACTIVE":
        raise _refused(f"Job definition {asked['jobDefinition']} does not exist or is INACTIVE")
    if queue is None:
        raise _refused(f"Job queue {asked['jobQueue']} does not exist")
    if queue.state != "ENABLED":
        raise _refused(f"Job queue {queue.name} is DISABLED")
    if size and not 2 <= size <= 10_000:
        raise _refused(f"Array size {size} must be between 2 and 10000")

    def made(job_id: str | None, array: dict[str, Any]) -> Any:
        job = Job(
            name,
            definition,
            queue,
            backend,
            log_backend=backend.logs_backend,
            container_overrides=asked.get("containerOverrides"),
            eks_properties_override=None,
            depends_on=asked.get("dependsOn"),
            parameters=asked.get("parameters"),
            all_jobs=backend._jobs,
            timeout=asked.get("timeout"),
            array_properties=array,
            provided_job_id=job_id,
            tags=asked.get("tags"),
        )
        job.job_created_at = account.clock.now()
        job.status = "PENDING" if _waits_for_others(backend, asked) else "RUNNABLE"
        job.job_stopped_reason = WAITS
        backend._jobs[job.job_id] = job
        return job

    parent = made(None, {"size": size} if size else {})
    if size:
        parent._child_jobs = [made(f"{parent.job_id}:{index}", {"index": index}) for index in range(size)]
        for child in parent._child_jobs:
            queue.jobs.remove(child)  # ListJobs of a queue shows parents
    return {"jobId": parent.job_id, "jobName": name, "jobArn": parent.arn}


def end(account: Any, call: ApiCall) -> dict[str, Any]:
    """TerminateJob and CancelJob: a job that waits, and its children, are FAILED with the given reason."""
    job = _backend(call).get_job_by_id(call.parameters["jobId"])
    for one in [job, *(job._child_jobs or [])] if job else []:
        if one.status not in ENDED:
            one.job_stopped_reason = call.parameters["reason"]
            one._mark_stopped(success=False)
            one.job_stopped_at = account.clock.now()
    return {}


def check_queue_closed(account: Any, call: ApiCall) -> None:
    """Refuse to delete a queue that takes jobs."""
    queue = _backend(call).get_job_queue(call.parameters["jobQueue"])
    if queue is not None and queue.state != "DISABLED":
        raise _refused("Cannot delete, JobQueue state must be DISABLED")


def check_environment_free(account: Any, call: ApiCall) -> None:
    """Refuse to delete an environment that is open, or that a queue names."""
    backend = _backend(call)
    environment = backend.get_compute_environment(call.parameters["computeEnvironment"])
    if environment is None:
        return
    if any(environment in queue.environments for queue in backend._job_queues.values()):
        raise _refused("Cannot delete, found existing JobQueue relationship")
    if environment.state != "DISABLED":
        raise _refused("Cannot delete, ComputeEnvironment state must be DISABLED")


def _waits_for_others(backend: Any, asked: dict[str, Any]) -> bool:
    others = (backend.get_job_by_id(one["jobId"]) for one in asked.get("dependsOn") or () if one.get("jobId"))
    return any(other is not None and other.status != "SUCCEEDED" for other in others)


def _refused(message: str) -> ApiError:
    return ApiError("ClientException", message)


def _backend(call: ApiCall) -> Any:
    from moto.batch.models import batch_backends

    return batch_backends[account_of(call)][call.region]
