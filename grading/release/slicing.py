"""The part of a lab that one solution's tests need: a wrong solution is tried a hundred times, the rest need not run.

Works backward from the tests: a cell stays if it binds, or changes in place, a name that a later part of it reads.
"""

import ast
from collections.abc import Sequence
from typing import Any


def part_for(cells: Sequence[Any], tests: set[str], solution: str) -> list[Any]:
    """Cells, in their order, that have to run before and with some tests.

    Args:
        cells: a notebook's code cells with nbgrader metadata.
        tests: grade ids of the tests.
        solution: grade id of the solution cell that they are about.

    Returns:
        Cells without nbgrader metadata or with solutions, as needed, and these tests; no other test. What comes before
        the first exercise always stays.
    """
    first = next((number for number, cell in enumerate(cells) if "nbgrader" in cell.metadata), len(cells))
    needed: set[str] = set()
    kept = []
    for cell in reversed(cells[first:]):
        about = cell.metadata.get("nbgrader", {})
        tree = ast.parse(cell.source)
        if about.get("grade"):
            stays = about.grade_id in tests
        else:
            stays = about.get("grade_id") == solution or bool(_bound(tree) & needed)
        if stays:
            needed |= _read(tree)
            kept.append(cell)
    return [*cells[:first], *reversed(kept)]


def _read(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def _bound(tree: ast.AST) -> set[str]:
    """Names that a cell defines, imports, or assigns to, also through an index or an attribute."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.Name | ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            target: ast.expr = node
            while isinstance(target, ast.Subscript | ast.Attribute):
                target = target.value
            if isinstance(target, ast.Name):
                found.add(target.id)
    return found
