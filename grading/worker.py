"""Grades one submission from end to end in a private course folder with a private gradebook.

Runs in a worker process. Nothing here touches the class's gradebook or the learner's files: the caller moves the result
in when it is complete.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.api import Gradebook
from nbgrader.converters import Autograde, GenerateFeedback
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from sqlalchemy.exc import SAWarning
from traitlets.config import Config

from grading.confined import KernelStartError
from grading.errors import SubmissionError
from grading.intake import unreadable
from grading.layout import Layout, sqlite_url
from grading.nbgrader_log import NbgraderLog
from grading.nbgrader_settings import course_config
from grading.notebook import clean_copy


@dataclass(frozen=True)
class Task:
    """What a worker needs to grade one submission.

    Args:
        layout: the course's folders.
        learner, lab: whose submission of what.
        folder: the learner's files.
        work: new private folder; the gradebook `gradebook.db` is in it already.
        sandbox: whether the kernel is shut in.
        limits: limits that differ from the default, by name.
        cell_seconds: time limit of one cell, None for the configuration's.
    """

    layout: Layout
    learner: str
    lab: str
    folder: Path
    work: Path
    sandbox: bool
    limits: dict[str, int]
    cell_seconds: int | None


@dataclass(frozen=True)
class Graded:
    """What came of it.

    Args:
        refused: why the submission cannot be graded; "" when it was.
        scores: automatic points by notebook cell id; None where a person has to grade.
        comments: nbgrader's automatic comments by cell id ("No response.").
        penalty: points taken off for lateness.
        timestamp: when it was submitted, as in the gradebook.
        autograded: folder with the executed notebook.
        reasons: what happened, one line each.
    """

    refused: str = ""
    scores: dict[str, float | None] = field(default_factory=dict)
    comments: dict[str, str | None] = field(default_factory=dict)
    penalty: float = 0.0
    timestamp: Any = None
    autograded: Path | None = None
    reasons: tuple[str, ...] = ()


def grade(task: Task) -> Graded:
    """Grades one submission.

    Raises:
        KernelStartError: when no kernel can be started; that says nothing about the submission.
    """
    submitted = task.work / "submitted" / task.learner / task.lab
    try:
        remarks = clean_copy(task.folder, submitted, task.lab)
    except SubmissionError as error:
        return Graded(refused=str(error))
    except OSError as error:
        return Graded(refused=unreadable(error))
    warnings.simplefilter("ignore", SAWarning)  # on nbgrader's own way of adding rows
    db_url = sqlite_url(task.work / "gradebook.db")
    log = NbgraderLog()
    trouble = _autograde(task, db_url, log)
    if trouble:
        return Graded(refused=trouble)
    autograded = task.work / "autograded" / task.learner / task.lab
    notebook = nbformat.read(autograded / f"{task.lab}.ipynb", as_version=4)
    return _read_grades(task, db_url, autograded, tuple(remarks + what_happened(notebook) + log.remarks()))


def _autograde(task: Task, db_url: str, log: NbgraderLog) -> str:
    config = course_config(
        task.layout,
        db_url=db_url,
        submitted_directory=str(task.work / "submitted"),
        autograded_directory=str(task.work / "autograded"),
        assignment_id=task.lab,
        student_id=task.learner,
    )
    config.merge(Config({"GradedExecute": {"sandbox": task.sandbox, "limits": task.limits}}))
    if task.cell_seconds is not None:
        config.GradedExecute.timeout = task.cell_seconds
    converter = Autograde(coursedir=CourseDirectory(config=config), config=config)
    converter.log = log.logger
    try:
        converter.start()
    except (NbGraderException, SystemExit):
        if log.kernel_trouble:
            raise KernelStartError(log.kernel_trouble) from None
        return f"nbgrader could not grade it: {log.last_error}; look into the notebook and submit it again"
    return ""


def _read_grades(task: Task, db_url: str, autograded: Path, reasons: tuple[str, ...]) -> Graded:
    course_id = course_config(task.layout).CourseDirectory.course_id
    with Gradebook(db_url, course_id) as gradebook:
        submission = gradebook.find_submission(task.lab, task.learner)
        (notebook,) = submission.notebooks
        return Graded(
            scores={grade.name: grade.auto_score for grade in notebook.grades},
            comments={comment.name: comment.auto_comment for comment in notebook.comments},
            penalty=notebook.late_submission_penalty or 0.0,
            timestamp=submission.timestamp,
            autograded=autograded,
            reasons=reasons,
        )


def what_happened(notebook: nbformat.NotebookNode) -> list[str]:
    """One line for each cell that the grader had to stop, named by the nearest question."""
    found: list[str] = []
    before = "the start"
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        note = cell.metadata.get("grading")
        if note:
            found.append(f"{name or f'a cell after {before}'}: {note['reason']}")
        before = name or before
    return found


@dataclass(frozen=True)
class FeedbackTask:
    """What a worker needs to write one learner's feedback page."""

    layout: Layout
    learner: str
    lab: str
    db_url: str


def write_feedback(task: FeedbackTask) -> None:
    """Writes grading/feedback/<learner>/<lab>/<lab>.html from the gradebook and the autograded notebook."""
    config = course_config(task.layout, db_url=task.db_url, assignment_id=task.lab, student_id=task.learner)
    config.GenerateFeedback.force = True
    converter = GenerateFeedback(coursedir=CourseDirectory(config=config), config=config)
    log = NbgraderLog()
    converter.log = log.logger
    try:
        converter.start()
    except (NbGraderException, SystemExit) as error:
        raise RuntimeError(f"no feedback for {task.learner}: {log.last_error}") from error
