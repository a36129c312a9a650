"""Text source → nbgrader's source notebook in grading/source/ (generated, never in git: it carries the solutions)."""

import shutil
import tempfile
from copy import deepcopy
from pathlib import Path

import nbformat
from nbformat.notebooknode import NotebookNode

from grading.release.atomic import replace_tree
from grading.release.course import COURSE, Course
from grading.release.source import INSTRUCTOR_TAG, Lab, read_lab

AUTHORS_KEYS = ("exercises",)
NOT_FOR_LEARNERS = shutil.ignore_patterns("__pycache__", "*.pyc", ".*", "*.ipynb", "*.py~", "*.orig")


def source_notebook(lab: Lab) -> NotebookNode:
    """The notebook that nbgrader takes as its source: no instructor's cells, no authors' own metadata."""
    notebook = deepcopy(lab.notebook)
    notebook.cells = [c for c in notebook.cells if INSTRUCTOR_TAG not in c.metadata.get("tags", [])]
    for cell in notebook.cells:
        for key in AUTHORS_KEYS:
            cell.metadata.pop(key, None)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def build_source(lab_id: str, course: Course = COURSE) -> Path:
    """Write grading/source/<lab>/, with the lab's supporting files (`solutions/<lab>/`) beside the notebook.

    Args:
        lab_id: A lab's name, such as `lab00-cost-of-a-run`.
        course: Folders to work in.

    Returns:
        The folder written.

    Raises:
        ReleaseError: If there is no such lab or its source cannot be used.
    """
    lab = read_lab(course.text_source(lab_id))
    target = course.sources / lab_id
    course.sources.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=course.sources) as work:
        made = Path(work) / lab_id
        write_source_folder(lab, made)
        replace_tree(made, target)
    return target


def write_source_folder(lab: Lab, folder: Path) -> None:
    """Write the source notebook and the lab's supporting files into a new folder."""
    extras = lab.path.with_suffix("")
    if extras.is_dir():
        shutil.copytree(extras, folder, ignore=NOT_FOR_LEARNERS)
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(source_notebook(lab), folder / f"{lab.id}.ipynb")
