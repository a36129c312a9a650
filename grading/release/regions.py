"""nbgrader's marked regions inside a cell: which lines a learner never sees."""

from dataclasses import dataclass

from grading.release.errors import LabSourceError

SOLUTION, HIDDEN_TESTS, MARK_SCHEME = "SOLUTION", "HIDDEN TESTS", "MARK SCHEME"
KINDS = (SOLUTION, HIDDEN_TESTS, MARK_SCHEME)


@dataclass(frozen=True)
class Region:
    """Lines `first` to `last` of a cell (1-based, markers excluded) between `BEGIN kind` and `END kind`."""

    kind: str
    first: int
    last: int
    lines: tuple[str, ...]


def regions(text: str, where: str = "cell") -> list[Region]:
    """The marked regions of a cell's text, in order.

    Raises:
        LabSourceError: If a region is not closed, is closed twice or contains another.
    """
    found: list[Region] = []
    open_kind, start = "", 0
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        for kind in KINDS:
            if f"BEGIN {kind}" in line:
                if open_kind:
                    raise LabSourceError(f"{where}, line {number}: BEGIN {kind} inside {open_kind}; close that first.")
                open_kind, start = kind, number
            elif f"END {kind}" in line:
                if open_kind != kind:
                    raise LabSourceError(f"{where}, line {number}: END {kind} without its BEGIN; add or remove one.")
                found.append(Region(kind, start + 1, number - 1, tuple(lines[start : number - 1])))
                open_kind = ""
    if open_kind:
        raise LabSourceError(f"{where}, line {start}: BEGIN {open_kind} is never closed; add END {open_kind}.")
    return found


def without_regions(text: str, where: str = "cell") -> list[str]:
    """The cell's lines outside every region, markers left out too."""
    lines = text.split("\n")
    dropped = {n for r in regions(text, where) for n in range(r.first - 1, r.last + 2)}
    return [line for number, line in enumerate(lines, start=1) if number not in dropped]
