"""What an account has in a region, as far as recommendations need it: instances, their volumes, loose ends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from course_lib.catalog import CatalogError, Instance, Price, instance
from course_lib.finops.aws import Clients, living_instances, one_line, pages, tags_of
from course_lib.finops.ephemeral import is_protected


@dataclass(frozen=True)
class Machine:
    """An instance.

    Attributes:
        id, region, instance_type, state: as EC2 tells them.
        spot: whether it is one.
        launched: when it was started last.
        tags: its own.
        spec: its row in the catalog, None for a type that is not there.
        usd_per_hour: on demand, in its region or else the catalog's first choice; None where no price is known.
        prepaid: whether it runs in a Capacity Block, whose fee no change gives back.
    """

    id: str
    region: str
    instance_type: str
    state: str
    spot: bool
    launched: datetime
    tags: dict[str, str]
    spec: Instance | None
    usd_per_hour: float | None
    prepaid: bool = False

    @property
    def protected(self) -> bool:
        """Whether it carries the tag `protected` = `true`."""
        return is_protected(self.tags)


@dataclass(frozen=True)
class Volume:
    """An EBS volume: the instance that has it, or "" for none."""

    id: str
    gib: int
    kind: str
    instance: str
    tags: dict[str, str]


@dataclass(frozen=True)
class Address:
    """An Elastic IP address that points nowhere."""

    id: str
    ip: str
    tags: dict[str, str]


def machines_in(account: Clients, region: str) -> list[Machine]:
    """Every instance of a region that is not terminated.

    Raises:
        AwsError: if they can't be listed.
    """
    return [_machine(told, region) for told in living_instances(account, region)]


def volumes_in(account: Clients, region: str) -> list[Volume]:
    """Every volume of a region.

    Raises:
        AwsError: if they can't be listed.
    """
    ec2 = account.client("ec2", region=region)
    return [
        Volume(
            told["VolumeId"],
            int(told["Size"]),
            str(told.get("VolumeType", "")),
            next((one["InstanceId"] for one in told.get("Attachments", ()) if one.get("InstanceId")), ""),
            tags_of(told.get("Tags")),
        )
        for page in pages(ec2, "describe_volumes", f"listing volumes in {region}")
        for told in page["Volumes"]
    ]


def loose_addresses(account: Clients, region: str) -> list[Address]:
    """Addresses that belong to no instance and no network interface.

    Raises:
        AwsError: if they can't be listed.
    """
    with one_line(f"listing addresses in {region}"):
        told = account.client("ec2", region=region).describe_addresses()["Addresses"]
    return [
        Address(one.get("AllocationId", one["PublicIp"]), one["PublicIp"], tags_of(one.get("Tags")))
        for one in told
        if not one.get("AssociationId") and not one.get("InstanceId")
    ]


def spec_of(name: str) -> Instance | None:
    """A type's row in the catalog, or None."""
    try:
        return instance(name)
    except CatalogError:
        return None


def price_of(spec: Instance | None, region: str) -> float | None:
    """USD per hour on demand, in a region or else the catalog's first choice; None where no price is known."""
    row = price_row(spec, region)
    return None if row is None else row.usd_per_hour


def price_row(spec: Instance | None, region: str) -> Price | None:
    """The observation behind `price_of`."""
    for where in (region, None):
        row = None if spec is None else spec.price("on_demand", where)
        if row is not None and row.usd_per_hour is not None:
            return row
    return None


def _machine(told: dict[str, Any], region: str) -> Machine:
    spec = spec_of(told["InstanceType"])
    return Machine(
        told["InstanceId"],
        region,
        told["InstanceType"],
        told["State"]["Name"],
        told.get("InstanceLifecycle") == "spot",
        told["LaunchTime"],
        tags_of(told.get("Tags")),
        spec,
        price_of(spec, region),
        told.get("InstanceLifecycle") == "capacity-block",
    )
