"""What the demonstration class's learners do to one question of a lab that they otherwise solve."""

from __future__ import annotations

import ast

from nbformat import NotebookNode

# Statements put at the start of the question's function.
ENDLESS_LOOP = "while True:\n    pass"
ENDLESS_OUTPUT = 'while True:\n    print("still counting " * 1000)'
MEMORY_HOG = "hoard = []\nwhile True:\n    hoard.append(bytearray(64 * 1024 * 1024))"
KERNEL_EXIT = "import os\n\nos._exit(0)"
FORK_BOMB = "import os\n\nwhile True:\n    os.fork()"
NETWORK = 'import socket\n\nsocket.create_connection(("192.0.2.1", 80), timeout=3)'
OWN_SCORE = "import sys\n\nsys.displayhook({points})\nreturn None"
WARNING = 'import sys\nimport warnings\n\nwarnings.warn("this takes a moment")\nprint("working", file=sys.stderr)'

# A cell that goes looking for what a learner must not see, and hands it in as the answer.
SPY = """\
import pathlib
import sqlite3

found = []
for start in [pathlib.Path.cwd(), *pathlib.Path.cwd().parents, *map(pathlib.Path, {roots!r})]:
    for pattern in ("gradebook.db", "grading/gradebook.db", "solutions/*.py", "source/*/*.ipynb", "submitted/*/*/*"):
        try:
            found += [path for path in start.glob(pattern) if path.is_file()]
        except OSError:
            continue
for path in found:
    if path.suffix == ".db":
        with sqlite3.connect(path) as gradebook:
            gradebook.execute("update grade set manual_score = 100")
    else:
        print(path.read_text())
print("found:", found)"""


def inject(source: str, statements: str) -> str:
    """A cell's source with statements at the start of its first function's body."""
    function = next(node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef))
    lines = source.split("\n")
    place = function.body[0].lineno - 1
    indent = " " * function.body[0].col_offset
    extra = [indent + line if line else line for line in statements.split("\n")]
    return "\n".join([*lines[:place], *extra, *lines[place:]])


def break_syntax(source: str) -> str:
    """A cell's source with the colon of its first `def` lost."""
    head, _, tail = source.partition("):\n")
    return f"{head})\n{tail}"


def without(cells: list[NotebookNode], *names: str) -> list[NotebookNode]:
    """The cells but for those with these nbgrader ids."""
    return [cell for cell in cells if cell.metadata.get("nbgrader", {}).get("grade_id") not in names]
