"""Hidden tests inside a test cell: finding them, leaving them out, and what may be said about them to a learner."""

from __future__ import annotations

import ast
import builtins
import re

BEGIN, END = "BEGIN HIDDEN TESTS", "END HIDDEN TESTS"
PLACE = "# (more tests ran here; they are not shown)"
_MARK = re.compile(r"^\s*([✓✗])\s+(.*?)\s*$")
_HINT = re.compile(r"^\s*hint:\s+(.*?)\s*$")

# Fixed sentences for errors: the error's own text was made by the learner's code, which can read this cell.
_SENTENCES = {
    "NotImplementedError": "The function is not written yet.",
    "AssertionError": "A test did not hold.",
    "NameError": "A name was used that does not exist; run all cells from the top in a fresh kernel.",
    "Tampered": "The notebook changes how its own tests run, so their result does not count.",
    "LabFailure": "No test passed yet.",
}


def has_hidden(source: str) -> bool:
    """Whether a cell holds hidden tests."""
    return BEGIN in source


def without_hidden(source: str) -> str:
    """A test cell's source as a learner may see it; a region that is never closed is hidden to the end."""
    shown: list[str] = []
    inside = False
    for line in source.splitlines():
        if BEGIN in line:
            inside = True
            shown.append(PLACE)
        elif END in line:
            inside = False
        elif not inside:
            shown.append(line)
    return "\n".join(shown)


def messages(source: str, texts: list[str]) -> list[tuple[str, str]]:
    """The results of a cell's single tests, in words that the instructor wrote.

    Args:
        source: the whole test cell.
        texts: what running it printed or raised. Learners' code can print there too, and can read hidden tests by
            then, so a line counts only if it repeats a string that stands in the cell.

    Returns:
        Pairs of a mark ("✓", "✗", "hint", "") and an instructor's text.
    """
    authored = _strings(source)
    found: list[tuple[str, str]] = []
    for line in "\n".join(texts).splitlines():
        mark, hint = _MARK.match(line), _HINT.match(line)
        if mark and mark.group(2) in authored:
            found.append((mark.group(1), mark.group(2)))
        elif hint and hint.group(1) in authored:
            found.append(("hint", hint.group(1)))
        elif line.strip().removeprefix("AssertionError: ") in authored:
            found.append(("✗", line.strip().removeprefix("AssertionError: ")))
    return list(dict.fromkeys(found))


def sentence(error_name: str) -> str:
    """A plain sentence for an error, by its type alone; an unknown type's name is not repeated."""
    if error_name in _SENTENCES:
        return _SENTENCES[error_name]
    kind = getattr(builtins, error_name, None)
    if isinstance(kind, type) and issubclass(kind, BaseException):
        return f"The code raised {error_name}."
    return "The code raised an error."


def _strings(source: str) -> set[str]:
    lines = [line for line in source.splitlines() if not line.lstrip().startswith(("%", "!"))]
    try:
        tree = ast.parse("\n".join(lines))
    except SyntaxError:
        return set()
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return {node.value.strip() for node in nodes if len(node.value.strip()) >= 4}
