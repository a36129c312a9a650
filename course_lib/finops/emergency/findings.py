"""What costs money in a region, and what would start more of it: the raw material of an emergency shutdown."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from course_lib.catalog import CatalogError, instance
from course_lib.finops.aws import Clients, living_instances, one_line, pages, tags_of
from course_lib.finops.ephemeral import is_protected

AT_WORK = ("submitted", "active", "modifying")  # states of a fleet


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


def groups(account: Clients, region: str) -> list[Starter]:
    """The Auto Scaling groups of a region that may start instances.

    Raises:
        AwsError: if they can't be listed.
    """
    asked: Any = account.client("autoscaling", region=region)
    return [
        Starter("auto scaling group", group["AutoScalingGroupName"], region, is_protected(tags_of(group.get("Tags"))))
        for page in pages(asked, "describe_auto_scaling_groups", f"listing Auto Scaling groups in {region}")
        for group in page["AutoScalingGroups"]
        if (group["MaxSize"] or group["DesiredCapacity"]) and not launch_suspended(group)
    ]


def launch_suspended(group: dict[str, Any]) -> bool:
    """Whether an Auto Scaling group starts nothing, whatever its size and its scheduled actions say."""
    return "Launch" in {process["ProcessName"] for process in group.get("SuspendedProcesses") or ()}


def queues(account: Clients, region: str) -> list[Starter]:
    """The Batch queues of a region that are open.

    Raises:
        AwsError: if they can't be listed.
    """
    batch = account.client("batch", region=region)
    return [
        Starter("batch queue", queue["jobQueueName"], region, is_protected(queue.get("tags") or {}))
        for page in pages(batch, "describe_job_queues", f"listing Batch queues in {region}")
        for queue in page["jobQueues"]
        if queue["state"] == "ENABLED"
    ]


def fleets(account: Clients, region: str) -> list[Starter]:
    """The spot fleets and EC2 fleets of a region that keep up a number of instances, or still reach for one.

    Raises:
        AwsError: if they can't be listed.
    """
    ec2 = account.client("ec2", region=region)
    found = [
        Starter("spot fleet", fleet["SpotFleetRequestId"], region, is_protected(tags_of(fleet.get("Tags"))))
        for page in pages(ec2, "describe_spot_fleet_requests", f"listing spot fleets in {region}")
        for fleet in page["SpotFleetRequestConfigs"]
        if fleet["SpotFleetRequestState"] in AT_WORK
    ]
    return found + [
        Starter("fleet", fleet["FleetId"], region, is_protected(tags_of(fleet.get("Tags"))))
        for page in pages(ec2, "describe_fleets", f"listing fleets in {region}")
        for fleet in page["Fleets"]
        if fleet["FleetState"] in AT_WORK and fleet["Type"] != "instant"  # which starts what it starts at once
    ]


def requests(account: Clients, region: str) -> list[Starter]:
    """The spot requests of a region that would start an instance: those that wait, and those that start it again.

    Raises:
        AwsError: if they can't be listed.
    """
    ec2 = account.client("ec2", region=region)
    # "disabled" is a persistent one whose instance was stopped
    waiting = [{"Name": "state", "Values": ["open", "active", "disabled"]}]
    found = [
        request
        for page in pages(ec2, "describe_spot_instance_requests", f"listing spot requests in {region}", Filters=waiting)
        for request in page["SpotInstanceRequests"]
        if request["State"] == "open" or request["Type"] == "persistent"
    ]
    # canceling may end an instance that EC2 has stopped, so a protected one protects its request
    spared = protected_of(account, region, {request["InstanceId"] for request in found if "InstanceId" in request})
    return [
        Starter(
            "spot request",
            request["SpotInstanceRequestId"],
            region,
            is_protected(tags_of(request.get("Tags"))) or request.get("InstanceId") in spared,
        )
        for request in found
    ]


def protected_of(account: Clients, region: str, ids: Collection[str]) -> set[str]:
    """Which of some instances are protected; those that are gone are not.

    Raises:
        AwsError: if they can't be listed.
    """
    found = living_instances(account, region, ids)
    return {one["InstanceId"] for one in found if is_protected(tags_of(one.get("Tags")))}


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
