"""What can go wrong in grading; each message names the value, the limit and the remedy in one line."""

from __future__ import annotations


class GradingError(ValueError):
    """Grading cannot start or go on."""


class SubmissionError(GradingError):
    """One submission cannot be graded as it is; the others are not concerned."""
