"""When a schedule is due: its expression, its zone, its start and end, and the window in which it may be late."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from course_lib.finops.cloud import cron
from course_lib.finops.cloud.schedule_check import AT, CRON, RATE

UNITS = {"minute": 60, "hour": 3600, "day": 86400}
MOMENT = timedelta(microseconds=1)


def following(schedule: Any, last: datetime | None) -> datetime | None:
    """The first time of a schedule after `last` (None: it hasn't fired), or None if there is no such time."""
    expression, zone = schedule.schedule_expression, schedule.schedule_expression_timezone
    if found := AT.fullmatch(expression):
        return None if last else _in_zone(found[1], zone)
    begin, end = _moment(schedule.start_date) or _moment(schedule.creation_date), _moment(schedule.end_date)
    if begin is None:
        return None
    if found := RATE.fullmatch(expression):
        time: datetime | None = last + timedelta(seconds=int(found[1]) * UNITS[found[2]]) if last else begin
    elif found := CRON.fullmatch(expression):
        time = _read(found[1]).after(last or begin - MOMENT, ZoneInfo(zone))
    else:
        return None
    return time if time and (end is None or time <= end) else None


def due(schedule: Any, time: datetime) -> datetime:
    """When a schedule's time really comes: somewhere in its flexible window, the same place for the same time.

    AWS spreads invocations over the window and says no more; here each place in it is equally likely.
    """
    window = schedule.flexible_time_window or {}
    if window.get("Mode") != "FLEXIBLE":
        return time
    seconds = 60 * int(window.get("MaximumWindowInMinutes", 0))
    return time + timedelta(seconds=random.Random(f"{schedule.arn} {time.isoformat()}").randrange(seconds + 1))


_read = lru_cache(maxsize=1000)(cron.parse)


def _in_zone(text: str, zone: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    except (ValueError, ZoneInfoNotFoundError):
        return None


def _moment(seconds: Any) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(float(seconds), UTC)
