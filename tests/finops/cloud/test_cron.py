"""cron() expressions. Oracle: dateutil's rrule, which knows calendars and nothing of AWS, and AWS's written rules."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from dateutil import rrule

from course_lib.finops.cloud.cron import parse

BEGIN = datetime(2026, 11, 26, 17, 41, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")


def times(text, number, begin=BEGIN, zone=UTC_ZONE):
    def run():
        moment = begin
        while (moment := parse(text).after(moment, zone)) is not None:
            yield moment

    return list(islice(run(), number))


def ruled(frequency, **rule):
    found = rrule.rrule(frequency, dtstart=datetime(2026, 1, 1), bysecond=0, **rule)
    return [time.replace(tzinfo=UTC) for time in found.xafter(BEGIN.replace(tzinfo=None), count=60)]


WORKDAYS = (rrule.MO, rrule.TU, rrule.WE, rrule.TH, rrule.FR)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 10 * * ? *", ruled(rrule.DAILY, byhour=10, byminute=0)),
        ("15 12 * * ? *", ruled(rrule.DAILY, byhour=12, byminute=15)),
        ("0 18 ? * MON-FRI *", ruled(rrule.DAILY, byhour=18, byminute=0, byweekday=WORKDAYS)),
        ("0 18 ? * 2-6 *", ruled(rrule.DAILY, byhour=18, byminute=0, byweekday=WORKDAYS)),
        ("0 8 1 * ? *", ruled(rrule.MONTHLY, byhour=8, byminute=0, bymonthday=1)),
        ("0/15 * * * ? *", ruled(rrule.HOURLY, byminute=(0, 15, 30, 45))),
        ("0/10 * ? * MON-FRI *", ruled(rrule.HOURLY, byminute=range(0, 60, 10), byweekday=WORKDAYS)),
        (
            "0/5 8-17 ? * MON-FRI *",
            ruled(rrule.DAILY, byminute=range(0, 60, 5), byhour=range(8, 18), byweekday=WORKDAYS),
        ),
        ("15 10 ? * 6L *", ruled(rrule.MONTHLY, byhour=10, byminute=15, byweekday=rrule.FR(-1))),
        ("0 9 ? * TUE#2 *", ruled(rrule.MONTHLY, byhour=9, byminute=0, byweekday=rrule.TU(2))),
        ("0 9 ? * 3#5 *", ruled(rrule.MONTHLY, byhour=9, byminute=0, byweekday=rrule.TU(5))),
        ("30 23 L * ? *", ruled(rrule.MONTHLY, byhour=23, byminute=30, bymonthday=-1)),
        ("0 0 31 * ? *", ruled(rrule.MONTHLY, byhour=0, byminute=0, bymonthday=31)),
        ("0 0 29 FEB ? *", ruled(rrule.YEARLY, byhour=0, byminute=0, bymonth=2, bymonthday=29)[:42]),  # to 2196
        ("0 6 ? JAN,JUL L *", ruled(rrule.DAILY, byhour=6, byminute=0, bymonth=(1, 7), byweekday=rrule.SA)),
        ("5,35 */6 * * ? *", ruled(rrule.DAILY, byhour=(0, 6, 12, 18), byminute=(5, 35))),
    ],
)
def test_the_times_are_those_of_a_calendar(text, expected):
    assert len(expected) >= 42
    assert times(text, len(expected)) == expected


def test_w_is_the_nearest_weekday_of_the_same_month():
    """2027's months by hand: 1 May is a Saturday (so 3 May), 15 August a Sunday (16), 31 July a Saturday (30)."""
    begin = datetime(2027, 4, 30, 12, tzinfo=UTC)
    assert times("0 0 1W 5 ? *", 1, begin) == [datetime(2027, 5, 3, tzinfo=UTC)]
    assert times("0 0 15W 8 ? *", 1, begin) == [datetime(2027, 8, 16, tzinfo=UTC)]
    assert times("0 0 31W 7 ? *", 1, begin) == [datetime(2027, 7, 30, tzinfo=UTC)]
    assert times("0 0 31W 6 ? *", 3, begin) == []  # June has no 31st


def test_years_end():
    assert times("15 10 ? * 6L 2026-2027", 99)[-1] == datetime(2027, 12, 31, 10, 15, tzinfo=UTC)
    assert times("0 0 1 1 ? 2020", 1) == []


def test_a_time_that_does_not_exist_is_skipped_and_one_that_comes_twice_counts_once():
    """Berlin 2027: on 28 March 02:30 does not exist; on 31 October 02:30 comes twice."""
    berlin = ZoneInfo("Europe/Berlin")
    spring = times("30 2 * * ? *", 3, datetime(2027, 3, 26, 12, tzinfo=UTC), berlin)
    assert [time.astimezone(berlin).day for time in spring] == [27, 29, 30]
    autumn = times("30 2 * * ? *", 3, datetime(2027, 10, 30, 12, tzinfo=UTC), berlin)
    assert [time.astimezone(berlin).day for time in autumn] == [31, 1, 2]
    assert autumn[1] - autumn[0] == timedelta(hours=25)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 10 * * ?", "has 5 fields and not 6"),
        ("0 10 * * * *", r"must have \? as exactly one"),
        ("0 10 ? * ? *", r"must have \? as exactly one"),
        ("60 10 * * ? *", "has '60' as minutes, which must be from 0 to 59"),
        ("0 24 * * ? *", "has '24' as hours"),
        ("0 10 0 * ? *", "has '0' as day-of-month"),
        ("0 10 * 13 ? *", "has '13' as month"),
        ("0 10 ? * 8 *", "has '8' as day-of-week"),
        ("0 10 ? * FUN *", "has 'FUN' as day-of-week"),
        ("0 10 * * ? 1969", "has '1969' as year"),
        ("0/0 10 * * ? *", "a step is a whole number above 0"),
        ("0 17-8 * * ? *", "a range that runs backward"),
    ],
)
def test_what_is_no_expression_is_refused(text, said):
    with pytest.raises(ValueError, match=said):
        parse(text)
