"""Writes the demonstration class's submissions to a class folder, and says what each of them deserves."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import nbformat

from grading.demo_class.drafts import drafts, read_lab
from grading.errors import GradingError
from grading.layout import DEMO, Layout

MARK = ".demo-class"


def make(lab: str, layout: Layout = DEMO) -> dict[str, float]:
    """Writes the submissions to `<class folder>/submitted/<learner>/<lab>/`.

    Args:
        lab: the lab's id.
        layout: where; the demonstration class's own folder by default.

    Returns:
        The points that each learner deserves from the automatic tests.

    Raises:
        GradingError: if a folder in the way was not made by this function.
    """
    content = read_lab(lab, layout)
    made = drafts(content)
    for learner in [*made, *BROKEN]:
        _clear(layout.submitted / learner)
    for learner, draft in made.items():
        target = _folder(layout, learner, lab)
        nbformat.write(draft.notebook, target / f"{lab}.ipynb")
    for learner, text in BROKEN.items():
        (_folder(layout, learner, lab) / f"{lab}.ipynb").write_text(text)
    return expected(lab, layout)


BROKEN = {"not-json": "I had trouble uploading the file. Can I send it by mail?\n", "empty-file": ""}


def expected(lab: str, layout: Layout = DEMO) -> dict[str, float]:
    """The points that each learner of the demonstration class deserves from the automatic tests."""
    grades = {learner: draft.deserved for learner, draft in drafts(read_lab(lab, layout)).items()}
    return {**grades, **dict.fromkeys(BROKEN, 0.0)}


def undeserved(grades: Mapping[str, float | None], lab: str, layout: Layout = DEMO) -> list[str]:
    """Compares a run's points with what was deserved; one line for each difference."""
    return [
        f"{learner} got {grades.get(learner)} points and deserves {points:g}"
        for learner, points in expected(lab, layout).items()
        if learner in grades and grades[learner] != points
    ]


def remove(layout: Layout = DEMO) -> None:
    """Removes the demonstration class's submissions, and nothing else."""
    for mark in layout.submitted.glob(f"*/{MARK}"):
        shutil.rmtree(mark.parent)


def _clear(folder: Path) -> None:
    if folder.exists() and not (folder / MARK).is_file():
        raise GradingError(f"{folder} holds a submission that the demonstration did not make; move it away first.")
    shutil.rmtree(folder, ignore_errors=True)


def _folder(layout: Layout, learner: str, lab: str) -> Path:
    folder = layout.submitted / learner / lab
    folder.mkdir(parents=True)
    (layout.submitted / learner / MARK).write_text("made by grading.demo_class; may be deleted\n")
    return folder
