"""A class from submissions to grades. The oracle is what each submission was made to be worth."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook

import grading.run
from grading.errors import GradingError
from grading.layout import REPOSITORY
from grading.limits import Limits
from grading.run import grade
from grading.summary import Summary
from tests.grading.conftest import ESSAY_POINTS, LAB, LIMITS, POINTS, RIGHT, SECRET, STUB, notebook

ALL = float(sum(POINTS.values()))
COURSE = "training-at-scale"
HERE = REPOSITORY / "grading"


def run(course, **options: object) -> Summary:
    return grade(LAB, layout=course, **{"limits": LIMITS, "cell_seconds": 8, "jobs": 2, **options})


def scores(summary: Summary) -> dict[str, float | None]:
    return {outcome.who: outcome.score for outcome in summary.outcomes}


def by_cell(course, learner: str) -> dict[str, tuple[float | None, float | None, bool]]:
    """Automatic score, manual score and whether a person has to look, from the gradebook itself."""
    with Gradebook(course.default_db_url, COURSE) as gradebook:
        (entry,) = gradebook.find_submission(LAB, learner).notebooks
        return {g.name: (g.auto_score, g.manual_score, bool(g.needs_manual_grade)) for g in entry.grades}


def test_a_class_is_graded_from_end_to_end(course, submit):
    submit("ada")
    submit(
        "bob", {**RIGHT, "square": "def square(x):\n    return abs(x) * x", "half": "def half(x):\n    return x // 2"}
    )
    submit("eve", "this is no notebook")
    summary = run(course)
    # double 2 + half 1 of 3 (the hidden part is missed); square fails on its hidden test alone
    assert scores(summary) == {"ada": ALL, "bob": 3.0, "eve": 0.0}
    assert [outcome.status for outcome in summary.outcomes] == ["graded", "graded", "not gradable"]
    assert by_cell(course, "bob")["test-half"] == (1.0, None, False)
    assert by_cell(course, "ada")["essay"] == (None, None, True)

    rows = {row["student_id"]: row for row in csv.DictReader(summary.export.open())}
    assert {name: float(row["score"]) for name, row in rows.items()} == {"ada": ALL, "bob": 3.0, "eve": 0.0}
    assert float(rows["ada"]["max_score"]) == ALL + ESSAY_POINTS

    page = (course.feedback / "bob" / LAB / f"{LAB}.html").read_text()
    assert "3 of 12 points" in page
    assert "not passed: a negative number" in page
    for kept_back in (SECRET, "double(7)", "half(3)", "square(-3)", "http:", "https:", "<script"):
        assert kept_back not in page
    notice = (course.feedback / "eve" / LAB / f"{LAB}.html").read_text()
    assert "is not JSON" in notice
    assert (course.autograded / "bob" / LAB / f"{LAB}.ipynb").is_file()
    assert not (course.work / "running").exists() or not any((course.work / "running").iterdir())

    again = run(course)
    assert scores(again) == scores(summary)
    assert all(outcome.unchanged for outcome in again.outcomes)
    assert again.seconds < summary.seconds / 2


def test_grades_given_by_hand_and_earlier_grades_survive_bad_submissions(course, submit):
    folder = submit("ada")
    submit("bob", {})
    run(course)
    with Gradebook(course.default_db_url, COURSE) as gradebook:
        gradebook.find_grade("essay", LAB, LAB, "ada").manual_score = 4
        gradebook.find_grade("test-double", LAB, LAB, "bob").extra_credit = 1
        gradebook.find_comment("essay", LAB, LAB, "ada").manual_comment = "Well said."
        gradebook.db.commit()
    before = by_cell(course, "ada")
    (folder / f"{LAB}.ipynb").write_text("")
    summary = run(course)
    ada = next(outcome for outcome in summary.outcomes if outcome.who == "ada")
    assert ada.status == "not gradable"
    assert ada.reasons[-1] == "the grade from before stays"
    assert by_cell(course, "ada") == before
    assert scores(summary) == {"ada": ALL + 4, "bob": 1.0}


def test_a_comment_by_hand_reaches_the_page_on_the_next_run(course, submit):
    submit("ada")
    run(course)
    with Gradebook(course.default_db_url, COURSE) as gradebook:
        gradebook.find_grade("essay", LAB, LAB, "ada").manual_score = 5
        gradebook.find_comment("essay", LAB, LAB, "ada").manual_comment = "Well <said>."
        gradebook.db.commit()
    again = run(course)
    assert again.outcomes[0].unchanged
    page = (course.feedback / "ada" / LAB / f"{LAB}.html").read_text()
    assert "12 of 12 points" in page
    assert "Well &lt;said&gt;." in page


def test_a_resubmission_is_graded_anew_and_a_manual_grade_waits_for_a_second_look(course, submit):
    folder = submit("ada")
    run(course)
    with Gradebook(course.default_db_url, COURSE) as gradebook:
        gradebook.find_grade("essay", LAB, LAB, "ada").manual_score = 5
        gradebook.db.commit()
    shutil.rmtree(folder.parent)
    submit("ada", {**RIGHT, "double": STUB.format("double")})
    assert scores(run(course)) == {"ada": ALL - 2 + 5}
    assert by_cell(course, "ada")["essay"] == (None, 5.0, True)


@pytest.mark.slow
def test_parallel_equals_serial_equals_nbgraders_own_autograde(course, submit):
    """The oracle is `nbgrader autograde` itself, run over the same submissions with the same configuration."""
    submit("ada")
    submit("bob", {**RIGHT, "half": "def half(x):\n    return x // 2"})
    submit("eve", {"double": "import os\nos._exit(1)", "essay": "I tried."})
    submit("joe", {**RIGHT, "square": "def square(x):\n    while True: pass"})
    assert scores(run(course)) == {"ada": 7.0, "bob": 5.0, "eve": 0.0, "joe": 5.0}
    parallel = {learner: by_cell(course, learner) for learner in ("ada", "bob", "eve", "joe")}
    (course.grading / "gradebook.db").unlink()
    run(course, jobs=1)
    assert {learner: by_cell(course, learner) for learner in parallel} == parallel
    (course.grading / "gradebook.db").unlink()

    (course.grading / "nbgrader_config.py").write_text(
        f"load_subconfig('nbgrader_config.py', path={str(HERE)!r})\nc = get_config()\n"
        f"c.CourseDirectory.root = {str(course.grading)!r}\nc.GradedExecute.timeout = 8\n"
        f"c.CourseDirectory.release_directory = 'release'\nc.GradedExecute.limits = {LIMITS.as_dict()!r}\n"
    )
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for command in ("generate_assignment", "autograde"):
        subprocess.run(
            [sys.executable, "-m", "nbgrader", command, LAB, "--force"],
            cwd=course.grading,
            env=environment,
            check=True,
            capture_output=True,
        )
    assert {learner: by_cell(course, learner) for learner in parallel} == parallel


def test_a_roster_names_the_class_and_gives_the_csv_its_names(course, submit):
    course.roster.write_text("id,first_name,last_name,email\nada,Ada,Lovelace,ada@example.org\n")
    submit("ada", {})
    submit("intruder")
    summary = run(course)
    assert scores(summary) == {"ada": 0.0, "intruder": None}
    (row,) = csv.DictReader(summary.export.open())
    assert (row["student_id"], row["last_name"], row["email"]) == ("ada", "Lovelace", "ada@example.org")


def test_edited_deleted_doubled_and_disguised_cells_are_put_right(course, submit):
    wrong = notebook({**RIGHT, "double": "def double(x):\n    return 0"})
    cells = {cell.metadata.get("nbgrader", {}).get("grade_id"): cell for cell in wrong.cells}
    cells["test-double"].source = "pass"
    cells["test-double"].metadata.nbgrader["points"] = 2000
    cells["test-square"].metadata.nbgrader["grade"] = False
    cells["test-half"].metadata["tags"] = ["skip-execution"]
    wrong.cells.remove(cells["half"])
    wrong.cells.append(cells["square"].copy())
    submit("ada", wrong)
    summary = run(course)
    assert scores(summary) == {"ada": 2.0}  # square alone
    assert by_cell(course, "ada")["test-square"] == (2.0, None, False)


@pytest.mark.slow
def test_a_late_submission_pays_nbgraders_penalty(course, submit):
    (course.grading / "nbgrader_config.py").write_text(
        f"load_subconfig('nbgrader_config.py', path={str(HERE)!r})\n"
        "c = get_config()\n"
        "c.LateSubmissionPlugin.penalty_method = 'zero'\n"
    )
    folder = submit("ada")
    (folder / "timestamp.txt").write_text("2026-01-01 12:00:00 UTC")
    run(course)
    with Gradebook(course.default_db_url, COURSE) as gradebook:
        gradebook.update_or_create_assignment(LAB, duedate="2025-12-31 12:00:00 UTC")
    assert scores(run(course, force=True)) == {"ada": 0.0}
    with Gradebook(course.default_db_url, COURSE) as gradebook:
        gradebook.grant_extension(LAB, "ada", days=2)
    assert scores(run(course, force=True)) == {"ada": ALL}


def test_an_unknown_lab_is_refused_with_the_nearest_name(course):
    with pytest.raises(GradingError, match=r"no lab 'lab90-tyo'\. Did you mean lab90-toy\?"):
        grade("lab90-tyo", layout=course, limits=Limits())


def test_a_worker_that_dies_is_this_submissions_loss_alone(course, submit, monkeypatch):
    """A deadline of nothing kills every worker at its first task; the class still ends, with a reason for each."""
    monkeypatch.setattr(grading.run, "OVERHEAD_SECONDS", -LIMITS.wall_seconds)
    submit("ada")
    submit("bob")
    summary = run(course)
    assert all("longer than 0 s" in outcome.reasons[0] for outcome in summary.outcomes)
    monkeypatch.undo()
    assert scores(run(course)) == {"ada": 0.0, "bob": 0.0}


def test_questions_added_after_submissions_are_refused_and_nothing_is_lost(course, submit):
    submit("ada")
    run(course)
    before = by_cell(course, "ada")
    path = course.source / LAB / f"{LAB}.ipynb"
    changed = nbformat.read(path, as_version=4)
    changed.cells = [c for c in changed.cells if c.metadata.get("nbgrader", {}).get("grade_id") != "test-half"]
    nbformat.write(changed, path)
    with pytest.raises(GradingError, match="grade into a new gradebook"):
        run(course)
    assert by_cell(course, "ada") == before
