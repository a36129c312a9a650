"""Where jobs run: a compute environment that is empty when nobody waits, its launch template, and a queue in front.

Sources: https://docs.aws.amazon.com/batch/latest/userguide/allocation-strategies.html,
https://docs.aws.amazon.com/batch/latest/userguide/launch-templates.html and
https://docs.aws.amazon.com/batch/latest/APIReference/API_ComputeResource.html
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from course_lib.finops.aws import tag_list
from course_lib.finops.batch.errors import BatchError
from course_lib.finops.batch.job import Purchase, check_name
from course_lib.finops.batch.machines import Machine, machine
from course_lib.finops.ephemeral import Lease

FLEET_DIGEST = "fleet-digest"
DEFAULT = ("default",)  # instead of ids: the subnets of the default VPC, or its group of that name
# What AWS recommends: on spot, pools by price and spare capacity; on demand, further types when the best is not there.
BY_DEFAULT = {"spot": "SPOT_PRICE_CAPACITY_OPTIMIZED", "on_demand": "BEST_FIT_PROGRESSIVE"}
ALLOWED = {
    "spot": ("SPOT_PRICE_CAPACITY_OPTIMIZED", "SPOT_CAPACITY_OPTIMIZED", "BEST_FIT_PROGRESSIVE", "BEST_FIT"),
    "on_demand": ("BEST_FIT_PROGRESSIVE", "BEST_FIT"),
}


@dataclass(frozen=True)
class Fleet:
    """A managed compute environment and its queue, which share a name.

    Attributes:
        name: of the environment, the queue and, with a digest, the launch template.
        instance_types: what it may launch; types with EFA don't mix with others when `efa` is set.
        max_vcpus: what it may run at once; Batch may exceed it by one instance.
        subnets, security_groups: ids; or ("default",) for those of the region's default VPC.
        instance_role: the ECS instance profile's name or ARN; "ecsInstanceRole" is made if it is missing.
        lease: who, for what, until when: the tags of everything, its instances included.
        purchase: "spot" or "on_demand".
        allocation: how Batch chooses among types; AWS's recommendation when left out.
        service_role: ARN; Batch's service-linked role when left out.
        spot_fleet_role: ARN; needed with BEST_FIT on spot only.
        image_id: an AMI; Batch's own for the types when left out.
        efa: give instances their Elastic Fabric Adapters, for multi-node jobs.
        placement_group: a cluster placement group's name, for multi-node jobs.
        disk_gib: of the encrypted root volume, which holds the images.

    Raises:
        BatchError: for what Batch would refuse, or would never run a job on.
    """

    name: str
    instance_types: tuple[str, ...]
    max_vcpus: int
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    instance_role: str
    lease: Lease
    purchase: Purchase = "spot"
    allocation: str = ""
    service_role: str = ""
    spot_fleet_role: str = ""
    image_id: str = ""
    efa: bool = False
    placement_group: str = ""
    disk_gib: int = 100

    def __post_init__(self) -> None:
        check_name("name", self.name)
        for what, given in (
            ("instance_types", self.instance_types),
            ("subnets", self.subnets),
            ("security_groups", self.security_groups),
        ):
            if not given:
                raise BatchError.of(what, given, "is empty", "name at least one")
        BatchError.check_count("disk_gib", self.disk_gib, 30)
        if self.strategy not in ALLOWED[self.purchase]:
            allowed = ", ".join(ALLOWED[self.purchase])
            raise BatchError.of(
                "allocation", self.strategy, f"is no strategy for {self.purchase}", f"use one of {allowed}"
            )
        if self.purchase == "spot" and self.strategy == "BEST_FIT" and not self.spot_fleet_role:
            raise BatchError("BEST_FIT on spot needs spot_fleet_role. Remedy: give its ARN, or leave allocation out.")
        smallest = min(found.spec.vcpus for found in self.machines)
        BatchError.check_count("max_vcpus", self.max_vcpus)
        if self.max_vcpus < smallest:
            raise BatchError.of(
                "max_vcpus",
                self.max_vcpus,
                f"is less than the {smallest} of its smallest type",
                "no job would ever run: raise it",
            )
        cards = {found.efa_interfaces for found in self.machines}
        if self.efa and (0 in cards or len(cards) > 1):
            raise BatchError.of(
                "efa",
                True,
                f"for {', '.join(self.instance_types)}: not all have the same number of adapters",
                "use one type",
            )

    @property
    def machines(self) -> list[Machine]:
        """The facts of its instance types."""
        return [machine(name) for name in self.instance_types]

    @property
    def strategy(self) -> str:
        """The allocation strategy."""
        return self.allocation or BY_DEFAULT[self.purchase]

    @property
    def template_name(self) -> str:
        """The launch template's name: another content is another template."""
        return f"{self.name}-{_digest(self.template_data())[:12]}"

    def usd_per_hour_at_most(self) -> float:
        """What a full hour can cost: the dearest mix up to max_vcpus, and one instance more.

        Raises:
            BatchError: for a type whose price nobody knows.
        """
        prices = [(found.usd_per_hour(), found.spec.vcpus) for found in self.machines]
        return max(usd / vcpus for usd, vcpus in prices) * self.max_vcpus + max(usd for usd, _ in prices)

    def template_data(self) -> dict[str, Any]:
        """LaunchTemplateData: IMDSv2, an encrypted root volume that goes with its instance, tags, network cards."""
        tags = tag_list(self.lease.tags())
        disk = {"VolumeSize": self.disk_gib, "VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True}
        data: dict[str, Any] = {
            # Two hops: a container's question for the spot notice passes one bridge more than the host's.
            "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled", "HttpPutResponseHopLimit": 2},
            "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": disk}],
            "TagSpecifications": [{"ResourceType": "volume", "Tags": tags}],  # instances get the environment's tags
        }
        if self.efa:
            data["NetworkInterfaces"] = [
                {
                    "NetworkCardIndex": card,
                    "DeviceIndex": min(card, 1),
                    "InterfaceType": "efa",
                    "Groups": list(self.security_groups),
                    "DeleteOnTermination": True,
                }
                for card in range(self.machines[0].efa_interfaces)
            ]
        return data

    def environment(self) -> dict[str, Any]:
        """The parameters of CreateComputeEnvironment, tags included."""
        resources: dict[str, Any] = {
            "type": "SPOT" if self.purchase == "spot" else "EC2",
            "allocationStrategy": self.strategy,
            "minvCpus": 0,  # whatever is above 0 runs day and night
            "desiredvCpus": 0,
            "maxvCpus": self.max_vcpus,
            "instanceTypes": list(self.instance_types),
            "subnets": list(self.subnets),
            "securityGroupIds": list(self.security_groups),
            "instanceRole": self.instance_role,
            "launchTemplate": {"launchTemplateName": self.template_name, "version": "$Default"},
            "tags": self.lease.tags(),  # of the instances: by these the reaper finds them
        }
        for key, value in (
            ("spotIamFleetRole", self.spot_fleet_role),
            ("placementGroup", self.placement_group),
            ("imageId", self.image_id),
        ):
            if value:
                resources[key] = value
        body: dict[str, Any] = {
            "computeEnvironmentName": self.name,
            "type": "MANAGED",
            "state": "ENABLED",
            "computeResources": resources,
        }
        if self.service_role:
            body["serviceRole"] = self.service_role
        return body | {"tags": {**self.lease.tags(), FLEET_DIGEST: _digest(body)}}

    def queue(self) -> dict[str, Any]:
        """The parameters of CreateJobQueue, tags included."""
        return {
            "jobQueueName": self.name,
            "state": "ENABLED",
            "priority": 1,
            "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": self.name}],
            "tags": self.lease.tags(),
        }


def _digest(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:32]
