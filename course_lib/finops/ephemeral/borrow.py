"""Instances for the length of a block: `with borrow(...) as instances:`; afterwards they are gone, come what may."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from course_lib.finops.aws import AwsError, Clients, one_line
from course_lib.finops.ephemeral.ending import end_instances
from course_lib.finops.ephemeral.launch import Launched, LaunchError, LaunchRequest, launch
from course_lib.finops.ephemeral.schedule import GROUP, schedule_name


@contextmanager
def borrow(account: Clients, request: LaunchRequest, now: datetime | None = None) -> Iterator[Launched]:
    """Launch with all layers, hand out what runs, and end it when the block ends.

    The lease is the upper bound, not the plan: a block that ends early costs nothing more, and one that never ends (a
    laptop that was closed) is ended by the layers.

    Raises:
        LaunchError: see `launch`; also when the end could not be reached, naming what will end the instances instead.
        AwsError: if AWS refuses the launch.
    """
    launched = launch(account, request, now)
    ec2 = account.client("ec2", region=request.region)
    try:
        with one_line(f"waiting for {', '.join(launched.instances)} to run"):
            ec2.get_waiter("instance_running").wait(InstanceIds=list(launched.instances))
        yield launched
    finally:
        give_back(account, launched)


def give_back(account: Clients, launched: Launched) -> None:
    """Terminate what was launched and delete its schedules; again changes nothing.

    Raises:
        LaunchError: if an instance could not be terminated; its schedule stays, and is named.
    """
    region = launched.plan.request.region
    ended = end_instances(account.client("ec2", region=region), list(launched.instances), "terminate")
    scheduler = account.client("scheduler", region=region)
    for instance, error in ended.items():
        if error is None:
            _unschedule(scheduler, instance)
    left = {instance: error for instance, error in ended.items() if error is not None}
    if left:
        end = launched.plan.request.lease.expires_at
        raise LaunchError(
            " ".join(str(error) for error in left.values())
            + f" Still running: {', '.join(left)}. Their schedule and their own timer end them at {end.isoformat()}."
        )


def _unschedule(scheduler: Any, instance: str) -> str:
    """Delete an instance's schedule; says why it stayed, or ""."""
    try:
        with one_line(f"deleting the schedule of {instance}"):
            scheduler.delete_schedule(Name=schedule_name(instance), GroupName=GROUP)
    except AwsError as error:
        # It may have fired and deleted itself. If it stays, it fires once more, at an instance that is gone.
        return str(error)
    return ""
