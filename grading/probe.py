"""Two questions put to a kernel after a test: does it still report an error, does it still report a value?

A notebook can rewrite the interpreter under its own tests: delete `assert` before a cell runs, swallow errors, print a
score of its own. Each question holds a fresh random number, so the right answer cannot be prepared.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from nbformat import NotebookNode

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


def _raised(outputs: list[NotebookNode], name: str, message: str) -> bool:
    errors = [output for output in outputs if output.output_type == "error"]
    return len(errors) == 1 and errors[0].ename == name and errors[0].evalue == message


def _showed(outputs: list[NotebookNode], text: str) -> bool:
    results = [output for output in outputs if output.output_type == "execute_result"]
    return len(results) == 1 and results[0].data.get("text/plain") == text
