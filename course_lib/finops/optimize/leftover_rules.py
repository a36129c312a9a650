"""Recommendations about what costs money without working: stopped instances' volumes, loose volumes and addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from course_lib.finops.ephemeral import is_protected
from course_lib.finops.optimize.advice import Kind, Recommendation
from course_lib.finops.optimize.demands import HOURS_PER_MONTH
from course_lib.finops.optimize.instance_rules import PROTECTED_RISK
from course_lib.finops.optimize.machines import Address, Machine, Volume
from course_lib.finops.optimize.settings import StoragePrices


def stopped_with_volumes(
    machines: Sequence[Machine], volumes: Sequence[Volume], prices: StoragePrices
) -> list[Recommendation]:
    """Instances that are stopped, and whose volumes are paid for all the same."""
    found = []
    for machine in machines:
        own = [volume for volume in volumes if volume.instance == machine.id]
        if machine.state == "stopped" and own:
            where = f"--region {machine.region}"
            snapshots = " && ".join(f"aws ec2 create-snapshot {where} --volume-id {volume.id}" for volume in own)
            found.append(
                _about(
                    "stopped_with_volumes",
                    machine.id,
                    machine.region,
                    "keep snapshots, terminate it",
                    f"stopped; {_sizes(own)} attached",
                    _monthly(own, prices),
                    "volumes that go with the instance are gone; a snapshot costs less and has to be finished first",
                    f"{snapshots} && aws ec2 terminate-instances {where} --instance-ids {machine.id}",
                    machine.tags,
                )
            )
    return found


def unattached_volumes(volumes: Sequence[Volume], region: str, prices: StoragePrices) -> list[Recommendation]:
    """Volumes that no instance has."""
    return [
        _about(
            "unattached_volume",
            volume.id,
            region,
            "keep a snapshot, delete it",
            f"{_sizes([volume])}, attached to nothing",
            _monthly([volume], prices),
            "its data: look into it, or wait for the snapshot to be completed before it is deleted",
            f"aws ec2 create-snapshot --region {region} --volume-id {volume.id} && "
            f"aws ec2 delete-volume --region {region} --volume-id {volume.id}",
            volume.tags,
        )
        for volume in volumes
        if not volume.instance
    ]


def unattached_addresses(addresses: Sequence[Address], region: str, prices: StoragePrices) -> list[Recommendation]:
    """Elastic IP addresses that point nowhere."""
    return [
        _about(
            "unattached_address",
            address.id,
            region,
            "release it",
            f"{address.ip} points to nothing",
            prices.usd_per_address_hour * HOURS_PER_MONTH,
            "this address is not to be had again; names and firewalls may still hold it",
            f"aws ec2 release-address --region {region} --allocation-id {address.id}",
            address.tags,
        )
        for address in addresses
    ]


def _sizes(volumes: Sequence[Volume]) -> str:
    return ", ".join(f"{volume.id} ({volume.gib} GiB {volume.kind})" for volume in volumes)


def _monthly(volumes: Sequence[Volume], prices: StoragePrices) -> float | None:
    known = [prices.usd_per_gib_month.get(volume.kind) for volume in volumes]
    if any(price is None for price in known):
        return None
    return sum(volume.gib * (price or 0.0) for volume, price in zip(volumes, known, strict=True))


def _about(
    kind: Kind,
    resource: str,
    region: str,
    what: str,
    evidence: str,
    usd_per_month: float | None,
    risk: str,
    command: str,
    tags: Mapping[str, str],
) -> Recommendation:
    told = PROTECTED_RISK + risk if is_protected(dict(tags)) else risk
    owner, project = tags.get("owner", ""), tags.get("project", "")
    return Recommendation(kind, resource, region, what, evidence, usd_per_month, told, command, owner, project)
