"""The demonstration class. The oracle is the table of what each submission was made to deserve."""

from __future__ import annotations

import ast
import json
import shutil

import nbformat
import pytest

from grading.demo_class import CELL_SECONDS, LIMITS, expected, faults, make, remove, undeserved
from grading.errors import GradingError
from grading.layout import REPOSITORY, Layout
from grading.run import grade
from tests.grading.conftest import LAB, notebook

REAL = "lab00-cost-of-a-run"


@pytest.fixture
def released(course):
    """The toy lab, released."""
    folder = course.root / "labs" / LAB
    folder.mkdir(parents=True)
    nbformat.write(notebook({}), folder / f"{LAB}.ipynb")
    return course


def test_it_has_the_kinds_that_a_grader_meets(released):
    made = make(LAB, released)
    assert {"perfect", "half-right", "syntax-error", "infinite-loop", "deleted-cell", "edited-test"} <= made.keys()
    assert {
        "endless-output",
        "memory-hog",
        "kernel-exit",
        "fork-bomb",
        "network",
        "noisy",
        "spy",
        "not-json",
    } <= made.keys()
    assert made["perfect"] == made["noisy"] == 7
    assert made["untouched"] == made["spy"] == made["not-json"] == 0


def test_it_is_the_same_each_time(released):
    def content():
        return {path: path.read_bytes() for path in released.submitted.rglob("*") if path.is_file()}

    make(LAB, released)
    first = content()
    make(LAB, released)
    assert content() == first


def test_a_learners_own_folder_is_never_overwritten(released):
    own = released.submitted / "perfect"
    own.mkdir()
    with pytest.raises(GradingError, match="did not make; move it away first"):
        make(LAB, released)
    assert not (released.submitted / "half-right").exists()
    own.rmdir()
    make(LAB, released)
    (released.submitted / "grace").mkdir()
    remove(released)
    assert [path.name for path in released.submitted.iterdir()] == ["grace"]


def test_a_fault_goes_into_the_functions_body():
    source = '@wrap\ndef f(x,\n      y=1):\n    """Doc."""\n    return x'
    body = ast.parse(faults.inject(source, "while True:\n    pass")).body[0].body
    assert isinstance(body[0], ast.While)
    with pytest.raises(SyntaxError):
        ast.parse(faults.break_syntax("def f(x):\n    return x"))


def test_an_answer_that_others_build_on_costs_their_points_too(tmp_path):
    """Oracle: lab 09 by hand: sort_by_expert has 3 points, and parallel_layer, with 3 more, calls it."""
    lab = "lab09-expert-parallel"
    for folder in ("solutions", "labs"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    deserved = expected(lab, Layout(tmp_path, folder="grading/demo"))
    assert deserved["perfect"] - deserved["own-score"] == 3 + 3
    assert 0 < deserved["half-right"] < deserved["perfect"]


def test_a_difference_is_named(released):
    assert undeserved({"perfect": 7.0}, LAB, released) == []
    assert undeserved({"spy": 7.0}, LAB, released) == ["spy got 7.0 points and deserves 0"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_everyone_gets_what_they_deserve(tmp_path):
    layout = Layout(tmp_path, folder="grading/demo")
    shutil.copytree(REPOSITORY / "solutions", tmp_path / "solutions")
    shutil.copytree(REPOSITORY / "labs", tmp_path / "labs")
    make(REAL, layout)
    summary = grade(REAL, layout=layout, limits=LIMITS, cell_seconds=CELL_SECONDS)
    got = {outcome.who: outcome.score for outcome in summary.outcomes}
    assert got == expected(REAL, layout)
    reasons = {outcome.who: " ".join(outcome.reasons) for outcome in summary.outcomes}
    assert "was stopped" in reasons["infinite-loop"]
    assert "was stopped" in reasons["endless-output"]
    assert "ended the Python process" in reasons["kernel-exit"]
    assert "processes and threads" in reasons["fork-bomb"]
    assert "was put back" in reasons["deleted-cell"]
    assert "is not JSON" in reasons["not-json"]
    secrets = _hidden_lines(layout)
    for page in layout.feedback.rglob("*.html"):
        text = page.read_text()
        assert not [line for line in secrets if line in text]
        assert "http:" not in text.replace("http://www.w3.org", "")
        assert " src=" not in text.replace(' src="data:', "")


def _hidden_lines(layout: Layout) -> list[str]:
    source = nbformat.read(layout.source / REAL / f"{REAL}.ipynb", as_version=4)
    found: list[str] = []
    for cell in source.cells:
        inside = False
        for line in cell.source.splitlines():
            if "HIDDEN TESTS" in line:
                inside = "BEGIN" in line
            elif inside and len(line.strip()) > 12:
                found.append(line.strip())
    released = (layout.root / "labs" / REAL / f"{REAL}.ipynb").read_text()
    secret = [line for line in found if json.dumps(line)[1:-1] not in released]
    assert len(secret) > 20
    return secret
