"""Checks of data residency: nothing that holds or handles data lies outside the allowed regions.

A region is a fact that can be read. Who may reach the data from elsewhere, and under which law, can't.
"""

from __future__ import annotations

from collections.abc import Iterator

from course_lib.finops.compliance.facts import Bucket, Region
from course_lib.finops.compliance.results import Finding, verdict


def regional_things(region: Region) -> Iterator[Finding]:
    """Instances, volumes, snapshots and log groups lie in allowed regions only."""
    allowed = region.settings.allowed_regions
    if not allowed:
        return
    remedy = f"move the data to {' or '.join(allowed)}, end it here, and deny the region by policy"
    found = [f"instance {one['InstanceId']}" for one in region.instances]
    found += [f"volume {one['VolumeId']}" for one in region.volumes]
    found += [f"snapshot {one['SnapshotId']}" for one in region.snapshots]
    found += [f"log group {one['logGroupName']}" for one in region.log_groups]
    if region.name in allowed:
        yield Finding("passed", region.name, f"allowed; holds {len(found)} instances, volumes, snapshots, log groups")
    elif not found:
        yield Finding("passed", region.name, "not allowed; no instance, volume, snapshot or log group is here")
    for name in found if region.name not in allowed else ():
        yield Finding("failed", name, f"in {region.name}, which is not allowed", remedy)


def bucket_place(bucket: Bucket) -> Iterator[Finding]:
    """Each bucket lies in an allowed region."""
    allowed = bucket.account.settings.allowed_regions
    if allowed:
        yield verdict(
            bucket.region in allowed,
            bucket.name,
            f"in {bucket.region}",
            f"copy what is needed to a bucket in {' or '.join(allowed)} and delete this one",
        )
