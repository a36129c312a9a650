"""Groups of schedules as EventBridge Scheduler knows them; moto fails on one that is not there, and forgets one twice.

Source: https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html ("Errors") and
https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateScheduleGroup.html
"""

from __future__ import annotations

from typing import Any

from course_lib.finops.cloud.instances import account_of
from course_lib.finops.cloud.wire import ApiCall, ApiError


def check_group(account: Any, call: ApiCall) -> None:
    """Refuse a schedule for a group that does not exist."""
    name = call.parameters.get("GroupName", "default")
    if name not in _groups(call):
        raise ApiError("ResourceNotFoundException", f"Schedule group {name} does not exist.", 404)


def check_new_group(account: Any, call: ApiCall) -> None:
    """Refuse to make a group twice: moto would put an empty one in its place, and the schedules would be gone."""
    name = call.parameters["Name"]
    if name in _groups(call):
        raise ApiError("ConflictException", f"Schedule group {name} already exists.", 409)


def _groups(call: ApiCall) -> Any:
    from moto.scheduler.models import scheduler_backends

    return scheduler_backends[account_of(call)][call.region].schedule_groups
