"""The one form in which this part refuses an input."""

from course_lib.finops.errors import FinopsError


class BatchError(FinopsError):
    """A job, an environment or a step that AWS Batch, or the budget, does not allow."""
