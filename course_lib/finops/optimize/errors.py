"""The errors of this subpackage."""

from course_lib.finops.errors import FinopsError


class OptimizeError(FinopsError):
    """A demand, an offer or a budget that is out of range."""


class InfeasibleBudgetError(OptimizeError):
    """What is required can't be done; says which constraint binds.

    Attributes:
        binding: "budget", "limit", "deadline" or "offers".
    """

    def __init__(self, message: str, binding: str) -> None:
        super().__init__(message)
        self.binding = binding
