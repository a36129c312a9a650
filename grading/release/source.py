"""Read a lab's text source: jupytext's percent format, nbgrader metadata in the cell headers, a `lab` header on top.

Authors write only what differs from cell to cell; the rest of nbgrader's schema 3 is filled in here, and every cell
gets an id that depends on the text alone, so that the same source always gives the same bytes.
"""

import ast
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import yaml
from IPython.core.inputtransformer2 import TransformerManager
from nbformat.notebooknode import NotebookNode, from_dict
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from grading.release.errors import LabSourceError
from grading.release.regions import regions

INSTRUCTOR_TAG = "instructor"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


class Equivalent(BaseModel):
    """A mutant that changes no result a test could see, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    mutant: str
    reason: str = Field(min_length=20)


class Header(BaseModel):
    """What a lab says about itself, under `lab:` in the source's first block."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    title: str = Field(min_length=3)
    hours: float = Field(gt=0, le=10)
    points: float = Field(gt=0)
    after: str
    requires: tuple[str, ...]
    rooms: tuple[str, ...] = ()
    equivalent_mutants: tuple[Equivalent, ...] = ()


@dataclass(frozen=True)
class Lab:
    """A lab's text source, read.

    Args:
        id: The lab's name, also its file's.
        path: The text source.
        header: What the lab says about itself.
        notebook: All cells in order, nbgrader metadata complete, instructor's cells included.
    """

    id: str
    path: Path
    header: Header
    notebook: NotebookNode

    def cells(self, *, grade: bool | None = None, solution: bool | None = None, kind: str | None = None) -> list[Any]:
        """Cells with nbgrader metadata that match; None means either."""
        return [
            cell
            for cell in self.notebook.cells
            if "nbgrader" in cell.metadata
            and grade in (None, cell.metadata.nbgrader.grade)
            and solution in (None, cell.metadata.nbgrader.solution)
            and kind in (None, cell.cell_type)
        ]


def read_lab(path: Path) -> Lab:
    """Read and check one text source.

    Raises:
        LabSourceError: If the file is not a usable source; one line, naming the place and the remedy.
    """
    where = f"{path.parent.name}/{path.name}"
    try:
        notebook = jupytext.reads(path.read_text(encoding="utf-8"), fmt="py:percent")
    except (ValueError, SyntaxError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise LabSourceError(f"{where}: not a jupytext percent source: {' '.join(str(error).split())}") from error
    header = _header(notebook, where)
    seen: dict[str, int] = {}
    for number, cell in enumerate(notebook.cells, start=1):
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        spot = f"{where}, cell {number}" + (f" ({grade_id})" if grade_id else "")
        _complete(cell, spot)
        _check_text(cell, spot)
        cell.id = _cell_id(cell, seen)
    if not any(cell.metadata.get("nbgrader", {}).get("grade") for cell in notebook.cells):
        raise LabSourceError(f'{where}: no graded cell; mark one with nbgrader={{"grade": true, ...}} in its header.')
    notebook.metadata = from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return Lab(path.stem, path, header, notebook)


def _header(notebook: NotebookNode, where: str) -> Header:
    raw = notebook.metadata.get("lab")
    if raw is None:
        raise LabSourceError(f"{where}: no lab header; add `lab:` with title, hours, points, after, requires.")
    try:
        return Header.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise LabSourceError(f"{where}: lab header, {field}: {first['msg']}; got {first['input']!r:.60}") from error


def _complete(cell: NotebookNode, spot: str) -> None:
    """Fill in nbgrader's schema 3 from the few keys that an author writes."""
    given = cell.metadata.get("nbgrader")
    if given is None:
        return
    if not isinstance(given, dict) or not isinstance(given.get("grade_id"), str):
        raise LabSourceError(f"{spot}: nbgrader metadata needs a grade_id; got {given!r:.80}")
    grade, solution = bool(given.get("grade")), bool(given.get("solution"))
    full = {
        "schema_version": 3,
        "grade_id": given["grade_id"],
        "cell_type": cell.cell_type,
        "grade": grade,
        "solution": solution,
        "locked": not solution,
        "task": False,
    }
    if grade:
        points = given.get("points")
        if isinstance(points, bool) or not isinstance(points, (int, float)) or points < 0:
            raise LabSourceError(f"{spot}: a graded cell needs points, a number of at least 0; got {points!r}")
        full["points"] = points
    unknown = sorted(set(given) - set(full) - {"points"})
    if unknown:
        raise LabSourceError(f"{spot}: unknown nbgrader key {unknown[0]!r}; known: {', '.join([*full, 'points'])}")
    cell.metadata["nbgrader"] = from_dict(full)


def _check_text(cell: NotebookNode, spot: str) -> None:
    """Refuse a cell that Python or nbgrader could not read."""
    regions(cell.source, spot)
    if cell.cell_type != "code":
        return
    try:
        ast.parse(TransformerManager().transform_cell(cell.source))
    except SyntaxError as error:
        line = (error.text or "").strip()
        raise LabSourceError(f"{spot}, line {error.lineno}: {error.msg}: {line!r}") from error


def _cell_id(cell: NotebookNode, seen: dict[str, int]) -> str:
    """The grade id where there is one, else a digest of the text; a repeat gets a number."""
    grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
    base = grade_id or hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
    seen[base] = seen.get(base, 0) + 1
    return base if seen[base] == 1 else f"{base}-{seen[base]}"
