"""Making what a job needs, as a plan first: launch template, compute environment, queue, job definition.

Each thing is looked for by name before it is made, and is made together with its tags: doing it twice makes nothing
twice, and being interrupted leaves nothing untagged.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal

from course_lib.finops.aws import Clients, one_line, tag_list
from course_lib.finops.batch.cost import WorstCase, check_budget
from course_lib.finops.batch.definition import DIGEST, definition
from course_lib.finops.batch.errors import BatchError
from course_lib.finops.batch.fleet import DEFAULT, FLEET_DIGEST, Fleet
from course_lib.finops.batch.job import Job
from course_lib.finops.batch.look import Sleep, definitions_of, environment_of, queue_of, settle, template_of
from course_lib.finops.batch.network import find_network
from course_lib.finops.batch.roles import make_profile, profile_is_missing

ARRIVING = {"status": "CREATING"}
Kind = Literal["instance profile", "launch template", "compute environment", "job queue", "job definition"]


@dataclass(frozen=True)
class Step:
    """One thing that is there, or will be made.

    Attributes:
        action: "create", "keep", or "new revision".
        kind, name: what.
        why: in words.
    """

    action: Literal["create", "keep", "new revision"]
    kind: Kind
    name: str
    why: str = ""


@dataclass(frozen=True)
class SetupPlan:
    """What setting a job up will do, to be read before it does it.

    Attributes:
        fleet, job: what was asked for; the fleet with the ids of its network.
        region: where.
        worst: the bound on the job's bill.
        steps: in order.
    """

    fleet: Fleet
    job: Job
    region: str
    worst: WorstCase
    steps: tuple[Step, ...]

    @property
    def changes(self) -> list[Step]:
        """The steps that make something."""
        return [step for step in self.steps if step.action != "keep"]

    def __str__(self) -> str:
        tags = ", ".join(f"{key}={value}" for key, value in self.job.lease.tags().items())
        rows = [f"{step.action:12} {step.kind} {step.name}{': ' + step.why if step.why else ''}" for step in self.steps]
        return "\n".join((f"AWS Batch in {self.region}, tagged {tags}", *rows, f"a submission costs {self.worst}"))


def plan_setup(account: Clients, fleet: Fleet, job: Job, region: str) -> SetupPlan:
    """Look at what is there, and say what is missing; changes nothing.

    Raises:
        BatchError: for a job above its budget, a job that the fleet can't run, a subnet, a security group or a role
            that is not there, or an environment of this name that belongs to another project or has other contents.
        AwsError: if AWS can't be asked.
    """
    worst = check_budget(job)
    check_fit(fleet, job)
    batch, ec2 = account.client("batch", region=region), account.client("ec2", region=region)
    asked, fleet = fleet, find_network(account, fleet, region)
    steps: list[Step] = []
    if profile_is_missing(account, fleet):
        steps.append(Step("create", "instance profile", fleet.instance_role, "what the ECS agent needs; it stays"))
    template = template_of(ec2, fleet.template_name)
    steps.append(
        Step("keep" if template else "create", "launch template", fleet.template_name, "IMDSv2, encrypted disk")
    )
    environment = environment_of(batch, fleet.name)
    if environment:
        check_owner("compute environment", environment, fleet)
        if environment.get("tags", {}).get(FLEET_DIGEST) != fleet.environment()["tags"][FLEET_DIGEST]:
            raise BatchError.of(
                "name",
                fleet.name,
                "is a compute environment with other contents",
                "tear it down first, or choose another name",
            )
    about = f"{fleet.purchase}, 0 to {fleet.max_vcpus} vCPUs, {fleet.strategy}"
    if asked.subnets == DEFAULT:
        about += f", in the {len(fleet.subnets)} subnets of the default VPC"
    steps.append(Step("keep" if environment else "create", "compute environment", fleet.name, about))
    queue = queue_of(batch, fleet.name)
    if queue:
        check_owner("job queue", queue, fleet)
    steps.append(Step("keep" if queue else "create", "job queue", fleet.name))
    steps.append(_definition_step(batch, job))
    return SetupPlan(fleet, job, region, worst, tuple(steps))


def apply_setup(account: Clients, plan: SetupPlan, sleep: Sleep = time.sleep) -> SetupPlan:
    """Make what is missing now (a plan may be old), and give the plan as it was carried out.

    Raises:
        BatchError: see `plan_setup`; also when Batch calls an environment or a queue invalid.
        AwsError: if AWS refuses something; what was made before stays, tagged, and the next run goes on from there.
    """
    fleet, job, region = plan.fleet, plan.job, plan.region
    now = plan_setup(account, fleet, job, region)
    fleet = now.fleet
    batch, ec2 = account.client("batch", region=region), account.client("ec2", region=region)
    for step in now.changes:
        with one_line(f"making the {step.kind} {step.name}"):
            if step.kind == "instance profile":
                make_profile(account, fleet.lease)
            elif step.kind == "launch template":
                _make_template(ec2, fleet)
            elif step.kind == "compute environment":
                batch.create_compute_environment(**fleet.environment())
            elif step.kind == "job queue":
                batch.create_job_queue(**fleet.queue())
            else:
                batch.register_job_definition(**definition(job))
        if step.kind == "compute environment":
            # Just made and not seen yet is on its way, not gone.
            settle(lambda: environment_of(batch, fleet.name) or ARRIVING, f"compute environment {fleet.name}", sleep)
        elif step.kind == "job queue":
            settle(lambda: queue_of(batch, fleet.name) or ARRIVING, f"job queue {fleet.name}", sleep)
    return now


def check_fit(fleet: Fleet, job: Job) -> None:
    """Refuse a job that would wait in the fleet's queue forever.

    Raises:
        BatchError: saying why.
    """
    name = job.machine.spec.name
    if name not in {found.spec.name for found in fleet.machines}:
        raise BatchError.of(
            "instance_type",
            name,
            f"is none of the fleet's {', '.join(fleet.instance_types)}",
            "the job would wait forever: add it",
        )
    if job.purchase != fleet.purchase:
        raise BatchError.of("purchase", job.purchase, f"is not the fleet's, {fleet.purchase}", "make them the same")
    if job.nodes > 1 and job.machine.efa_interfaces and not fleet.efa:
        raise BatchError.of("nodes", job.nodes, "needs a fleet with its network cards", "set efa = true in the fleet")
    needed = job.container_vcpus * job.nodes
    if needed > fleet.max_vcpus:
        raise BatchError.of("max_vcpus", fleet.max_vcpus, f"is less than the {needed} of one job", "raise it")


def check_owner(kind: str, found: dict[str, Any], fleet: Fleet) -> None:
    """Refuse to touch what another project has.

    Raises:
        BatchError: naming the tags.
    """
    tags = found.get("tags") or {}
    if tags.get("project") != fleet.lease.project:
        theirs = tags.get("project") or "nobody's, by its tags"
        raise BatchError.of("name", fleet.name, f"is a {kind} of another project ({theirs})", "choose another name")


def _definition_step(batch: Any, job: Job) -> Step:
    revisions = definitions_of(batch, job.name)
    wanted = definition(job)["tags"][DIGEST]
    if not revisions:
        return Step("create", "job definition", job.name)
    newest = revisions[-1]
    if (newest.get("tags") or {}).get(DIGEST) == wanted:
        return Step("keep", "job definition", job.name, f"revision {newest['revision']} is equal")
    return Step("new revision", "job definition", job.name, f"revision {newest['revision']} is different")


def _make_template(ec2: Any, fleet: Fleet) -> None:
    tags = tag_list(fleet.lease.tags())
    ec2.create_launch_template(
        LaunchTemplateName=fleet.template_name,
        LaunchTemplateData=fleet.template_data(),
        TagSpecifications=[{"ResourceType": "launch-template", "Tags": tags}],
    )
