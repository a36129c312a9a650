"""How the spot tools refuse a value, and what they raise when the instance metadata service does not answer."""

from __future__ import annotations

from datetime import datetime, timedelta

from course_lib.finops.errors import FinopsError


class SpotError(FinopsError):
    """A spot run, trace or market can't be as given."""


class MetadataError(RuntimeError):
    """The instance metadata service gave no usable answer; the message says what to try."""


check_count = SpotError.check_count
check_positive = SpotError.check_positive
check_not_negative = SpotError.check_not_negative


def check_utc(name: str, moment: object) -> datetime:
    """Return the moment unchanged.

    Raises:
        SpotError: unless it is a datetime that carries UTC: a naive one means another hour on every machine.
    """
    if not isinstance(moment, datetime) or moment.utcoffset() != timedelta(0):
        raise SpotError.of(
            name, moment, "must be a datetime in UTC", "write datetime(..., tzinfo=UTC) or ...T12:00:00Z"
        )
    return moment
