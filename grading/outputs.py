"""Small helpers on notebook outputs."""

from __future__ import annotations

from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_output


def error_output(name: str, reason: str) -> NotebookNode:
    """An error that the grader itself adds to a cell; nbgrader gives the cell 0 for it."""
    return new_output("error", ename=name, evalue=reason, traceback=[f"{name}: {reason}"])


def fail(cell: NotebookNode, name: str, reason: str) -> None:
    """Gives a cell an error of the grader's; the metadata says so where no learner's code can write."""
    cell.outputs = [o for o in cell.outputs if o.output_type == "stream"] + [error_output(name, reason)]
    cell.metadata["grading"] = {"name": name, "reason": reason}


def size_of(content: Any) -> int:
    """Characters of text in a message's content."""
    if isinstance(content, str):
        return len(content)
    if isinstance(content, dict):
        return sum(size_of(value) for value in content.values())
    if isinstance(content, (list, tuple)):
        return sum(size_of(value) for value in content)
    return 8


def has_error(cell: NotebookNode) -> bool:
    """Whether running the cell ended in an error."""
    return any(output.output_type == "error" for output in cell.get("outputs", []))
