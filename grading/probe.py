"""Questions put to a kernel after a test: does it still report an error, a value, and a check that cannot pass?

A notebook can rewrite the interpreter under its own tests: delete `assert` before a cell runs, swallow errors, print a
score of its own. Each question holds a fresh random number, so the right answer cannot be prepared.
"""

from __future__ import annotations

import ast
import secrets
from collections.abc import Callable

from nbformat import NotebookNode

from grading.outputs import has_error
from grading.verdict import last_expression

MESSAGE = (
    "this notebook changes how its own tests run, so the result does not count; "
    "remove code that alters the notebook's shell, its display or its error handling"
)
Check = Callable[[list[NotebookNode]], bool]


def make() -> list[tuple[str, Check]]:
    """Cells to execute, each with a function that says whether its outputs are what an honest kernel gives."""
    wanted, other = secrets.randbelow(10**9), secrets.randbelow(10**9)
    word = secrets.token_hex(8)
    return [
        (f"assert {wanted} == {wanted} + 1, '{word}'", lambda outputs: _raised(outputs, "AssertionError", word)),
        (f"{wanted} + {other} + 0.5", lambda outputs: _showed(outputs, repr(wanted + other + 0.5))),
    ]


def twin(cell: NotebookNode) -> tuple[str, Check] | None:
    """A test once more, with one check that nobody can pass somewhere among its own: it must not earn the same again.

    This is what stops a notebook that knows a test when it sees one and puts a score in its place, or a checker of its
    own that always gives full marks. Only tests that end with a checker's `score()` have a twin, and only those that
    earned something need one.

    Args:
        cell: an executed, automatically graded cell; its source is the instructor's.

    Returns:
        The twin's source and the function that judges its outputs; None when the test has no twin.
    """
    last = last_expression(cell.source)
    results = [output for output in cell.outputs if output.output_type == "execute_result"]
    if not (isinstance(last, ast.Call) and isinstance(last.func, ast.Attribute) and last.func.attr == "score"):
        return None
    earned = _number(results)
    if not isinstance(last.func.value, ast.Name) or has_error(cell) or earned is None:
        return None
    checker, tree = last.func.value.id, ast.parse(cell.source)
    made = next((place for place, statement in enumerate(tree.body) if _assigns(statement, checker)), None)
    if made is None:
        return None
    value, other = secrets.randbelow(10**6), secrets.randbelow(10**6) + 10**6
    impossible = ast.parse(f"{checker}.number({secrets.token_hex(4)!r}, lambda: {value}, {other})").body[0]
    tree.body.insert(made + 1 + secrets.randbelow(len(tree.body) - made - 1), impossible)
    points = float(cell.metadata.nbgrader["points"])
    return ast.unparse(tree), lambda outputs: _earns_less(outputs, earned, points)


def _assigns(statement: ast.stmt, name: str) -> bool:
    return isinstance(statement, ast.Assign) and any(
        getattr(target, "id", None) == name for target in statement.targets
    )


def _number(results: list[NotebookNode]) -> float | None:
    try:
        return float(results[0].data.get("text/plain", "")) if len(results) == 1 else None
    except ValueError:
        return None


def _earns_less(outputs: list[NotebookNode], earned: float, points: float) -> bool:
    if any(output.output_type == "error" for output in outputs):
        return True
    again = _number([output for output in outputs if output.output_type == "execute_result"])
    # One failed check more changes every share but zero; a function that answers by chance may earn more or less.
    return again is not None and again < points and (again != earned or earned == 0)


def _raised(outputs: list[NotebookNode], name: str, message: str) -> bool:
    errors = [output for output in outputs if output.output_type == "error"]
    return len(errors) == 1 and errors[0].ename == name and errors[0].evalue == message


def _showed(outputs: list[NotebookNode], text: str) -> bool:
    results = [output for output in outputs if output.output_type == "execute_result"]
    return len(results) == 1 and results[0].data.get("text/plain") == text
