"""What careless and hostile people did to a class. Each test failed before the grader withstood it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from nbformat import write
from nbformat.v4 import new_code_cell, new_notebook

import grading.run
from grading.cli import gradebook
from grading.errors import GradingError
from grading.guard import one_run, require_database, shown_url
from grading.intake import collect, read_roster
from grading.pool import Done
from grading.run import grade
from tests.grading.conftest import LAB, LIMITS, POINTS, RIGHT, SECRET, notebook

ALL = float(sum(POINTS.values()))


def run(course, **options):
    summary = grade(LAB, layout=course, **{"limits": LIMITS, "cell_seconds": 8, "jobs": 2, **options})
    return {outcome.who: outcome for outcome in summary.outcomes}


@pytest.mark.slow
def test_a_later_message_changes_neither_points_nor_what_was_shown_before(course, submit):
    spy = """def double(x):
    from IPython.display import update_display
    update_display(get_ipython().user_ns["In"][-1], display_id="early")
    return 2 * x"""
    cheat = """def half(x):
    hook = get_ipython().displayhook
    def finish():
        hook.msg["content"]["transient"] = {"display_id": "points"}
        del hook.finish_displayhook
        hook.finish_displayhook()
    hook.finish_displayhook = finish
    return 1"""
    later = """from IPython.display import publish_display_data
publish_display_data({"text/plain": "3.0"}, transient={"display_id": "points"}, update=True)"""
    work = notebook({**RIGHT, "double": spy, "half": cheat})
    work.cells.insert(1, new_code_cell("from IPython.display import display\nd = display('x', display_id='early')"))
    work.cells.append(new_code_cell(later))
    submit("mallory", work)
    assert run(course)["mallory"].score == ALL - 2.0  # half(3) is wrong
    assert SECRET not in (course.feedback / "mallory" / LAB / f"{LAB}.html").read_text()


@pytest.mark.slow
def test_unreadable_submissions_cost_the_others_nothing(course, submit):
    submit("ada")
    folder = submit("ben")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.txt")).write_text("a name that is not UTF-8")
    submit("cyd", '{"cells": [' + "9" * 5000 + "]}")
    submit("dot", notebook(RIGHT | {"double": "x = '?'"}))
    path = course.submitted / "dot" / LAB / f"{LAB}.ipynb"
    path.write_text(path.read_text().replace("'?'", "'\\ud800'"))
    outcomes = run(course)
    assert {who: outcome.status for who, outcome in outcomes.items()} == {
        "ada": "graded",
        "ben": "graded",
        "cyd": "not gradable",
        "dot": "not gradable",
    }
    assert "half a character" in outcomes["dot"].reasons[0]


def test_files_without_read_permission_are_refused_by_name(course, submit, monkeypatch):
    submit("ada")
    submit("ben")
    real = grading.run.fingerprint

    def fingerprint(folder):  # root may read everything, so the refusal is staged
        if "ben" in str(folder):
            raise PermissionError(13, "Permission denied")
        return real(folder)

    monkeypatch.setattr(grading.run, "fingerprint", fingerprint)
    outcomes = run(course)
    assert outcomes["ada"].score == ALL
    assert outcomes["ben"].reasons == ("the files cannot be read (Permission denied); check their permissions",)


def test_a_folder_without_permission_is_refused_by_name(course, submit, monkeypatch):
    submit("ben")

    def refuse(folder, labs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("grading.intake._unknown_labs", refuse)
    found, refused = collect(course, LAB, [LAB], None)
    assert not found
    assert "check their permissions" in refused[0].reason


def test_a_folder_in_the_notebooks_place_is_not_to_be_renamed_to_itself(course):
    (course.submitted / "ada" / LAB / f"{LAB}.ipynb").mkdir(parents=True)
    _, (refusal,) = collect(course, LAB, [LAB], None)
    assert "rename" not in refusal.reason


def test_what_is_handed_in_during_the_grading_is_graded_next_time(course, submit, monkeypatch):
    submit("ada", {**RIGHT, "double": "def double(x):\n    return 0"})
    real = grading.run.run_tasks

    def with_an_edit(*arguments, **options):
        for done in real(*arguments, **options):
            if isinstance(done, Done) and arguments[0] == "grading.worker:grade":
                write(notebook(RIGHT), course.submitted / "ada" / LAB / f"{LAB}.ipynb")
            yield done

    monkeypatch.setattr(grading.run, "run_tasks", with_an_edit)
    assert run(course)["ada"].score == ALL - 2
    monkeypatch.setattr(grading.run, "run_tasks", real)
    assert run(course)["ada"].score == ALL


def test_a_second_run_in_the_same_folder_is_refused(course):
    with one_run(course), pytest.raises(GradingError, match="Another course grade"):
        run(course)
    run(course)


def test_a_lab_without_nbgrader_metadata_is_refused_and_leaves_the_gradebook_alone(course):
    (course.source / "plain").mkdir()
    write(new_notebook(cells=[new_code_cell("1")]), course.source / "plain" / "plain.ipynb")
    with pytest.raises(GradingError, match="no cell with nbgrader metadata"):
        grade("plain", layout=course)
    assert not (course.grading / "gradebook.db").exists()


def test_a_broken_source_notebook_is_named_with_nbgraders_own_words(course):
    (course.source / LAB / f"{LAB}.ipynb").write_text("{")
    with pytest.raises(GradingError, match="NotJSONError"):
        run(course)


@pytest.mark.parametrize("content", ["id;first_name\nada;Ada\n", "", "id,first_name\nada,J\xfcrgen\n"])
def test_a_roster_that_is_no_class_list_is_refused(tmp_path, content):
    path = tmp_path / "roster.csv"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(GradingError, match=r"roster\.csv"):
        read_roster(path)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://user:secret@host/x"])
def test_a_database_that_cannot_work_is_refused_without_its_password(url):
    with pytest.raises(GradingError) as caught:
        require_database(url)
    assert "sqlite:///a.db" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "secret" not in shown_url(url)


def test_a_path_that_cannot_be_written_gets_one_line(course, submit, tmp_path):
    run(course)
    done = CliRunner().invoke(gradebook, ["--db", course.default_db_url, "--csv", str(tmp_path / "none" / "a.csv")])
    assert done.exit_code == 1
    assert "cannot be used: No such file or directory" in done.output
