"""The end of an instance from outside: a one-time schedule that terminates it and then deletes itself.

Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-universal.html
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from course_lib.finops.aws import Clients, one_line, tag_list

GROUP = "ephemeral"  # of these schedules; the launch policy allows schedules in this group alone
MANAGED = {"managed-by": "course-guardrails"}  # on whatever this room sets up in an account and leaves there


def schedule_end(account: Clients, instance_id: str, region: str, end: datetime, role: str) -> None:
    """Let EventBridge Scheduler terminate an instance when its lease ends; asking again changes nothing.

    The schedule's group is `GROUP`; it is made if the region has none yet.

    Args:
        account: whose.
        instance_id: what to terminate.
        region: where it runs.
        end: when, with a time zone.
        role: ARN of the role that lets the scheduler terminate it.

    Raises:
        AwsError: if the schedule can't be made.
    """
    scheduler = account.client("scheduler", region=region)
    schedule: dict[str, Any] = {
        "Name": schedule_name(instance_id),
        "GroupName": GROUP,
        "ScheduleExpression": end.astimezone(UTC).strftime("at(%Y-%m-%dT%H:%M:%S)"),
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "ActionAfterCompletion": "DELETE",
        "Target": {
            "Arn": "arn:aws:scheduler:::aws-sdk:ec2:terminateInstances",
            "RoleArn": role,
            "Input": json.dumps({"InstanceIds": [instance_id]}),
            "RetryPolicy": {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86400},
        },
    }
    with one_line(f"scheduling the end of {instance_id}"), suppress(scheduler.exceptions.ConflictException):
        try:  # a conflict means that it is there: the same launch was asked for before
            scheduler.create_schedule(**schedule)
        except scheduler.exceptions.ResourceNotFoundException:
            make_group(scheduler)
            scheduler.create_schedule(**schedule)


def make_group(scheduler: Any) -> None:
    """Make the group of these schedules; that somebody else made it just now is fine.

    Args:
        scheduler: a boto3 client of the schedules' region.
    """
    with suppress(scheduler.exceptions.ConflictException):
        scheduler.create_schedule_group(Name=GROUP, Tags=tag_list(MANAGED))


def schedule_name(instance_id: str) -> str:
    """The name of the schedule that ends an instance."""
    return f"lease-{instance_id}"
