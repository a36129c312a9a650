"""Small wrong versions of a solution: an operator, a constant, a comparison or a line changed, one at a time.

Tests that let such a version pass do not ask for what it got wrong. Follows DeMillo, Lipton and Sayward 1978, "Hints on
test data selection" (IEEE Computer 11:4).
"""

import ast
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from grading.release.regions import SOLUTION, regions

BINARY = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
}
COMPARISON = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
OPPOSITES = {"min": "max", "max": "min", "any": "all", "all": "any", "ceil": "floor", "floor": "ceil"}
TRANSPARENT = {"sorted", "abs", "round", "int"}


@dataclass(frozen=True)
class Mutant:
    """One wrong version of a solution cell.

    Args:
        grade_id: The solution cell.
        change: What was changed, as `before -> after`.
        source: The whole cell with that change.
    """

    grade_id: str
    change: str
    source: str

    @property
    def name(self) -> str:
        return f"{self.grade_id}: {self.change}"


def mutants_of(cell: Any) -> list[Mutant]:
    """All mutants of a solution cell, inside its solution region (or the whole cell if it has none)."""
    tree = ast.parse(cell.source)
    marked = [r for r in regions(cell.source) if r.kind == SOLUTION]
    inside = {n for r in marked for n in range(r.first, r.last + 1)} or set(range(1, cell.source.count("\n") + 2))
    untouched = _messages(tree)
    found: dict[str, Mutant] = {}
    for index, node in enumerate(ast.walk(tree)):
        if getattr(node, "lineno", 0) not in inside or id(node) in untouched:
            continue
        for change in _changes(node):
            copy = deepcopy(tree)
            target = list(ast.walk(copy))[index]
            before = ast.unparse(target)
            after = _replace(copy, target, change(target))
            source = ast.unparse(ast.fix_missing_locations(copy))
            if source != ast.unparse(tree):
                mutant = Mutant(cell.metadata.nbgrader.grade_id, f"{_line(before)} -> {_line(after)}", source)
                found.setdefault(f"{getattr(node, 'lineno', 0)} {mutant.change}", mutant)
    return list(found.values())


def _changes(node: ast.AST) -> Iterator[Callable[[Any], ast.AST]]:
    """Functions that turn a copy of this node into a wrong one."""
    if isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in BINARY:
        yield _set("op", BINARY[type(node.op)]())
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)):
            yield lambda n: ast.BinOp(left=n.right, op=n.op, right=n.left)
    if isinstance(node, ast.Compare):
        for position, operator in enumerate(node.ops):
            for other in COMPARISON.get(type(operator), ()):
                yield _set_operator(position, other())
    if isinstance(node, ast.BoolOp):
        yield _set("op", ast.Or() if isinstance(node.op, ast.And) else ast.And())
    if isinstance(node, ast.UnaryOp):
        yield lambda n: n.operand
    if isinstance(node, ast.Constant):
        yield from (_set("value", value) for value in _other_values(node.value))
    if isinstance(node, ast.If):
        yield lambda n: _set("test", ast.UnaryOp(op=ast.Not(), operand=n.test))(n)
    if isinstance(node, ast.IfExp):
        yield lambda n: ast.IfExp(test=n.test, body=n.orelse, orelse=n.body)
    if isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
        yield _set("value", ast.Constant(None))
    if isinstance(node, ast.Call) and (name := _called(node)) in OPPOSITES:
        yield lambda n: _rename_call(n, OPPOSITES[name])
    if isinstance(node, ast.Call) and _called(node) in TRANSPARENT and len(node.args) == 1:
        yield lambda n: n.args[0]
    if isinstance(node, (ast.Raise, ast.AugAssign)) or _is_bare_call(node) or _is_update(node):
        yield lambda n: ast.Pass()


def _other_values(value: Any) -> list[Any]:
    """Wrong values for a literal: off by one, off by a factor of two, the other truth value, another word."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, (int, float)):
        return sorted({value + 1, value * 2, value - 1} - {value}) if value in (0, 1) else [value + 1, value * 2]
    if isinstance(value, str):
        return [value + "_"]
    return []


def _messages(tree: ast.AST) -> set[int]:
    """Nodes of error messages, f-strings' fixed parts and docstrings: their wording is the learner's own."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise):
            found |= {id(part) for part in ast.walk(node)} - {id(node)}
        elif isinstance(node, ast.JoinedStr):
            found |= {id(part) for part in node.values}
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found.add(id(node.value))
    return found


def _replace(tree: ast.AST, target: ast.AST, new: ast.AST) -> str:
    """Put `new` where `target` stands in the tree (they may be the same, changed in place); returns its text."""
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if value is target:
                setattr(parent, field, new)
            elif isinstance(value, list):
                value[:] = [new if item is target else item for item in value]
    return ast.unparse(ast.fix_missing_locations(new))


def _set(field: str, value: Any) -> Callable[[Any], ast.AST]:
    def change(node: Any) -> ast.AST:
        setattr(node, field, value)
        return node

    return change


def _set_operator(position: int, operator: ast.cmpop) -> Callable[[Any], ast.AST]:
    def change(node: Any) -> ast.AST:
        node.ops[position] = operator
        return node

    return change


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")


def _rename_call(node: Any, name: str) -> ast.AST:
    if isinstance(node.func, ast.Name):
        node.func.id = name
    else:
        node.func.attr = name
    return node


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_bare_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)


def _is_update(node: ast.AST) -> bool:
    """`x = f(x)`: without the line the old x remains."""
    if not isinstance(node, ast.Assign):
        return False
    targets = {n.id for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Name)}
    return bool(targets & {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)})


def _line(text: str) -> str:
    return " ".join(text.split())
