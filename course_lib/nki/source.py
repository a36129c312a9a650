"""The text of a kernel's line: a page shows no numbers beside its code, so `In[5]:12` alone leads nobody to it."""

from __future__ import annotations

import linecache

from course_lib.nki import errors

_MOST_LINES = 12  # of one call


def text_of(line: str) -> str:
    """The statement that begins at a line of a kernel, on one line; empty when its file is not at hand.

    Args:
        line: as an instruction holds it, `file.py:12` or `In[5]:12`.
    """
    name, _, number = line.rpartition(":")
    path = _path(name)
    if not path or not number.isdigit():
        return ""
    taken: list[str] = []
    depth = 0
    for at in range(int(number), int(number) + _MOST_LINES):
        row = linecache.getline(path, at).split("  #")[0].strip()
        taken.append(row)
        depth += sum(row.count(bracket) for bracket in "([{") - sum(row.count(bracket) for bracket in ")]}")
        if depth <= 0:
            break
    joined = " ".join(taken).strip()
    for bracket in "([{":
        joined = joined.replace(f"{bracket} ", bracket)
    for bracket in ")]}":
        joined = joined.replace(f", {bracket}", bracket).replace(f" {bracket}", bracket)
    return joined


def target_of(line: str) -> str:
    """What a line of a kernel assigns to, such as the tile's name; empty when it assigns nothing."""
    left, equals, right = text_of(line).partition("=")
    return left.strip() if equals and not set("([{") & set(left) and not right.startswith("=") else ""


def _path(name: str) -> str:
    """The file behind a name that `errors.kernel_line` gave it."""
    known = next((path for path, shown in errors._NAMES.items() if shown == name), "")
    return known or next((path for path in linecache.cache if errors._cell(str(path)) == name), "")
