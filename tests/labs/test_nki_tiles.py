"""Lab 05: its pictures are those that the code draws, and show what the solutions compute."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from course_lib.nki import activate, profile, witness
from grading.pictures.lab05_nki_tiles import FOLDER, PICTURES, draw
from grading.release.source import read_lab

IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)]*)\)")
EXTRA = {"ahead": (4,)}


@pytest.fixture(scope="module")
def lab():
    return read_lab(FOLDER.with_suffix(".py"))


@pytest.fixture(scope="module")
def kernels(lab):
    """The solutions' kernels by name."""
    activate(quiet=True)
    names: dict = {}
    exec("import nki\nimport nki.isa as nisa\nimport nki.language as nl", names)
    for cell in lab.cells(solution=True, kind="code"):
        exec(cell.source, names)
    return names


def test_every_image_of_the_text_is_drawn_and_described(lab):
    """The folder's files, and the rule that a picture without words does not exist for some readers."""
    text = "\n".join(cell.source for cell in lab.notebook.cells if cell.cell_type == "markdown")
    found = {name: " ".join(alt.split()) for alt, name in IMAGE.findall(text)}
    assert set(found) == {f"{name}.svg" for name in PICTURES} == {path.name for path in FOLDER.iterdir()}
    assert min(len(alt) for alt in found.values()) > 40


@pytest.mark.parametrize("name", PICTURES)
def test_the_committed_picture_is_what_the_code_draws(name):
    """The committed bytes; and an XML parser that we did not write."""
    text = (FOLDER / f"{name}.svg").read_text(encoding="utf-8")
    assert text == draw(name), "run python -m grading.pictures.lab05_nki_tiles"
    root = ET.fromstring(text)
    assert root.tag.endswith("svg")
    assert not re.search(r"<script|href=|url\(", text)


@pytest.mark.parametrize("name", [name for name in PICTURES if name not in ("copy", "rectify")])
def test_a_picture_shows_what_the_kernel_makes_of_its_inputs(name, kernels):
    """The picture's own `out`, computed with NumPy; the kernel's, by instructions."""
    shown = {title: np.asarray(values) for title, values in PICTURES[name]()}
    kernel = kernels[name]
    inputs = kernel.function.__code__.co_varnames[: kernel.function.__code__.co_argcount]
    arrays = [shown[each].astype(np.float32) for each in inputs if each in shown]
    assert np.allclose(witness.Watch(kernel)(*arrays, *EXTRA.get(name, ())), shown["out"], atol=1e-4)


def test_rectify_is_shown_cut_into_its_tiles():
    """NumPy: the tiles put together again, and the larger of x and 0."""
    shown = dict(PICTURES["rectify"]())
    assert np.array_equal(np.concatenate([shown[f"tile {number}"] for number in (1, 2, 3)]), shown["x"])
    assert np.array_equal(np.maximum(shown["x"], 0), shown["out"])


def test_the_rubric_quotes_what_the_model_says_today(lab, kernels):
    """The cost model, asked again: a rubric with last year's numbers would take points from right answers."""
    source = next(cell.source for cell in lab.notebook.cells if "def turn_by_dma" in cell.source)
    exec(source.partition("print(")[0], kernels)
    told = (FOLDER.parents[1] / "grading" / "rubrics" / f"{FOLDER.name}.md").read_text(encoding="utf-8")
    for shape in ((2, 8), (4, 8), (16, 16), (128, 128), (128, 512), (128, 2048)):
        matrix = np.zeros(shape, dtype=np.float32)
        for name in ("turn", "turn_by_dma"):
            micros = profile(kernels[name], target="trn2", execute=False)(matrix).seconds * 1e6
            assert (f"{micros:,.0f}" if micros >= 100 else f"{micros:.3g}") in told, (shape, micros)
