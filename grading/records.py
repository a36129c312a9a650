"""What was graded already: one small JSON file for each submission, so that a second run skips what has not changed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

GRADED, REFUSED, FAILED = "graded", "not gradable", "grader failed"


@dataclass(frozen=True)
class Outcome:
    """What became of one submission in this run.

    Args:
        who: the learner, or what was found in the learner's place.
        status: "graded", "not gradable" (the submission's fault) or "grader failed" (this machine's).
        score, max_score: points in the gradebook, None where there are none.
        needs_manual: whether a person still has to grade something.
        seconds: time spent on it in this run, or in the run that graded it.
        reasons: what happened, one line each.
        unchanged: nothing was new, so the earlier result stands.
        version: hash of what was graded, with what.
        shown: hash of the grades that the feedback page shows.
    """

    who: str
    status: str
    score: float | None = None
    max_score: float | None = None
    needs_manual: bool = False
    seconds: float = 0.0
    reasons: tuple[str, ...] = ()
    unchanged: bool = False
    version: str = ""
    shown: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain data for --json and for the record."""
        return {**asdict(self), "reasons": list(self.reasons)}


def load(path: Path) -> Outcome | None:
    """An earlier outcome; None when there is none or it cannot be read (it is then made anew)."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return replace(Outcome(**{**content, "reasons": tuple(content["reasons"])}), unchanged=True)
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def save(path: Path, outcome: Outcome) -> None:
    """Writes a record in one step, so that a crash leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps(outcome.as_dict(), indent=1), encoding="utf-8")
    unfinished.replace(path)
