"""The one form in which this room refuses an input."""

from course_lib.catalog import InputError


class FinopsError(InputError):
    """A value that this room can't use; the message names the value, the limit and the remedy."""
