"""What EventBridge Scheduler refuses when a schedule is made or changed; moto takes any text.

Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html and
https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-flexible-time-windows.html
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from course_lib.finops.aws import account_of_arn
from course_lib.finops.cloud import cron
from course_lib.finops.cloud.instances import account_of
from course_lib.finops.cloud.schedule_groups import check_group
from course_lib.finops.cloud.wire import ApiCall, ApiError

LONGEST = 1440  # minutes of a flexible window
AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
RATE = re.compile(r"rate\(([1-9]\d*) (minute|hour|day)s?\)")
CRON = re.compile(r"cron\((.*)\)")
ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role\/[\w+=,.@\/-]+")  # as botocore's description of the service has it


def check_schedule(account: Any, call: ApiCall) -> None:
    """Refuse a group that is not there, an expression that is none, a zone that nobody knows, and a wrong window."""
    check_group(account, call)
    asked = call.parameters
    _check_role(call)
    zone = asked.get("ScheduleExpressionTimezone") or "UTC"
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise _invalid(f"Provided ScheduleExpressionTimezone is not valid: {zone}.") from None
    expression = str(asked.get("ScheduleExpression", ""))
    try:
        if found := AT.fullmatch(expression):
            datetime.fromisoformat(found[1])
        elif found := CRON.fullmatch(expression):
            cron.parse(found[1])
        elif not RATE.fullmatch(expression):
            raise ValueError("is none of at(), rate() and cron()")
    except ValueError as error:
        raise _invalid(f"Invalid Schedule Expression {expression}: it {error}.") from None
    window = asked.get("FlexibleTimeWindow") or {}
    minutes = window.get("MaximumWindowInMinutes")
    if window.get("Mode") == "FLEXIBLE" and not 1 <= int(minutes or 0) <= LONGEST:
        raise _invalid(f"MaximumWindowInMinutes {minutes} must be from 1 to {LONGEST} when the mode is FLEXIBLE.")
    if window.get("Mode") == "OFF" and minutes is not None:
        raise _invalid("MaximumWindowInMinutes can't be given when the mode is OFF.")


def _check_role(call: ApiCall) -> None:
    """Refuse a role's ARN that is none, and the role of another account: nobody may pass that."""
    role = str((call.parameters.get("Target") or {}).get("RoleArn", ""))
    if not ROLE.fullmatch(role):
        raise _invalid(
            f"1 validation error detected: Value '{role}' at 'target.roleArn' failed to satisfy constraint: "
            f"Member must satisfy regular expression pattern: {ROLE.pattern}"
        )
    if account_of_arn(role) != account_of(call):
        said = f"Account {account_of(call)} is not authorized to perform: iam:PassRole on resource: {role}"
        raise ApiError("AccessDeniedException", said, 403)


def _invalid(message: str) -> ApiError:
    return ApiError("ValidationException", message)
