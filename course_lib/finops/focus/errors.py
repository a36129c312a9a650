"""The error of this subpackage."""

from course_lib.finops.errors import FinopsError


class FocusError(FinopsError):
    """A file that is no FOCUS data set, or can't be read."""
