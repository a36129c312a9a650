"""A learner opens lab 00 in JupyterLab, runs it and validates it. Oracle: a real browser on the real application."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

import nbformat
import pytest

from grading.demo_class.drafts import drafts, read_lab
from grading.layout import Layout
from tests.e2e.notebook_page import open_notebook, run_all, show_code_cell, validate
from tests.e2e.server import REPOSITORY, jupyterlab
from tests.e2e.watched import Watched

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]
LAB = "lab00-cost-of-a-run"
RELEASED = REPOSITORY / "labs" / LAB / f"{LAB}.ipynb"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """JupyterLab on copies of the lab: as released, solved, and with a test cell changed behind JupyterLab's back."""
    folder = tmp_path_factory.mktemp("desk")
    shutil.copytree(RELEASED.parent, folder / "released")
    made = drafts(read_lab(LAB, Layout()))
    for name, learner in {"solved": "perfect", "edited": "edited-test"}.items():
        (folder / name).mkdir()
        nbformat.write(made[learner].notebook, folder / name / RELEASED.name)
    with jupyterlab(folder, tmp_path_factory.mktemp("home")) as address:
        yield address


def test_the_released_lab_opens_runs_and_validation_names_all_that_is_left_to_do(watched: Watched, desk: str) -> None:
    open_notebook(watched, desk, f"released/{RELEASED.name}")
    cells = run_all(watched)
    failed = [output for cell in cells for output in cell["outputs"] if output["output_type"] == "error"]
    assert [output["ename"] for output in failed] == ["NotImplementedError"]  # it stops at the first thing to do
    assert cells[0]["outputs"][0]["text"].startswith("Llama 3")  # the cell before it worked
    said = validate(watched)
    to_write = re.findall(r"Check\(\\\"(\w+)\\\", points=[1-9]", RELEASED.read_text())
    assert len(to_write) == 7
    assert [name for name in to_write if f"{name} is not written yet" not in said] == []
    assert watched.foreign == []
    assert watched.errors == []


@pytest.mark.slow
def test_the_solved_lab_validates_and_draws_its_figures(watched: Watched, desk: str) -> None:
    open_notebook(watched, desk, f"solved/{RELEASED.name}")
    cells = run_all(watched)
    assert [cell["count"] for cell in cells] == list(range(1, len(cells) + 1))
    figures = {
        number: output["data"]["application/vnd.plotly.v1+json"]["layout"]["title"]["text"]
        for number, cell in enumerate(cells)
        for output in cell["outputs"]
        if "application/vnd.plotly.v1+json" in output.get("data", {})
    }
    assert len(figures) == 2
    for number, title in figures.items():
        show_code_cell(watched, number)
        watched.page.locator(".js-plotly-plot svg .gtitle", has_text=title).wait_for()
    assert "passes all the tests" in validate(watched)
    assert watched.foreign == []
    assert watched.errors == []


@pytest.mark.slow
def test_a_learner_who_changed_a_test_is_told_so_although_nothing_fails(watched: Watched, desk: str) -> None:
    open_notebook(watched, desk, f"edited/{RELEASED.name}")
    said = validate(watched)
    assert "has changed, but it should not have" in said
    assert "passes all the tests" not in said
    assert watched.foreign == []


@pytest.mark.slow
def test_jupyterlab_lets_a_learner_type_into_an_answer_but_not_into_a_test(watched: Watched, desk: str) -> None:
    open_notebook(watched, desk, f"released/{RELEASED.name}")
    sources = []
    for name in ("def training_flops", "# Test 1"):
        watched.page.locator(".jp-CodeCell .cm-line", has_text=name).first.click()
        watched.page.keyboard.type("typed here")
        cell = watched.page.locator(".jp-CodeCell", has_text=name).first
        sources.append("typed here" in cell.locator(".cm-content").inner_text())
    assert sources == [True, False]
