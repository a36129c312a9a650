"""What the expressions of a module refer to, and whether it is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from course_lib.finops.infrastructure.reading import Module

# Names that Terraform itself gives: https://developer.hashicorp.com/terraform/language/expressions/references
GIVEN = ("each", "count", "path", "self", "terraform")
_CHAIN = re.compile(r"(?<![\w.\]])([A-Za-z_][\w-]*)((?:\.[A-Za-z_*][\w-]*|\[[^\[\]]*\])+)")
_LOOP = re.compile(r"\bfor\s+(\w+)(?:\s*,\s*(\w+))?\s+in\b")


def codes(value: Any) -> Iterator[str]:
    """The expressions in a value, with the texts of their literals left out.

    `"a.b ${var.x}"` yields `var.x` alone: what stands in quotes is no reference, except inside `${}`.
    """
    if isinstance(value, dict):
        for inner in value.values():
            yield from codes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from codes(inner)
    elif isinstance(value, str) and "${" in value:
        code, _ = _outside(value, 0) if value.startswith('"') else _inside(value, 0, quoted=True)
        yield code


def _outside(text: str, at: int, stop: str = "") -> tuple[str, int]:
    """From code: copy it until `stop`, skipping literals but for the code in them."""
    found, depth = [], 0
    while at < len(text):
        if text[at] == '"':
            code, at = _inside(text, at + 1)
            found.append(f" {code} ")
            continue
        if stop and text[at] == stop and depth == 0:
            return "".join(found), at + 1
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        found.append(text[at])
        at += 1
    return "".join(found), at


def _inside(text: str, at: int, *, quoted: bool = False) -> tuple[str, int]:
    """Inside a literal: the code of its `${}`, up to the closing quote, or to the end for python-hcl2's `${...}`."""
    found = []
    while at < len(text):
        if text[at] == "\\":
            at += 2
        elif text.startswith(("$${", "%%{"), at):
            at += 3
        elif text.startswith("${", at):
            code, at = _outside(text, at + 2, "}")
            found.append(code)
        elif text[at] == '"' and not quoted:
            return " ".join(found), at + 1
        else:
            at += 1
    return " ".join(found), at


def references(value: Any) -> set[tuple[str, ...]]:
    """The references in a value, such as ("var", "owner") or ("data", "aws_region", "current").

    Names that the expression itself introduces (`for one in ...`) are left out, and so are `each` and the like.
    """
    found = set()
    for code in codes(value):
        own = {name for pair in _LOOP.findall(code) for name in pair if name}
        for head, rest in _CHAIN.findall(code):
            if head in own or head in GIVEN:
                continue
            steps = re.findall(r"\.([A-Za-z_*][\w-]*)", rest)
            if steps:
                found.add((head, *steps[: 2 if head == "data" else 1]))
    return found


def iterators(value: Any) -> set[str]:
    """The names that `dynamic` blocks give to what they repeat."""
    found: set[str] = set()
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "dynamic" and isinstance(inner, list):
                found |= {label for block in inner for label in block}
            found |= iterators(inner)
    elif isinstance(value, list):
        for inner in value:
            found |= iterators(inner)
    return found


def unresolved(module: Module) -> list[str]:
    """References to something that the module doesn't declare, as they stand in the file."""
    missing = set()
    for value in module.values():
        for reference in references(value):
            head = reference[0]
            there = {
                "var": module.variables,
                "local": module.locals,
                "module": module.calls,
            }
            if head in there:
                known = reference[1] in there[head]
            elif head == "data":
                known = reference[1:] in module.data
            else:
                known = reference[:2] in module.resources or head in iterators(value)
            if not known:
                missing.add(".".join(reference))
    return sorted(missing)
