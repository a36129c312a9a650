"""What a grading run hands back: one outcome for each submission, and where the marks are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from grading.records import FAILED, Outcome


@dataclass(frozen=True)
class Summary:
    """What a run did.

    Args:
        lab: the lab.
        db_url: the gradebook.
        outcomes: one for each submission, in order of name.
        export: the CSV file.
        seconds: how long the run took.
    """

    lab: str
    db_url: str
    outcomes: tuple[Outcome, ...]
    export: Path
    seconds: float

    @property
    def failed(self) -> bool:
        """Whether this machine, not a submission, is the reason that something is not graded."""
        return any(outcome.status == FAILED for outcome in self.outcomes)
