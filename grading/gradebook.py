"""Reads the gradebook: learners by labs, for a terminal, a program or a learning management system."""

from __future__ import annotations

import csv
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook
from rich.table import Table
from sqlalchemy import create_engine, inspect

from grading.errors import GradingError
from grading.guard import require_database, shown_url


@dataclass(frozen=True)
class Mark:
    """One learner's points in one lab.

    Args:
        score: points after any late penalty.
        max_score: points that the lab has.
        needs_manual: whether a person still has to grade something.
    """

    score: float
    max_score: float
    needs_manual: bool


@dataclass(frozen=True)
class Marks:
    """The whole table.

    Args:
        labs: each lab with its points, in the gradebook's order.
        learners: id and name of each learner.
        marks: by learner and lab; no entry where nothing was submitted.
    """

    labs: dict[str, float]
    learners: dict[str, str]
    marks: dict[tuple[str, str], Mark]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for --json."""
        rows = []
        for learner, name in self.learners.items():
            mine = {lab: self.marks[learner, lab] for lab in self.labs if (learner, lab) in self.marks}
            rows.append({"id": learner, "name": name, "labs": {lab: vars(mark) for lab, mark in mine.items()}})
        return {"labs": self.labs, "learners": rows}


def marks(db_url: str, labs: Collection[str] | None = None) -> Marks:
    """Reads the gradebook.

    Args:
        db_url: SQLAlchemy URL.
        labs: these labs alone.

    Raises:
        GradingError: if there is no gradebook yet, or no such lab in it.
    """
    _require_gradebook(db_url)
    with Gradebook(db_url, "training-at-scale") as gradebook:
        found = {lab.name: float(lab.max_score) for lab in gradebook.assignments}
        unknown = sorted(set(labs or ()) - set(found))
        if unknown:
            raise GradingError(f"The gradebook has no lab {unknown[0]!r}. It has: {', '.join(found) or 'none'}.")
        chosen = {name: points for name, points in found.items() if labs is None or name in labs}
        learners = {s.id: " ".join(filter(None, (s.first_name, s.last_name))) for s in gradebook.students}
        entries: dict[tuple[str, str], Mark] = {}
        for lab in chosen:
            for entry in gradebook.assignment_submissions(lab):
                score = max(0.0, float(entry.score) - float(entry.late_submission_penalty or 0.0))
                needs = bool(entry.needs_manual_grade)
                entries[entry.student.id, lab] = Mark(score, float(entry.max_score), needs)
    return Marks(chosen, dict(sorted(learners.items())), entries)


def _require_gradebook(db_url: str) -> None:
    """nbgrader makes a gradebook that it doesn't find; a look must not."""
    require_database(db_url)
    if db_url.startswith("sqlite:///"):
        path = Path(db_url.removeprefix("sqlite:///").partition("?")[0])
        if not path.is_file():
            raise GradingError(f"There is no gradebook {path} yet. Run course grade LAB first, or name one with --db.")
    engine = create_engine(db_url)
    try:
        if "assignment" not in inspect(engine).get_table_names():
            raise GradingError(f"{shown_url(db_url)} is not an nbgrader gradebook. Name another with --db.")
    finally:
        engine.dispose()


def marks_table(table: Marks) -> Table:
    """The table for a terminal; * stands where a person still has to grade."""
    shown = Table(title="Points (* waits for a person)", title_justify="left")
    shown.add_column("learner")
    for lab, points in table.labs.items():
        shown.add_column(f"{lab} (of {points:g})", justify="right")
    for learner in table.learners:
        cells = (table.marks.get((learner, lab)) for lab in table.labs)
        shown.add_row(learner, *(_cell(mark) for mark in cells))
    return shown


def write_csv(table: Marks, path: Path) -> None:
    """One row for each learner, with the column names that Canvas, Moodle and Blackboard read."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["Student", "SIS Login ID", *(f"{lab} ({points:g})" for lab, points in table.labs.items())])
        for learner, name in table.learners.items():
            marks_ = (table.marks.get((learner, lab)) for lab in table.labs)
            scores = ("" if mark is None else f"{mark.score:g}" for mark in marks_)
            writer.writerow([_safe(name or learner), _safe(learner), *scores])


def _safe(text: str) -> str:
    """A name that a spreadsheet will not take for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _cell(mark: Mark | None) -> str:
    if mark is None:
        return ""
    return f"{round(mark.score, 2):g}{'*' if mark.needs_manual else ''}"
