"""The one form in which the forecast refuses an input."""

from course_lib.finops.errors import FinopsError


class ForecastError(FinopsError):
    """A series that can't be forecast, or a question about it that makes no sense."""
