"""From text source to released folder. Oracle: nbgrader's own reader of the files, and the bytes of a second run."""

import json
import os
import subprocess
import sys

import nbformat
import pytest
from nbgrader.nbgraderformat import MetadataValidator

from grading.release import (
    COURSE,
    LabSourceError,
    ReleaseError,
    UnknownLabError,
    build_source,
    publish,
    regenerate,
    release,
)

LAB = "lab90-areas"


def files(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def released(course):
    return nbformat.read(course.labs / LAB / f"{LAB}.ipynb", as_version=4)


def test_a_source_notebook_is_one_that_nbgrader_accepts(small_course):
    folder = build_source(LAB, small_course)
    notebook = nbformat.read(folder / f"{LAB}.ipynb", as_version=4)
    nbformat.validate(notebook)
    MetadataValidator().validate_nb(notebook)
    graded = {
        c.metadata.nbgrader.grade_id: c.metadata.nbgrader.points
        for c in notebook.cells
        if c.metadata.get("nbgrader", {}).get("grade")
    }
    assert graded == {"test-square-area": 4, "test-wall-area": 3, "say-why": 3}


def test_authors_own_metadata_and_instructors_cells_stay_behind(small_course):
    text = (build_source(LAB, small_course) / f"{LAB}.ipynb").read_text()
    assert "exercises" not in text
    assert "half the class" not in text
    assert '"lab"' not in text


def test_cell_ids_depend_on_the_text_alone(small_course, edit):
    first = nbformat.read(build_source(LAB, small_course) / f"{LAB}.ipynb", as_version=4)
    edit(("# Two functions and a sentence.", "# Two functions, a sentence."))
    second = nbformat.read(build_source(LAB, small_course) / f"{LAB}.ipynb", as_version=4)
    assert [c.id for c in first.cells][1:] == [c.id for c in second.cells][1:]
    assert first.cells[0].id != second.cells[0].id


def test_releasing_twice_gives_the_same_bytes_and_leaves_the_files_alone(small_course):
    assert release(LAB, small_course) is True
    before, time = files(small_course.labs), (small_course.labs / LAB).stat().st_mtime_ns
    assert release(LAB, small_course) is False
    assert files(small_course.labs) == before
    assert (small_course.labs / LAB).stat().st_mtime_ns == time


def test_a_release_holds_the_notebook_without_solutions_outputs_or_strays(small_course):
    release(LAB, small_course)
    assert list(files(small_course.labs)) == [f"{LAB}/{LAB}.ipynb"]
    text = "\n".join(cell.source for cell in released(small_course).cells)
    assert "surface_of_it" not in text
    assert "1523990.25" not in text
    assert "paint is sold" not in text
    assert "def square_area(side):" in text
    assert text.count("raise NotImplementedError()") == 2
    assert not any(cell.get("outputs") for cell in released(small_course).cells)


def test_supporting_files_travel_but_not_caches_and_notebooks(small_course):
    extras = small_course.solutions / LAB
    (extras / "data").mkdir(parents=True)
    (extras / "__pycache__").mkdir()
    for name in ("data/walls.csv", "__pycache__/x.pyc", ".secret", "draft.ipynb"):
        (extras / name).write_text("1")
    release(LAB, small_course)
    assert sorted(files(small_course.labs)) == [f"{LAB}/data/walls.csv", f"{LAB}/{LAB}.ipynb"]


def test_a_failed_release_leaves_the_old_one_whole(small_course, edit, monkeypatch):
    release(LAB, small_course)
    before = files(small_course.labs)
    edit(("return width * height", "return height * width"))

    def refuse(*args, **kwargs):
        raise ReleaseError("nbgrader refused")

    monkeypatch.setattr(publish, "generate", refuse)
    with pytest.raises(ReleaseError):
        release(LAB, small_course)
    assert files(small_course.labs) == before
    assert [p.name for p in small_course.labs.iterdir()] == [LAB]


def test_a_release_writes_no_gradebook(small_course):
    release(LAB, small_course)
    assert list(small_course.root.rglob("*.db")) == []


@pytest.mark.slow
def test_the_pipeline_works_without_an_activated_environment(small_course):
    """nbgrader starts `alembic` by name: a bare PATH must not matter."""
    course = f"Course(Path({str(small_course.root)!r}))"
    program = f"from pathlib import Path; from grading.release import Course, release; release({LAB!r}, {course})"
    environment = {**os.environ, "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, cwd=COURSE.root, timeout=200)
    assert (small_course.labs / LAB / f"{LAB}.ipynb").is_file()


BROKEN = {
    "a syntax error": (("return width * height", "return width *"), "invalid syntax"),
    "an open region": (
        (
            '    ### END SOLUTION\n\n# %% nbgrader={"grade": true, "grade_id": "test-wall',
            '\n# %% nbgrader={"grade": true, "grade_id": "test-wall',
        ),
        "never closed",
    ),
    "no lab header": (("#   lab:\n", "#   lob:\n"), "no lab header"),
    "no hours": (("#     hours: 1\n", ""), "hours"),
    "negative hours": (("hours: 1", "hours: -1"), "hours"),
    "a misspelt header key": (("requires:", "require:"), "require"),
    "no points": (('"points": 4', '"point": 4'), "points"),
    "no grade id": (('"grade_id": "wall-area"', '"id": "wall-area"'), "grade_id"),
    "a broken YAML header": (("title: Areas", "title: [Areas"), "not a jupytext percent source"),
    "a nested region": (("    return width * height", "    ### BEGIN HIDDEN TESTS"), "inside SOLUTION"),
}


@pytest.mark.parametrize(("change", "told"), BROKEN.values(), ids=BROKEN.keys())
def test_a_malformed_source_gets_one_clear_line(small_course, edit, change, told):
    edit(change)
    with pytest.raises(LabSourceError) as caught:
        release(LAB, small_course)
    message = str(caught.value)
    assert told in message
    assert message.startswith(f"solutions/{LAB}.py")
    assert "\n" not in message
    assert not small_course.labs.exists()


def test_a_source_without_nbgrader_metadata_gets_one_clear_line(small_course):
    text = (small_course.solutions / f"{LAB}.py").read_text()
    plain = "\n".join(line.split(" nbgrader=")[0] if line.startswith("# %%") else line for line in text.split("\n"))
    (small_course.solutions / f"{LAB}.py").write_text(plain.replace("### ", "# note "))
    with pytest.raises(LabSourceError, match="no graded cell"):
        release(LAB, small_course)


def test_an_unknown_lab_is_named_with_the_nearest(small_course):
    with pytest.raises(UnknownLabError, match="did you mean lab90-areas"):
        release("lab90-area", small_course)


def test_one_bad_source_stops_no_other_lab(small_course):
    (small_course.solutions / "lab91-broken.py").write_text("# %%\nx = (\n")
    (small_course.solutions / "notes.py").write_text("not a lab")
    results = regenerate(None, small_course)
    assert [(r.lab, r.changed, bool(r.error)) for r in results] == [(LAB, True, False), ("lab91-broken", False, True)]
    assert "\n" not in results[1].error


def test_released_json_is_stable_and_ends_with_a_newline(small_course):
    release(LAB, small_course)
    raw = (small_course.labs / LAB / f"{LAB}.ipynb").read_text()
    assert raw.endswith("\n")
    assert json.loads(raw)["nbformat"] == 4
