"""What costs money in a region, and what would start more of it: the raw material of an emergency shutdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from course_lib.catalog import CatalogError, instance
from course_lib.finops.aws import Clients, living_instances, one_line, pages, tags_of
from course_lib.finops.ephemeral import is_protected


@dataclass(frozen=True)
class Machine:
    """An instance that is not terminated.

    Attributes:
        id, region, instance_type, state, owner: as EC2 and its tags tell them; "" without an owner.
        usd_per_hour: what its running costs on demand; None when the catalog has no price, 0 when it is stopped.
        protected: it carries the tag `protected` = `true`.
    """

    id: str
    region: str
    instance_type: str
    state: str
    owner: str
    usd_per_hour: float | None
    protected: bool


@dataclass(frozen=True)
class Starter:
    """Something that starts instances: an Auto Scaling group, a Batch queue, a fleet, an open spot request.

    Attributes:
        kind: "auto scaling group", "batch queue", "spot fleet", "fleet" or "spot request".
        id, region: which.
        protected: its tags say so.
    """

    kind: str
    id: str
    region: str
    protected: bool


@dataclass(frozen=True)
class Orphan:
    """What goes on costing money without an instance: a volume, an address.

    Attributes:
        kind: "volume" or "address".
        id, region: which.
        note: its size, or the address.
    """

    kind: str
    id: str
    region: str
    note: str


def machines(account: Clients, region: str) -> list[Machine]:
    """Every instance of a region that is not terminated.

    Raises:
        AwsError: if it can't be listed.
    """
    return [_machine(found, region) for found in living_instances(account, region)]


def starters(account: Clients, region: str) -> list[Starter]:
    """Everything in a region that would start instances again.

    Raises:
        AwsError: if it can't be listed.
    """
    found = []
    groups = account.client("autoscaling", region=region)
    for page in pages(groups, "describe_auto_scaling_groups", f"listing Auto Scaling groups in {region}"):
        for group in page["AutoScalingGroups"]:
            if group["MaxSize"] or group["DesiredCapacity"]:
                protected = is_protected(tags_of(group.get("Tags")))
                found.append(Starter("auto scaling group", group["AutoScalingGroupName"], region, protected))
    batch = account.client("batch", region=region)
    for page in pages(batch, "describe_job_queues", f"listing Batch queues in {region}"):
        for queue in page["jobQueues"]:
            if queue["state"] == "ENABLED":
                found.append(
                    Starter("batch queue", queue["jobQueueName"], region, is_protected(queue.get("tags") or {}))
                )
    ec2 = account.client("ec2", region=region)
    for page in pages(ec2, "describe_spot_fleet_requests", f"listing spot fleets in {region}"):
        for fleet in page["SpotFleetRequestConfigs"]:
            if fleet["SpotFleetRequestState"] in ("submitted", "active", "modifying"):
                found.append(Starter("spot fleet", fleet["SpotFleetRequestId"], region, False))
    waiting = [{"Name": "state", "Values": ["open", "active"]}, {"Name": "type", "Values": ["persistent"]}]
    for page in pages(ec2, "describe_spot_instance_requests", f"listing spot requests in {region}", Filters=waiting):
        for request in page["SpotInstanceRequests"]:
            protected = is_protected(tags_of(request.get("Tags")))
            found.append(Starter("spot request", request["SpotInstanceRequestId"], region, protected))
    return found


def orphans(account: Clients, region: str) -> list[Orphan]:
    """Volumes that no instance has, and addresses that point nowhere.

    Raises:
        AwsError: if they can't be listed.
    """
    ec2 = account.client("ec2", region=region)
    free = [{"Name": "status", "Values": ["available"]}]
    found = [
        Orphan("volume", volume["VolumeId"], region, f"{volume['Size']} GiB {volume.get('VolumeType', '')}".strip())
        for page in pages(ec2, "describe_volumes", f"listing volumes in {region}", Filters=free)
        for volume in page["Volumes"]
    ]
    with one_line(f"listing addresses in {region}"):
        addresses = ec2.describe_addresses()["Addresses"]
    return found + [
        Orphan("address", address.get("AllocationId", address["PublicIp"]), region, address["PublicIp"])
        for address in addresses
        if not address.get("AssociationId") and not address.get("InstanceId")
    ]


def _machine(found: dict[str, Any], region: str) -> Machine:
    tags = tags_of(found.get("Tags"))
    state = found["State"]["Name"]
    running = state in ("pending", "running")
    price = _price(found["InstanceType"]) if running else 0.0
    told = (found["InstanceId"], region, found["InstanceType"], state)
    return Machine(*told, tags.get("owner", ""), price, is_protected(tags))


def _price(instance_type: str) -> float | None:
    try:
        return instance(instance_type).usd_per_hour()
    except CatalogError:
        return None
