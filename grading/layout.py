"""Where things lie in the instructor's course folder, grading/; nbgrader's configuration tells nbgrader the same."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Layout:
    """The folders of one course.

    Args:
        root: the repository (or a copy of its shape): `solutions/`, `labs/` and `grading/` lie below.
        folder: the class's folder below it; the demonstration class has its own.
    """

    root: Path = REPOSITORY
    folder: str = "grading"

    @property
    def grading(self) -> Path:
        """The class's own folder, nbgrader's course root."""
        return self.root / self.folder

    @property
    def source(self) -> Path:
        """The labs' source notebooks, which all classes share."""
        return self.root / "grading" / "source"

    @property
    def submitted(self) -> Path:
        return self.grading / "submitted"

    @property
    def autograded(self) -> Path:
        return self.grading / "autograded"

    @property
    def feedback(self) -> Path:
        return self.grading / "feedback"

    @property
    def exports(self) -> Path:
        return self.grading / "exports"

    @property
    def work(self) -> Path:
        """Scratch space and records of what was graded; may be deleted at any time."""
        return self.grading / ".work"

    @property
    def roster(self) -> Path:
        return self.grading / "roster.csv"

    @property
    def default_db_url(self) -> str:
        return sqlite_url(self.grading / "gradebook.db")


DEMO = Layout(folder="grading/demo")


def sqlite_url(path: Path) -> str:
    """The database URL of an SQLite file."""
    return f"sqlite:///{path}"


def source_notebook_ids(coursedir: Any, assignment: str, notebook: str) -> list[str]:
    """The nbgrader ids of a lab's cells in the lab's order; empty when the source notebook isn't there.

    Args:
        coursedir: nbgrader's CourseDirectory, or None.
    """
    if coursedir is None:
        return []
    folder = Path(coursedir.format_path(coursedir.source_directory, ".", assignment))
    path = folder / f"{notebook}.ipynb"
    if not path.is_file():
        return []
    cells = json.loads(path.read_text(encoding="utf-8")).get("cells", [])
    names = [cell.get("metadata", {}).get("nbgrader", {}).get("grade_id") for cell in cells]
    return [name for name in names if name]
