"""The commands as people type them, and nbgrader's own in the course folder. The oracle is what they leave behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from nbgrader.api import Gradebook

from grading.cli import grade, gradebook
from grading.layout import REPOSITORY, sqlite_url
from tests.grading.conftest import LAB


@pytest.fixture
def marks_db(tmp_path: Path) -> str:
    """A gradebook with two learners and one lab, written with nbgrader's API."""
    url = sqlite_url(tmp_path / "marks.db")
    with Gradebook(url, "training-at-scale") as book:
        book.add_assignment(LAB)
        book.add_notebook(LAB, LAB)
        book.add_grade_cell("test-a", LAB, LAB, max_score=4, cell_type="code")
        book.add_student("ada", first_name="Ada", last_name="Lovelace")
        book.add_student("=cmd", first_name="", last_name="")
        book.add_submission(LAB, "ada")
        book.find_grade("test-a", LAB, LAB, "ada").auto_score = 3.5
        book.find_grade("test-a", LAB, LAB, "ada").needs_manual_grade = True
        book.db.commit()
    return url


def test_help_has_an_example():
    for command in (grade, gradebook):
        done = CliRunner().invoke(command, ["--help"])
        assert done.exit_code == 0
        assert "Example: course grade" in done.output


def test_gradebook_as_a_table_as_json_and_as_csv(marks_db, tmp_path):
    assert "3.5*" in CliRunner().invoke(gradebook, ["--db", marks_db]).output
    data = json.loads(CliRunner().invoke(gradebook, ["--db", marks_db, "--json"]).output)
    assert data["labs"] == {LAB: 4.0}
    ada = next(learner for learner in data["learners"] if learner["id"] == "ada")
    assert ada["labs"][LAB] == {"score": 3.5, "max_score": 4.0, "needs_manual": True}
    CliRunner().invoke(gradebook, ["--db", marks_db, "--csv", str(tmp_path / "out.csv")])
    assert (tmp_path / "out.csv").read_text().splitlines() == [
        f"Student,SIS Login ID,{LAB} (4)",
        "'=cmd,'=cmd,",
        "Ada Lovelace,ada,3.5",
    ]


def test_looking_at_no_gradebook_makes_none(tmp_path):
    done = CliRunner().invoke(gradebook, ["--db", sqlite_url(tmp_path / "none.db")])
    assert done.exit_code == 1
    assert "There is no gradebook" in done.output
    assert not (tmp_path / "none.db").exists()


def test_another_database_is_not_taken_for_a_gradebook(tmp_path):
    import sqlite3

    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("create table shop (id int)")
    done = CliRunner().invoke(gradebook, ["--db", sqlite_url(tmp_path / "other.db")])
    assert "is not an nbgrader gradebook" in done.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["lab00-cost-of-a-rum"], "Did you mean lab00-cost-of-a-run?"),
        (["lab00-cost-of-a-run", "--db", "nonsense"], "The gradebook cannot be used"),
        (["--jobs", "0"], "0 is not in the range"),
    ],
)
def test_wrong_arguments_get_one_line(arguments, words):
    done = CliRunner().invoke(grade, arguments)
    assert done.exit_code != 0
    assert words in done.output
    assert "Traceback" not in done.output


def test_without_bwrap_grading_refuses_and_names_the_remedy(monkeypatch, tmp_path):
    from grading.sandbox import working_sandbox

    working_sandbox.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    done = CliRunner().invoke(grade, ["lab00-cost-of-a-run"])
    working_sandbox.cache_clear()
    assert done.exit_code == 1
    assert "apt-get install bubblewrap" in done.output
    assert "--no-sandbox" in done.output


@pytest.mark.slow
def test_nbgraders_commands_work_in_the_course_folder(course, submit):
    """The oracle is each command's exit status and the file that nbgrader's documentation says it makes."""
    submit("ada")
    config = (
        f"load_subconfig('nbgrader_config.py', path={str(REPOSITORY / 'grading')!r})\nc = get_config()\n"
        f"c.CourseDirectory.root = {str(course.grading)!r}\nc.CourseDirectory.release_directory = 'release'\n"
    )
    (course.grading / "nbgrader_config.py").write_text(config)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def nbgrader(*arguments: str) -> str:
        command = [sys.executable, "-m", "nbgrader", *arguments]
        done = subprocess.run(command, cwd=course.grading, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    nbgrader("generate_assignment", LAB)
    assert "BEGIN HIDDEN" not in (course.grading / "release" / LAB / f"{LAB}.ipynb").read_text()
    nbgrader("autograde", LAB)
    nbgrader("generate_feedback", LAB)
    page = (course.feedback / "ada" / LAB / f"{LAB}.html").read_text()
    assert "7 of 12 points" in page
    assert "BEGIN HIDDEN" not in page
    nbgrader("export", "--to", "out.csv")
    assert ",7.0,0.0,7.0,12.0" in (course.grading / "out.csv").read_text()
    nbgrader("db", "student", "list")


def test_the_course_folders_configuration_is_one_that_nbgrader_reads():
    """The oracle is nbgrader's own loader, run where an instructor runs it."""
    code = (
        "from nbgrader.apps import NbGraderApp\napp = NbGraderApp.instance()\napp.initialize([])\n"
        "print(app.coursedir.root)\nprint(app.coursedir.release_directory)\nprint(app.config.GradedExecute.timeout)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=REPOSITORY / "grading", capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(REPOSITORY / "grading"), str(REPOSITORY / "labs"), "60"]
