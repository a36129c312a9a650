"""What a container is given of an instance type: its accelerators' device files, its network devices, its price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from course_lib.catalog import CatalogError, Instance, instance
from course_lib.finops.batch.errors import BatchError

# Elastic Fabric Adapters of a type, for those that have any: MaximumEfaInterfaces of DescribeInstanceTypes, as shipped
# with moto 5.2.5 on 2026-11-22; dl1.24xlarge: https://aws.amazon.com/ec2/instance-types/dl1/ (4 x 100 Gbit/s).
EFA_INTERFACES = {
    "p3dn.24xlarge": 1,
    "p4d.24xlarge": 4,
    "p4de.24xlarge": 4,
    "p5.4xlarge": 1,
    "p5.48xlarge": 32,
    "p5e.48xlarge": 32,
    "p5en.48xlarge": 16,
    "p6-b200.48xlarge": 8,
    "trn1.32xlarge": 8,
    "trn1n.32xlarge": 16,
    "trn2.3xlarge": 1,
    "trn2.48xlarge": 16,
    "trn2u.48xlarge": 16,
    **dict.fromkeys(("g5.8xlarge", "g5.16xlarge", "g5.12xlarge", "g5.24xlarge", "g5.48xlarge"), 1),
    **dict.fromkeys(("g6.8xlarge", "g6.16xlarge", "g6.12xlarge", "g6.24xlarge", "g6.48xlarge"), 1),
    **dict.fromkeys(("g6e.8xlarge", "g6e.16xlarge", "g6e.12xlarge"), 1),
    "g6e.24xlarge": 2,
    "g6e.48xlarge": 4,
    "dl1.24xlarge": 4,
}
# The ECS agent and the kernel need some of the instance's memory; a job that asks for all of it waits forever.
# https://docs.aws.amazon.com/batch/latest/userguide/memory-management.html
MEMORY_SHARE = 0.9


@dataclass(frozen=True)
class Machine:
    """An instance type as Batch's job definitions see it.

    Attributes:
        spec: the catalog's row.
        neuron_devices: how many /dev/neuronN there are: one for each Trainium or Inferentia chip.
        gpus: NVIDIA GPUs, which Batch hands out as a resource.
        gaudis: Gaudi cards, which Batch doesn't know; the AMI's container runtime hands them out.
        efa_interfaces: EFA devices; 0 where the type has none.
    """

    spec: Instance
    neuron_devices: int
    gpus: int
    gaudis: int
    efa_interfaces: int

    @property
    def memory_mib(self) -> int:
        """What a container can have of the instance's memory, in MiB."""
        return int(self.spec.memory_gib * 1024 * MEMORY_SHARE)

    def devices(self, *, efa: bool) -> list[dict[str, Any]]:
        """The host's device files that a container needs, as `linuxParameters.devices`.

        Source for EFA: https://docs.aws.amazon.com/batch/latest/userguide/efa.html
        """
        paths = [f"/dev/neuron{number}" for number in range(self.neuron_devices)]
        if efa:
            paths += [f"/dev/infiniband/uverbs{number}" for number in range(self.efa_interfaces)]
        permissions = ["READ", "WRITE", "MKNOD"]
        return [{"hostPath": path, "containerPath": path, "permissions": permissions} for path in paths]

    def usd_per_hour(self, given: float | None = None) -> float:
        """The most that an hour costs: the given price, or the on-demand price, which bounds spot from above.

        Raises:
            BatchError: when nobody knows the price.
        """
        if given is not None:
            BatchError.check_positive("usd_per_hour", given)
            return given
        try:
            return self.spec.usd_per_hour("on_demand", None)
        except CatalogError as error:
            raise BatchError(
                f"{error} Or give usd_per_hour yourself: a job needs a price to stay in a budget."
            ) from error


def machine(instance_type: str) -> Machine:
    """Look an instance type up.

    Args:
        instance_type: such as "trn1.32xlarge".

    Raises:
        BatchError: for a type that the catalog doesn't hold.
    """
    try:
        spec = instance(instance_type)
    except CatalogError as error:
        raise BatchError(str(error)) from error
    chips = {spec.accelerator_spec.vendor: spec.accelerators}
    counts = (chips.get("AWS", 0), chips.get("NVIDIA", 0), chips.get("Intel", 0))
    return Machine(spec, *counts, EFA_INTERFACES.get(spec.name, 0))
