"""EventBridge Scheduler's cron expressions: six fields, time zones, and what happens when clocks change.

Fields: minutes, hours, day of the month, month, day of the week, year. One of the two days is "?". Besides numbers,
names, ranges, lists and steps there are L (the last day; 6L is the last Friday), W (15W is the weekday nearest to the
15th of its month) and # (3#2 is the second Tuesday). Days of the week run from 1 = SUN to 7 = SAT. When clocks go
forward, a time that does not exist is skipped; when they go back, one that comes twice counts once. Source:
https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import count, takewhile
from zoneinfo import ZoneInfo

MONTHS = {name: number for number, name in enumerate(calendar.month_abbr) if name}
WEEKDAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), 1)}
YEARS = (1970, 2199)
Days = Callable[[date], bool]


@dataclass(frozen=True)
class Cron:
    """A cron expression that was understood.

    Attributes:
        minutes, hours: that count, ascending.
        months, years: that count.
        on: whether a day counts, by its day of the month or of the week.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: frozenset[int]
    years: frozenset[int]
    on: Days

    def after(self, moment: datetime, zone: ZoneInfo) -> datetime | None:
        """The first time after a moment, in UTC; None if there is none before the year 2200.

        Args:
            moment: with a time zone.
            zone: in which the fields are meant.
        """
        local_now = moment.astimezone(zone)
        start = local_now.date()
        days = takewhile(lambda day: day.year <= YEARS[1], (start + timedelta(days=number) for number in count()))
        for day in days:
            if day.year not in self.years or day.month not in self.months or not self.on(day):
                if day.year > max(self.years):
                    return None
                continue
            for hour in self.hours:
                if day == start and hour < local_now.hour - 1:  # one less, for the hour that clocks may go back
                    continue
                for minute in self.minutes:
                    local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
                    found = local.astimezone(UTC)
                    exists = found.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None)
                    if exists and found > moment:
                        return found
        return None


def parse(text: str) -> Cron:
    """Read the inside of "cron(...)".

    Args:
        text: such as "0 8 ? * MON-FRI *".

    Raises:
        ValueError: saying which field is wrong.
    """
    fields = text.split()
    if len(fields) != 6:
        raise ValueError(f"has {len(fields)} fields and not 6: minutes hours day-of-month month day-of-week year")
    minutes, hours, days, months, weekdays, years = (field.upper() for field in fields)
    if (days == "?") == (weekdays == "?"):
        raise ValueError("must have ? as exactly one of day-of-month and day-of-week")
    return Cron(
        tuple(sorted(_numbers("minutes", minutes, 0, 59))),
        tuple(sorted(_numbers("hours", hours, 0, 23))),
        frozenset(_numbers("month", months, 1, 12, MONTHS)),
        frozenset(_numbers("year", years, *YEARS)),
        _on_weekdays(weekdays) if days == "?" else _on_days(days),
    )


def _numbers(name: str, text: str, low: int, high: int, words: dict[str, int] | None = None) -> set[int]:
    found: set[int] = set()
    known = {word.upper(): number for word, number in (words or {}).items()}

    def number(word: str) -> int:
        value = known.get(word, int(word) if word.isascii() and word.isdigit() else low - 1)
        if not low <= value <= high:
            raise ValueError(f"has '{word}' as {name}, which must be from {low} to {high}")
        return value

    for part in text.split(","):
        span, slash, step = part.partition("/")
        if slash and (not step.isdigit() or int(step) == 0):
            raise ValueError(f"has '{part}' as {name}; a step is a whole number above 0")
        first, dash, last = span.partition("-")
        if span == "*":
            begin, end = low, high
        else:
            begin = number(first)
            end = number(last) if dash else (high if slash else begin)
        if end < begin:
            raise ValueError(f"has '{part}' as {name}, a range that runs backward")
        found |= set(range(begin, end + 1, int(step) if slash else 1))
    return found


def _on_days(text: str) -> Days:
    if text == "L":
        return lambda day: day.day == _last(day)
    if found := re.fullmatch(r"(\d{1,2})W", text):
        (wanted,) = _numbers("day-of-month", found[1], 1, 31)
        return lambda day: wanted <= _last(day) and day == _nearest_weekday(day.replace(day=wanted))
    allowed = _numbers("day-of-month", text, 1, 31)
    return lambda day: day.day in allowed


def _on_weekdays(text: str) -> Days:
    if text == "L":  # the last day of the week
        return lambda day: _weekday(day) == 7
    if found := re.fullmatch(r"(\w+)L", text):
        (wanted,) = _numbers("day-of-week", found[1], 1, 7, WEEKDAYS)
        return lambda day: _weekday(day) == wanted and day.day > _last(day) - 7
    if found := re.fullmatch(r"(\w+)#([1-5])", text):
        (wanted,), place = _numbers("day-of-week", found[1], 1, 7, WEEKDAYS), int(found[2])
        return lambda day: _weekday(day) == wanted and (day.day + 6) // 7 == place
    allowed = _numbers("day-of-week", text, 1, 7, WEEKDAYS)
    return lambda day: _weekday(day) in allowed


def _weekday(day: date) -> int:
    return day.isoweekday() % 7 + 1


def _last(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def _nearest_weekday(day: date) -> date:
    """The weekday nearest to a day without leaving its month."""
    shift = {6: -1, 7: 1}.get(day.isoweekday(), 0)
    found = day + timedelta(days=shift)
    return found if found.month == day.month else day - timedelta(days=2 * shift)
