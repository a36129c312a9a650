"""A learner opens lab 05: pictures show before any cell runs, a wrong kernel is drawn. Oracle: a real browser."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest

from tests.e2e.notebook_page import open_notebook, run_all, show_code_cell
from tests.e2e.server import REPOSITORY, jupyterlab
from tests.e2e.watched import Watched

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(400)]
LAB = "lab05-nki-tiles"
FIRST_TRY = """@nki.jit
def fahrenheit(x):
    tile = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=tile, src=x)
    nisa.tensor_scalar(dst=tile, data=tile, op0=nl.add, operand0=32.0, op1=nl.multiply, operand1=1.8)
    nisa.dma_copy(dst=out, src=tile)
    return out
"""


def test_puzzles_show_their_pictures_and_draw_a_wrong_answer(watched: Watched, tmp_path: Path) -> None:
    folder = shutil.copytree(REPOSITORY / "labs" / LAB, tmp_path / "desk" / "lab")
    path = folder / f"{LAB}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    answer = next(c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == "fahrenheit")
    answer.source = FIRST_TRY
    nbformat.write(notebook, path)
    with jupyterlab(tmp_path / "desk", tmp_path / "home") as address:
        open_notebook(watched, address, f"lab/{path.name}")
        picture = watched.page.locator(".jp-MarkdownCell img").first
        picture.scroll_into_view_if_needed()
        watched.page.wait_for_function("() => document.querySelector('.jp-MarkdownCell img')?.naturalWidth > 100")
        assert picture.get_attribute("alt")
        cells = run_all(watched)
        drawn = [
            (number, output["data"]["image/svg+xml"])
            for number, cell in enumerate(cells)
            for output in cell["outputs"]
            if "image/svg+xml" in output.get("data", {})
        ]
        assert len(drawn) == 1
        number, svg = drawn[0]
        for title in ("expected", "yours", "difference"):
            assert title in svg
        show_code_cell(watched, number)
        watched.page.locator(".jp-OutputArea-output img, .jp-OutputArea-output svg").first.wait_for()
        watched.page.screenshot(path=tmp_path / "drawn.png")
    assert watched.foreign == []
    assert watched.errors == []
