"""A notebook that knows a test when it sees one earns nothing by it. Oracle: real kernels, graded as a class is."""

import shutil
from pathlib import Path

import nbformat
import pytest

from grading.layout import Layout
from grading.release import build_source
from grading.run import grade

LAB = "lab00-cost-of-a-run"
ROOT = Path(__file__).resolve().parents[2]

CHEATS = {
    "rewrites-the-test-as-a-score": """
import ast
class Rewrite(ast.NodeTransformer):
    def visit_Module(self, node):
        return ast.parse("4.0") if "labkit" in ast.dump(node) else node
get_ipython().ast_transformers.append(Rewrite())
""",
    "answers-before-the-test-is-read": """
def answer(lines):
    return ["3.9\\n"] if "labkit" in "".join(lines) else lines
get_ipython().input_transformers_post.append(answer)
""",
    "brings-a-checker-of-its-own": """
import importlib, sys, types
import course_lib
class Check:
    def __init__(self, *words, points, **options):
        self.points = points
    def __getattr__(self, name):
        return lambda *words, **options: None
    def score(self):
        return float(self.points)
course_lib.labkit = sys.modules["course_lib.labkit"] = types.SimpleNamespace(Check=Check)
importlib.reload = lambda module: module
""",
}


@pytest.fixture
def course(tmp_path: Path) -> Layout:
    for name in ("labs", "solutions"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "grading" / "rubrics", tmp_path / "grading" / "rubrics")
    shutil.copy(ROOT / "grading" / "nbgrader_config.py", tmp_path / "grading")
    shutil.copytree(ROOT / "grading" / "templates", tmp_path / "grading" / "templates")
    return Layout(root=tmp_path)


def submit(course: Layout, learner: str, notebook: nbformat.NotebookNode) -> None:
    folder = course.submitted / learner / LAB
    folder.mkdir(parents=True)
    nbformat.write(notebook, folder / f"{LAB}.ipynb")


@pytest.mark.slow
def test_scores_put_in_a_tests_place_earn_nothing_and_honest_work_keeps_its_points(course: Layout) -> None:
    for learner, code in CHEATS.items():
        notebook = nbformat.read(course.root / "labs" / LAB / f"{LAB}.ipynb", as_version=4)
        cells = [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id")]
        cells[0].source += f"\n{code}"
        submit(course, learner, notebook)
    solved = nbformat.read(build_source(LAB) / f"{LAB}.ipynb", as_version=4)
    submit(course, "honest", solved)
    half = nbformat.read(build_source(LAB) / f"{LAB}.ipynb", as_version=4)
    answer = next(cell for cell in half.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == "roofline")
    answer.source = answer.source.replace("/ bytes_per_s", "* 1.0 / bytes_per_s + 0.0").replace('"memory"', '"Memory"')
    submit(course, "nearly", half)
    scores = {outcome.who: outcome.score for outcome in grade(LAB, layout=course).outcomes}
    assert {scores[learner] for learner in CHEATS} == {0}
    assert scores["honest"] == 40
    assert 34 < scores["nearly"] < 40, "partial credit survives being asked twice"
