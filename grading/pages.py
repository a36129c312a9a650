"""What of a learner's work reaches the browser of the instructor, who looks at it in the formgrader.

nbgrader's formgrader shows a submission as it is: a script in a learner's answer would run as the instructor, with the
gradebook and the whole Jupyter server at hand. What nbgrader_config.py names from here lets text and pictures through,
and nothing that acts, loads or leads elsewhere.
"""

from __future__ import annotations

import re
from typing import Any

from nbconvert.exporters import HTMLExporter
from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor

from grading.feedback import safe_markdown

PICTURES = ("image/png", "image/jpeg")
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]+")
_KEPT = {"nbgrader", "grading"}


class LearnerPage(HTMLExporter):
    """The exporter of the feedback page; a class of its own, so that its template isn't the formgrader's too."""


class InstructorView(NbGraderPreprocessor):
    """Reduces a submission to text and pictures before the formgrader shows it."""

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        nb.metadata = NotebookNode()
        for cell in nb.cells:
            cell.metadata = NotebookNode({name: about for name, about in cell.metadata.items() if name in _KEPT})
            cell.pop("attachments", None)
            if cell.cell_type == "code":
                cell.outputs = [_plain(output) for output in cell.outputs]
            elif cell.cell_type == "raw":
                cell.cell_type = "markdown"
        return nb, resources


def instructor_markdown(source: str) -> str:
    """Markdown as HTML for the formgrader.

    Links are left out: a click on `/formgrader?path=...` is enough to make it run a configuration that lies there.
    """
    return safe_markdown(source, links=False)


def _plain(output: NotebookNode) -> NotebookNode:
    if "data" not in output:
        return output
    shown = {kind: data for kind, data in output.data.items() if kind in PICTURES and _BASE64.fullmatch(data)}
    if not shown:
        kinds = ", ".join(sorted(output.data))
        shown["text/plain"] = output.data.get("text/plain", f"[{kinds}: open the notebook to see it]")
    output.data, output.metadata = NotebookNode(shown), NotebookNode()
    return output
