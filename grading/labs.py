"""The labs of the course and their shape in a gradebook."""

from __future__ import annotations

import difflib
import functools
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters import GenerateAssignment
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config

from grading.errors import GradingError
from grading.layout import Layout, sqlite_url
from grading.nbgrader_log import NbgraderLog
from grading.nbgrader_settings import course_config


def lab_ids(layout: Layout) -> list[str]:
    """Every lab with a text source, or with a source notebook made by nbgrader's own means."""
    written = {path.stem for path in (layout.root / "solutions").glob("*.py")}
    made = {path.name for path in layout.source.glob("*") if (path / f"{path.name}.ipynb").is_file()}
    return sorted(written | made)


def require_source(layout: Layout, lab: str) -> Path:
    """The lab's source notebook, made anew from its text source where there is one.

    Raises:
        GradingError: for an unknown lab.
    """
    labs = lab_ids(layout)
    if lab not in labs:
        near = difflib.get_close_matches(lab, labs, n=1, cutoff=0.3)
        hint = f"Did you mean {near[0]}?" if near else f"Labs: {', '.join(labs) or 'none'}."
        raise GradingError(f"This course has no lab {lab!r}. {hint}")
    if (layout.root / "solutions" / f"{lab}.py").is_file():
        from grading.release.build import build_source
        from grading.release.course import Course
        from grading.release.errors import ReleaseError

        try:
            build_source(lab, Course(layout.root))
        except ReleaseError as error:
            raise GradingError(str(error)) from error
    return layout.source / lab / f"{lab}.ipynb"


def fingerprint(folder: Path) -> str:
    """A hash over a folder's files, by name and content."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            total.update(os.fsencode(path.relative_to(folder)) + b"\0")  # a name need not be UTF-8
            with path.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


@functools.cache
def grader_version() -> str:
    """A hash over the grader's own code: what another grader graded is graded again."""
    total = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        total.update(path.read_bytes())
    return total.hexdigest()


def template_db(layout: Layout, lab: str) -> Path:
    """A gradebook that holds the lab and no learner; each submission is graded into a copy of it.

    It is made once for each version of the lab.
    """
    version = fingerprint(layout.source / lab)[:16]
    path = layout.work / "templates" / f"{lab}-{version}.db"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}.tmp")
        unfinished.unlink(missing_ok=True)
        add_lab(layout, lab, sqlite_url(unfinished))
        unfinished.replace(path)
    return path


def add_lab(layout: Layout, lab: str, db_url: str) -> None:
    """Lets nbgrader enter the lab's cells into a gradebook; labs/ is left alone.

    Raises:
        GradingError: if nbgrader refuses, as it does when tests were added to a lab that has submissions.
    """
    with tempfile.TemporaryDirectory(prefix="release-") as folder:
        config = course_config(layout, db_url=db_url)
        config.merge(
            Config(
                CourseDirectory={"release_directory": str(Path(folder, "release")), "assignment_id": lab},
                GenerateAssignment={"force": True, "create_assignment": True},
            )
        )
        converter = GenerateAssignment(coursedir=CourseDirectory(config=config), config=config)
        log = NbgraderLog()
        converter.log = log.logger
        try:
            converter.start()
        except (NbGraderException, SystemExit) as error:
            raise GradingError(
                f"nbgrader cannot enter {lab} into the gradebook: {log.last_error}. "
                "If questions were added or removed after submissions came in, grade into a new gradebook (--db)."
            ) from error


def ensure_lab(layout: Layout, lab: str, db_url: str) -> None:
    """Enters the lab into the class's gradebook, or updates it there, unless it is there as it is."""
    template = template_db(layout, lab)
    with Gradebook(sqlite_url(template), course_config(layout).CourseDirectory.course_id) as gradebook:
        wanted = _cells(gradebook, lab)
    if not wanted:
        raise GradingError(
            f"{lab} has no cell with nbgrader metadata, so there is nothing to grade. Mark its answers and tests "
            f"in {layout.source / lab / lab}.ipynb with JupyterLab's Create Assignment, then run again."
        )
    new = _new_sqlite_file(db_url)
    if new is not None:
        new.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(template, new)
        return
    with Gradebook(db_url, course_config(layout).CourseDirectory.course_id) as gradebook:
        present = _cells(gradebook, lab)
    if present != wanted:
        add_lab(layout, lab, db_url)


def _new_sqlite_file(db_url: str) -> Path | None:
    """The file that an SQLite URL names if there is none yet."""
    path = Path(db_url.removeprefix("sqlite:///"))
    return path if db_url.startswith("sqlite:///") and "?" not in db_url and not path.exists() else None


def _cells(gradebook: Gradebook, lab: str) -> dict[str, tuple[str, float]]:
    try:
        notebook = gradebook.find_notebook(lab, lab)
    except MissingEntry:
        return {}
    points = {cell.name: float(cell.max_score) for cell in [*notebook.grade_cells, *notebook.task_cells]}
    return {cell.name: (cell.checksum, points.get(cell.name, -1.0)) for cell in notebook.source_cells}


def copy_template(layout: Layout, lab: str, target: Path) -> None:
    """A fresh private gradebook for one submission."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(template_db(layout, lab), target)
