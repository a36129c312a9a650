"""Decides, after a run, what a test cell's outputs are worth, closing gaps in nbgrader's rule.

nbgrader reads outputs in order: the first value counts even when an error follows, any text on stderr is a failure, and
a number outside the cell's range is an exception or full marks. Here an error always decides, a value counts only if
the test itself ends with one, and a warning is not a failure.

Source: nbgrader 0.9.6, `nbgrader.utils.determine_grade`.
"""

from __future__ import annotations

import ast
import math

from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade, is_solution

from grading.outputs import error_output, has_error


class Verdict(NbGraderPreprocessor):
    """Leaves each automatically graded cell with outputs that nbgrader's rule reads as intended."""

    def preprocess_cell(self, cell: NotebookNode, resources: dict, cell_index: int) -> tuple[NotebookNode, dict]:
        if cell.cell_type == "code" and is_grade(cell) and not is_solution(cell):
            settle(cell)
        return cell, resources


def settle(cell: NotebookNode) -> None:
    """Rewrites one test cell's outputs in place.

    Args:
        cell: an executed, automatically graded cell; its source is the instructor's.
    """
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stderr":
            output.name = "stdout"  # kept for the reader; a learner's warning is advice, not a mistake
    results = [output for output in cell.outputs if output.output_type == "execute_result"]
    last = last_expression(cell.source)
    trouble = ""
    if not has_error(cell) and last is not None:
        trouble = _trouble(results, last, float(cell.metadata.nbgrader["points"]))
    if has_error(cell) or last is None or trouble:
        # A value beside an error, or from a test that ends without one, was put out by the code under test.
        cell.outputs = [output for output in cell.outputs if output.output_type != "execute_result"]
    if trouble:
        cell.outputs.append(error_output("ScoreError", trouble))
        cell.metadata["grading"] = {"name": "ScoreError", "reason": trouble}


def last_expression(source: str) -> ast.expr | None:
    """The expression whose value the notebook shows for a cell, None if its last statement isn't one."""
    lines = [line for line in source.splitlines() if not line.lstrip().startswith(("%", "!"))]
    try:
        body = ast.parse("\n".join(lines)).body
    except SyntaxError:
        return None
    if not body or not isinstance(body[-1], ast.Expr) or source.rstrip().endswith(";"):
        return None
    return body[-1].value


def _trouble(results: list[NotebookNode], last: ast.expr, points: float) -> str:
    """What is wrong with a test's value, for the learner too: never with the value, which could carry a hidden test."""
    if len(results) > 1:
        return "the tested code put out a score of its own"
    if not results:
        # A call such as assert_equal(...) gives None and shows nothing; a score must show.
        if isinstance(last, ast.Call) and getattr(last.func, "attr", None) != "score":
            return ""
        return "the test ended without showing its points"
    text = results[0].data.get("text/plain", "")
    try:
        score = float(text)
    except ValueError:
        return "the test ended with something that is no number of points"
    if not math.isfinite(score) or not 0 <= score <= points:
        return f"the test gave points outside 0 to {points:g}"
    return ""
