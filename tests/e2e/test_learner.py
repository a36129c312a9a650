"""A learner opens lab 00 in JupyterLab, runs it and validates it. Oracle: a real browser on the real application."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import TimeoutError

from tests.e2e.conftest import Watched, jupyterlab

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]
LAB = "lab00-cost-of-a-run"


def open_notebook(watched: Watched, address: str, path: str) -> None:
    watched.page.goto(f"{address}/lab/tree/{path}")
    watched.page.locator(".jp-NotebookPanel .jp-Cell").first.wait_for()
    # cells that are run before the kernel has started stay as they are
    watched.page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']").first.wait_for()


RAN = """() => {
  const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(e => e.textContent);
  return prompts.some(t => /\\d/.test(t)) && !prompts.some(t => t.includes('*'));
}"""


def run_all(watched: Watched) -> None:
    """Run > Run All Cells, then wait for the last cell; as a learner would, once more when nothing ran at all.

    JupyterLab drops what is run in the moment in which a new kernel connects.
    """
    page = watched.page
    for attempt in range(3):
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        try:
            page.wait_for_function(RAN, timeout=20_000 + 20_000 * attempt)
            return
        except TimeoutError:
            continue
    pytest.fail("Run All Cells ran no cell in three attempts")


def validate(watched: Watched) -> str:
    """Press nbgrader's Validate button; return what the dialog says."""
    watched.page.locator("jp-button.validate-button").click()
    dialog = watched.page.locator(".nbgrader-SuccessDialog, .nbgrader-ErrorDialog").first
    dialog.wait_for(timeout=180_000)
    return dialog.inner_text()


def test_the_released_lab_opens_runs_and_validation_names_what_is_left_to_do(watched, lab_folder, tmp_path):
    with jupyterlab(lab_folder, tmp_path) as address:
        open_notebook(watched, address, f"{LAB}/{LAB}.ipynb")
        run_all(watched)
        # JupyterLab takes cells that are out of sight off the page's layout, so the output is only "attached"
        watched.page.locator(".jp-OutputArea-output", has_text="NotImplementedError").first.wait_for(state="attached")
        said = validate(watched)
    assert "failed" in said.lower()
    assert watched.foreign == []


@pytest.mark.slow
def test_the_solved_lab_validates_and_draws_its_figures(watched, tmp_path):
    from grading.release import build_source

    folder = tmp_path / "solved"
    folder.mkdir()
    shutil.copy(build_source(LAB) / f"{LAB}.ipynb", folder)
    with jupyterlab(folder, tmp_path) as address:
        open_notebook(watched, address, f"{LAB}.ipynb")
        run_all(watched)
        watched.page.locator(".js-plotly-plot").first.wait_for(state="attached")
        said = validate(watched)
    assert "passes all the tests" in said
    assert watched.foreign == []


def test_the_checkout_is_not_touched_by_the_copy(lab_folder):
    original = Path(__file__).resolve().parents[2] / "labs" / LAB / f"{LAB}.ipynb"
    assert (lab_folder / LAB / f"{LAB}.ipynb").read_bytes() == original.read_bytes()
