"""The form in which the compliance checks refuse an input."""

from course_lib.finops.errors import FinopsError


class ComplianceError(FinopsError):
    """Settings or a choice of checks that can't be used; the message names the value, the limit and the remedy."""
