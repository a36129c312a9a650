"""What lies in grading/submitted/ and what is said about it. The oracle is the folder tree that each test makes."""

from __future__ import annotations

import pytest

from grading.intake import Learner, bad_learner_id, collect, read_roster
from tests.grading.conftest import LAB


def look(course, known=None, only=None):
    found, refused = collect(course, LAB, [LAB, "lab91-other"], known, only)
    return [submission.learner for submission in found], {refusal.who: refusal for refusal in refused}


@pytest.mark.parametrize(
    "name", ["ada lovelace", "..", "a..b", "", "../ada", "a/b", "-rf", "x" * 65, "ada\nroot", "$(id)"]
)
def test_a_bad_learner_id_is_named_with_the_rule(name):
    assert "use up to 64 letters, digits" in bad_learner_id(name)


@pytest.mark.parametrize("name", ["ada", "s123456", "ada.lovelace", "a_b-c", "ada@example.org"])
def test_a_usual_learner_id_is_fine(name):
    assert bad_learner_id(name) is None


def test_good_ones_are_found_beside_bad_ones(course, submit):
    submit("ada")
    submit("bad name")
    found, refused = look(course)
    assert found == ["ada"]
    assert "'bad name' cannot be a learner's id" in refused["bad name"].reason
    assert refused["bad name"].learner is None


def test_someone_who_is_not_in_the_class_is_refused_with_the_nearest_name(course, submit):
    submit("ada")
    submit("adda")
    found, refused = look(course, known={"ada"})
    assert found == ["ada"]
    assert refused["adda"].reason.startswith(
        "not in this class; did you mean ada? Add the learner to grading/roster.csv"
    )


def test_without_a_roster_everyone_is_welcome_as_in_nbgrader(course, submit):
    submit("anyone")
    assert look(course)[0] == ["anyone"]


def test_an_unknown_lab_is_refused_with_the_nearest_name(course, submit):
    submit("ada")
    (course.submitted / "ada" / "lab90-toys").mkdir()
    (course.submitted / "ada" / "lab91-other").mkdir()
    found, refused = look(course)
    assert found == ["ada"]
    assert refused["ada"].reason == "this course has no lab 'lab90-toys'; did you mean lab90-toy? Rename the folder"


def test_a_wrongly_named_notebook_is_refused_with_the_right_name(course, submit):
    path = submit("ada") / f"{LAB}.ipynb"
    path.rename(path.with_name(f"{LAB} (1).ipynb"))
    found, refused = look(course)
    assert not found
    assert f"no {LAB}.ipynb, only {LAB} (1).ipynb; rename the notebook" in refused["ada"].reason
    assert refused["ada"].learner == "ada"


def test_a_missing_notebook_is_refused(course, submit):
    (submit("ada") / f"{LAB}.ipynb").unlink()
    assert "ask the learner to submit it" in look(course)[1]["ada"].reason


def test_links_are_refused_wherever_they_stand(course, submit, tmp_path):
    target = submit("ada")
    (course.submitted / "bob").symlink_to(target.parent)
    (course.submitted / "eve").mkdir()
    (course.submitted / "eve" / LAB).symlink_to(target)
    notebook = submit("mallory") / f"{LAB}.ipynb"
    notebook.unlink()
    notebook.symlink_to(course.source / LAB / f"{LAB}.ipynb")
    found, refused = look(course)
    assert found == ["ada"]
    assert all("is a link, which could lead anywhere" in refused[who].reason for who in ("bob", "eve", "mallory"))


def test_a_loose_file_is_refused(course):
    (course.submitted / "ada.zip").write_text("zip")
    assert "unpack it to submitted/<learner>/" in look(course)[1]["ada.zip"].reason


def test_asking_for_someone_who_submitted_nothing_says_so(course):
    assert "nothing was submitted" in look(course, only=["grace"])[1]["grace"].reason
    assert "cannot be a learner's id" in look(course, only=["../grace"])[1]["../grace"].reason


def test_a_roster_has_nbgraders_columns(tmp_path):
    path = tmp_path / "roster.csv"
    path.write_text("id,first_name,last_name,email\nada,Ada,Lovelace,ada@example.org\ngrace,,,\n", encoding="utf-8-sig")
    assert read_roster(path) == {"ada": Learner("ada", "Ada", "Lovelace", "ada@example.org"), "grace": Learner("grace")}
    assert read_roster(tmp_path / "none.csv") is None
