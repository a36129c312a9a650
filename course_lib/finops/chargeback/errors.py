"""The error of this subpackage."""

from course_lib.finops.errors import FinopsError


class ChargebackError(FinopsError):
    """A rule or a bill that can't be allocated."""
