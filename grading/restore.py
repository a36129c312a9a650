"""Brings a submission back to the shape of the released lab: every cell that nbgrader knows, in its place.

nbgrader overwrites the text of locked cells but trusts much of the learner's metadata: a test marked as not graded is
not graded, a test tagged to be skipped earns full marks, and a deleted pair of cells stops the whole submission. Here
the gradebook's record of each cell decides.
"""

from __future__ import annotations

from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell
from nbgrader.api import Gradebook, Notebook
from nbgrader.preprocessors import NbGraderPreprocessor

from grading.layout import source_notebook_ids


class RestoreCells(NbGraderPreprocessor):
    """Re-adds deleted cells, and resets the metadata of all cells that the lab brought along."""

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        about = resources["nbgrader"]
        with Gradebook(about["db_url"]) as gradebook:
            try:
                records = _records(gradebook.find_notebook(about["notebook"], about["assignment"]))
            finally:
                gradebook.engine.dispose()
        order = self._released_order(about, records)
        taken: set[str] = set()
        for cell in reversed(nb.cells):
            _reset(cell, records, taken)
        for position, name in enumerate(order):
            if not any(_grade_id(cell) == name for cell in nb.cells):
                self.log.warning("Cell '%s' is missing from the submission; it is put back", name)
                nb.cells.insert(_place(nb.cells, order[:position]), _restored(records[name]))
        return nb, resources

    def _released_order(self, about: dict[str, str], records: dict[str, dict[str, Any]]) -> list[str]:
        """The cells' ids in the lab's order, which the gradebook itself does not keep."""
        owner = self.parent  # the exporter, whose parent is the converter
        while owner is not None and not hasattr(owner, "coursedir"):
            owner = owner.parent
        listed = source_notebook_ids(getattr(owner, "coursedir", None), about["assignment"], about["notebook"])
        return [name for name in listed if name in records] + [name for name in records if name not in listed]


def _records(notebook: Notebook) -> dict[str, dict[str, Any]]:
    """What the gradebook knows of each cell: its source and the nbgrader metadata that belongs to it."""
    points = {cell.name: cell.max_score for cell in [*notebook.grade_cells, *notebook.task_cells]}
    graded = {cell.name for cell in notebook.grade_cells}
    solutions = {cell.name for cell in notebook.solution_cells}
    tasks = {cell.name for cell in notebook.task_cells}
    records = {}
    for cell in notebook.source_cells:
        metadata = {
            "grade_id": cell.name,
            "grade": cell.name in graded,
            "solution": cell.name in solutions,
            "locked": bool(cell.locked),
            "task": cell.name in tasks,
            "schema_version": 3,
            "cell_type": cell.cell_type,
            "checksum": cell.checksum,
        }
        if cell.name in points:
            metadata["points"] = points[cell.name]
        records[cell.name] = {"metadata": metadata, "source": cell.source, "cell_type": cell.cell_type}
    return records


def _grade_id(cell: NotebookNode) -> str | None:
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def _reset(cell: NotebookNode, records: dict[str, dict[str, Any]], taken: set[str]) -> None:
    """Takes from a cell's metadata everything that could steer its grading, and gives it what the lab says.

    Of a cell that was copied the last one counts, as in nbgrader, whose own way leaves metadata that it cannot read.
    """
    name = _grade_id(cell)
    cell.metadata = NotebookNode()
    if name in records and name not in taken:
        cell.metadata.nbgrader = NotebookNode(records[name]["metadata"])
        taken.add(name)


def _place(cells: list[NotebookNode], before: list[str]) -> int:
    """Where a missing cell goes: after the last cell present that precedes it in the lab."""
    known = set(before)
    places = [index for index, cell in enumerate(cells) if _grade_id(cell) in known]
    return places[-1] + 1 if places else 0


def _restored(record: dict[str, Any]) -> NotebookNode:
    make = new_code_cell if record["cell_type"] == "code" else new_markdown_cell
    # Unchanged text, so that nbgrader sees an unanswered stub as one ("No response.").
    return make(source=record["source"], metadata=NotebookNode(nbgrader=NotebookNode(record["metadata"])))
