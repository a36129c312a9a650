"""A job: what runs, on what, for how long at most, for whom, and what it may cost at most."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from course_lib.finops.batch.errors import BatchError
from course_lib.finops.batch.machines import Machine, machine
from course_lib.finops.batch.retries import RetryStrategy
from course_lib.finops.ephemeral import Lease

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{1,127}")
URI = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s]*)?")
SHORTEST, LONGEST = timedelta(seconds=60), timedelta(days=14)
# https://docs.aws.amazon.com/batch/latest/userguide/array_jobs.html and .../service_limits.html
ARRAY = (2, 10_000)
DEPENDENCIES = 20

Purchase = Literal["on_demand", "spot"]


@dataclass(frozen=True)
class Dependency:
    """A job that must succeed first.

    Attributes:
        job_id: as SubmitJob answered.
        kind: "" for the whole job; "N_TO_N" child for child; "SEQUENTIAL" (no id) for this array's own order.
    """

    job_id: str = ""
    kind: Literal["", "N_TO_N", "SEQUENTIAL"] = ""

    def as_dict(self) -> dict[str, str]:
        """As SubmitJob takes it."""
        return {**({"jobId": self.job_id} if self.job_id else {}), **({"type": self.kind} if self.kind else {})}


@dataclass(frozen=True)
class Job:
    """What to run.

    Attributes:
        name: of the definition and of the jobs made from it.
        image: the container's image.
        command: what the image's entry point runs, word by word.
        instance_type: the machine, whole: its accelerators, vCPUs and memory unless said otherwise.
        timeout: of one attempt; the job's time to live, so there is no default.
        lease: who, for what, until when.
        budget_usd: what all attempts of all children may cost at most.
        retry: how often, and after which failures.
        purchase: "spot" or "on_demand".
        array_size: 1 for a single job, 2 to 10,000 for an array.
        nodes: 1, or more for a multi-node parallel job, which Batch runs on demand only.
        vcpus, memory_mib: for the container; all vCPUs and nine tenths of the memory when left out.
        shared_memory_mib: /dev/shm, for the workers of a data loader; half of the memory when left out.
        inputs, outputs: s3:// addresses that the image's entry point reads and writes.
        environment: more variables for the process.
        job_role: ARN of the role that the container has.
        usd_per_hour: of one instance; the catalog's on-demand price when left out.

    Raises:
        BatchError: for what Batch would refuse, or accept and never end.
    """

    name: str
    image: str
    command: tuple[str, ...]
    instance_type: str
    timeout: timedelta
    lease: Lease
    budget_usd: float
    retry: RetryStrategy = field(default_factory=RetryStrategy)
    purchase: Purchase = "spot"
    array_size: int = 1
    nodes: int = 1
    vcpus: int | None = None
    memory_mib: int | None = None
    shared_memory_mib: int | None = None
    inputs: str = ""
    outputs: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    job_role: str = ""
    usd_per_hour: float | None = None

    def __post_init__(self) -> None:
        check_name("name", self.name)
        if not self.image.strip() or not self.command:
            raise BatchError("a job has no image or no command. Remedy: give both; Batch runs a command in an image.")
        if not SHORTEST <= self.timeout <= LONGEST:
            limit = "must be from 60 s to 14 days: Batch itself has no default, and lets a job run forever"
            raise BatchError.of(
                "timeout", f"{self.timeout.total_seconds():.0f}s", limit, "say how long one attempt may take"
            )
        BatchError.check_positive("budget_usd", self.budget_usd)
        self._check_counts()
        for name, uri in (("inputs", self.inputs), ("outputs", self.outputs)):
            if uri and not URI.fullmatch(uri):
                raise BatchError.of(name, uri, "is no S3 address", "write s3://bucket/prefix")
        for name in self.environment:
            if name.startswith("AWS_BATCH"):
                raise BatchError.of("environment", name, "is a name that Batch keeps for itself", "choose another one")

    @property
    def machine(self) -> Machine:
        """The instance type's facts."""
        return machine(self.instance_type)

    @property
    def container_vcpus(self) -> int:
        """vCPUs of the container."""
        return self.vcpus or self.machine.spec.vcpus

    @property
    def container_memory_mib(self) -> int:
        """Memory of the container, in MiB."""
        return self.memory_mib or self.machine.memory_mib

    def _check_counts(self) -> None:
        BatchError.check_count("array_size", self.array_size)
        BatchError.check_count("nodes", self.nodes)
        low, high = ARRAY
        if self.array_size > high:
            raise BatchError.of("array_size", self.array_size, f"is above {high}", f"give 1, or {low} to {high}")
        if self.nodes > 1 and self.purchase == "spot":
            raise BatchError.of(
                "nodes",
                self.nodes,
                "on spot: Batch runs multi-node parallel jobs on demand only",
                "set purchase=on_demand",
            )
        if self.nodes > 1 and self.array_size > 1:
            raise BatchError.of(
                "nodes", self.nodes, "in an array: Batch has no arrays of them", "submit them one by one"
            )
        found = self.machine
        for name, value, limit in (
            ("vcpus", self.vcpus, found.spec.vcpus),
            ("memory_mib", self.memory_mib, found.memory_mib),
            ("shared_memory_mib", self.shared_memory_mib, self.container_memory_mib),
        ):
            if value is None:
                continue
            BatchError.check_count(name, value)
            if value > limit:
                raise BatchError.of(
                    name,
                    value,
                    f"is more than the {limit} that {found.spec.name} can give",
                    "ask for less, or a larger type",
                )


def check_name(what: str, name: str) -> None:
    """Refuse a name that Batch refuses.

    Raises:
        BatchError: saying what is allowed.
    """
    if not NAME.fullmatch(name):
        raise BatchError.of(what, name, "is no name in Batch", "use 2 to 128 letters, digits, - or _, a letter first")
