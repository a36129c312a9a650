"""A small course of its own for the grading tests: one lab with three tested questions and a written one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from nbformat import NotebookNode, write
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from grading.layout import Layout
from grading.limits import MIB, Limits

LAB = "lab90-toy"
SECRET = "SECRET_OF_THE_HIDDEN_TESTS"
LIMITS = Limits(memory_bytes=700 * MIB, wall_seconds=90, cpu_seconds=60, processes=48)
RIGHT = {
    "double": "def double(x):\n    return 2 * x",
    "square": "def square(x):\n    return x * x",
    "half": "def half(x):\n    return x / 2",
    "essay": "Because it is so.",
}
STUB = "def {0}(x):\n    raise NotImplementedError()"
TESTS = {
    "double": f"""assert double(2) == 4
### BEGIN HIDDEN TESTS
# {SECRET}
assert double(7) == 14
### END HIDDEN TESTS""",
    "square": """assert square(2) == 4, 'square(2) is 4'
### BEGIN HIDDEN TESTS
assert square(-3) == 9, 'a negative number'
### END HIDDEN TESTS""",
    "half": """points = 1.0 * (half(2) == 1)
### BEGIN HIDDEN TESTS
points += 2.0 * (half(3) == 1.5)
### END HIDDEN TESTS
points""",
}
POINTS = {"double": 2, "square": 2, "half": 3}
ESSAY_POINTS = 5


def nbgrader(name: str, **about: object) -> dict[str, dict[str, object]]:
    """An nbgrader cell's metadata."""
    plain = {"grade_id": name, "grade": False, "solution": False, "locked": False, "task": False, "schema_version": 3}
    return {"nbgrader": {**plain, **about}}


def notebook(answers: dict[str, str], *, hidden: bool = False) -> NotebookNode:
    """The lab with these answers; what isn't answered is the stub."""
    cells = [new_markdown_cell("# A toy"), new_code_cell("import math")]
    for name, points in POINTS.items():
        text = answers.get(name, STUB.format(name))
        cells.append(new_code_cell(text, metadata=nbgrader(name, solution=True)))
        test = (
            TESTS[name] if hidden else TESTS[name].split("### BEGIN")[0] + TESTS[name].split("TESTS")[-1].lstrip("\n")
        )
        about = nbgrader(f"test-{name}", grade=True, locked=True, points=points)
        cells.append(new_code_cell(test.strip(), metadata=about))
    essay = nbgrader("essay", grade=True, solution=True, points=ESSAY_POINTS)
    cells.append(new_markdown_cell(answers.get("essay", "YOUR ANSWER HERE"), metadata=essay))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


@pytest.fixture
def course(tmp_path: Path) -> Layout:
    """An empty class with the toy lab's source notebook."""
    layout = Layout(tmp_path)
    folder = layout.source / LAB
    folder.mkdir(parents=True)
    solved = {name: f"### BEGIN SOLUTION\n{text}\n### END SOLUTION" for name, text in RIGHT.items()}
    write(notebook(solved, hidden=True), folder / f"{LAB}.ipynb")
    layout.submitted.mkdir()
    return layout


@pytest.fixture
def submit(course: Layout) -> Callable[..., Path]:
    """Hands a notebook, or any text, in for a learner; returns the folder."""

    def hand_in(learner: str, what: NotebookNode | dict[str, str] | str | None = None) -> Path:
        folder = course.submitted / learner / LAB
        folder.mkdir(parents=True)
        path = folder / f"{LAB}.ipynb"
        if isinstance(what, str):
            path.write_text(what)
        else:
            write(what if isinstance(what, NotebookNode) else notebook(RIGHT if what is None else what), path)
        return folder

    return hand_in
