"""The form in which guardrails refuse an input."""

from course_lib.finops.errors import FinopsError


class GuardrailError(FinopsError):
    """A guardrail that can't be set up as it was asked for; the message names the value, the limit and the remedy."""
