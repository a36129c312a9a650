"""Enters results into the class's gradebook: one writer, one submission at a time; what people entered stays."""

from __future__ import annotations

import hashlib
import json

from nbgrader.api import Gradebook, MissingEntry, SubmittedAssignment

from grading.intake import Learner
from grading.worker import Graded


def open_gradebook(db_url: str, course_id: str) -> Gradebook:
    """A gradebook; with SQLite, one that waits up to 60 s while another process (the formgrader, say) writes."""
    if db_url.startswith("sqlite:///") and "?" not in db_url:
        db_url += "?timeout=60"
    return Gradebook(db_url, course_id)


def enter(gradebook: Gradebook, lab: str, learner: Learner, graded: Graded) -> SubmittedAssignment:
    """Records a graded submission as nbgrader's own autograde does: automatic scores, never manual ones."""
    gradebook.update_or_create_student(learner.id, **_names(learner))
    times = {} if graded.timestamp is None else {"timestamp": graded.timestamp}
    submission = gradebook.update_or_create_submission(lab, learner.id, **times)
    (notebook,) = submission.notebooks
    for grade in notebook.grades:
        grade.auto_score = graded.scores.get(grade.name)
        grade.needs_manual_grade = grade.manual_score is not None or grade.auto_score is None
    for comment in notebook.comments:
        comment.auto_comment = graded.comments.get(comment.name)
    notebook.late_submission_penalty = graded.penalty or None
    gradebook.db.commit()
    return submission


def enter_refusal(gradebook: Gradebook, lab: str, learner: Learner) -> bool:
    """Records a submission that cannot be graded with 0 points, unless the learner has a grade already.

    Returns:
        Whether it was recorded; False means that the earlier grade stays.
    """
    gradebook.update_or_create_student(learner.id, **_names(learner))
    try:
        submission = gradebook.find_submission(lab, learner.id)
    except MissingEntry:
        submission = gradebook.add_submission(lab, learner.id)
    (notebook,) = submission.notebooks
    if any(grade.auto_score is not None or grade.manual_score is not None for grade in notebook.grades):
        return False
    for grade in notebook.grades:
        grade.auto_score, grade.needs_manual_grade = 0, False
    gradebook.db.commit()
    return True


def digest(submission: SubmittedAssignment) -> str:
    """A hash over everything of a submission that its feedback page shows."""
    (notebook,) = submission.notebooks
    shown = {
        "grades": sorted((grade.name, grade.score, grade.max_score) for grade in notebook.grades),
        "comments": sorted((comment.name, comment.comment or "") for comment in notebook.comments),
        "penalty": notebook.late_submission_penalty or 0.0,
    }
    return hashlib.sha256(json.dumps(shown).encode()).hexdigest()


def _names(learner: Learner) -> dict[str, str]:
    """The roster's columns that say something; an empty one must not wipe what the gradebook has."""
    columns = {"first_name": learner.first_name, "last_name": learner.last_name, "email": learner.email}
    return {name: value for name, value in columns.items() if value}
