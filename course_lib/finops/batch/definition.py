"""A job as the parameters of RegisterJobDefinition, and a digest that says whether two definitions are the same.

Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_RegisterJobDefinition.html
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from course_lib.finops.batch.job import Job

DIGEST = "definition-digest"  # the tag by which an equal definition is known again
INPUTS, OUTPUTS = "COURSE_S3_INPUT", "COURSE_S3_OUTPUT"


def definition(job: Job) -> dict[str, Any]:
    """The parameters of RegisterJobDefinition, tags included.

    Raises:
        BatchError: see `Job`.
    """
    container = _container(job)
    body: dict[str, Any] = {
        "jobDefinitionName": job.name,
        "retryStrategy": job.retry.as_dict(),
        "timeout": {"attemptDurationSeconds": int(job.timeout.total_seconds())},
        "platformCapabilities": ["EC2"],
        "propagateTags": True,
    }
    if job.nodes > 1:
        nodes = {"targetNodes": "0:", "container": container}
        body |= {
            "type": "multinode",
            "nodeProperties": {"numNodes": job.nodes, "mainNode": 0, "nodeRangeProperties": [nodes]},
        }
    else:
        body |= {"type": "container", "containerProperties": container}
    return body | {"tags": {**job.lease.tags(), DIGEST: digest(body)}}


def digest(body: dict[str, Any]) -> str:
    """A definition's digest, without its tags. Batch adds defaults to what it keeps, so contents can't be compared."""
    bare = {name: value for name, value in body.items() if name != "tags"}
    return hashlib.sha256(json.dumps(bare, sort_keys=True).encode()).hexdigest()[:32]


def environment(job: Job) -> dict[str, str]:
    """The variables that the job's process gets, here and in the cloud; Batch adds its own."""
    given = {INPUTS: job.inputs, OUTPUTS: job.outputs}
    given = {name: value for name, value in given.items() if value}
    if job.machine.gaudis:
        # Batch has no resource for them: the AMI's default container runtime must be habana, and this is what it reads.
        given |= {"HABANA_VISIBLE_DEVICES": "all"}
    return given | job.environment


def _container(job: Job) -> dict[str, Any]:
    machine = job.machine
    needs = {"VCPU": job.container_vcpus, "MEMORY": job.container_memory_mib, "GPU": machine.gpus}
    container: dict[str, Any] = {
        "image": job.image,
        "command": list(job.command),
        "resourceRequirements": [{"type": kind, "value": str(count)} for kind, count in needs.items() if count],
        "environment": [{"name": name, "value": value} for name, value in sorted(environment(job).items())],
        # EFA and pinned buffers lock memory; a training job opens many files and uses deep stacks.
        "ulimits": [
            {"name": "memlock", "softLimit": -1, "hardLimit": -1},
            {"name": "nofile", "softLimit": 65_536, "hardLimit": 65_536},
            {"name": "stack", "softLimit": 67_108_864, "hardLimit": 67_108_864},
        ],
        "linuxParameters": {
            "initProcessEnabled": True,  # something must reap children and pass SIGTERM on
            "sharedMemorySize": job.shared_memory_mib or job.container_memory_mib // 2,
        },
        "privileged": False,
    }
    devices = machine.devices(efa=job.nodes > 1)
    if devices:
        container["linuxParameters"]["devices"] = devices
    if job.job_role:
        container["jobRoleArn"] = job.job_role
    if job.nodes > 1:
        container["instanceType"] = machine.spec.name
    return container
