"""Makes a clean copy of a learner's notebook: what they wrote, and nothing that could trip or flood the grader.

The original is only read. Outputs are dropped (they are made anew), sizes are bounded, and every cell is rebuilt
from its type, its text and nbgrader's id, so that a malformed field elsewhere costs nothing.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_raw_cell

from grading.errors import SubmissionError
from grading.limits import MIB

FILE_BYTES = 512 * MIB
TEXT_CHARACTERS = 20 * MIB
SUPPORTING_BYTES = 200 * MIB
SUPPORTING_FILES = 1000


def clean_copy(source: Path, target: Path, lab: str) -> list[str]:
    """Copies a submission's folder for grading.

    Args:
        source: the learner's folder for the lab.
        target: new folder.
        lab: the lab's id, which is also the notebook's name.

    Returns:
        Remarks: what was left out.

    Raises:
        SubmissionError: if there is nothing that could be graded.
    """
    notebook = read_notebook(source / f"{lab}.ipynb")
    target.mkdir(parents=True)
    try:
        nbformat.write(notebook, target / f"{lab}.ipynb")
    except UnicodeEncodeError as error:
        raise SubmissionError(
            f"{lab}.ipynb holds half a character ({error.object[error.start]!a}), which is no text; "
            "delete it in JupyterLab, save and submit again"
        ) from error
    return _copy_supporting_files(source, target)


def read_notebook(path: Path) -> nbformat.NotebookNode:
    """A learner's notebook, rebuilt from its cells' text.

    Raises:
        SubmissionError: naming what is wrong, the limit and the remedy.
    """
    size = path.stat().st_size
    if size == 0:
        raise SubmissionError(f"{path.name} is empty (0 bytes); ask the learner to save and submit it again")
    if size > FILE_BYTES:
        raise SubmissionError(
            f"{path.name} has {size / MIB:,.0f} MiB, more than {FILE_BYTES / MIB:,.0f}; "
            "clear all outputs and submit it again"
        )
    cells = _cells(_parse(path), path.name)
    notebook = new_notebook(cells=[_rebuilt(cell) for cell in cells])
    if not any("nbgrader" in cell.metadata for cell in notebook.cells):
        raise SubmissionError(
            f"{path.name} has no nbgrader metadata, so no question can be found in it; "
            "download the lab again, copy the answers into it and submit that"
        )
    text = sum(len(cell.source) for cell in notebook.cells)
    if text > TEXT_CHARACTERS:
        raise SubmissionError(
            f"{path.name} holds {text / MIB:,.0f} Mi characters of text, more than {TEXT_CHARACTERS / MIB:,.0f}; "
            "remove pasted data and submit it again"
        )
    return notebook


def _parse(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise SubmissionError(
            f"{path.name} is not UTF-8 text (byte {error.start}); submit the .ipynb file itself"
        ) from error
    except json.JSONDecodeError as error:
        raise SubmissionError(
            f"{path.name} is not JSON (line {error.lineno}: {error.msg}); submit the .ipynb file that JupyterLab saved"
        ) from error
    except (ValueError, RecursionError, MemoryError) as error:  # a ValueError: a number of thousands of digits
        raise SubmissionError(f"{path.name} is nested too deeply or too large to read; submit a notebook") from error


def _cells(content: Any, name: str) -> list[dict[str, Any]]:
    if not isinstance(content, dict) or not isinstance(content.get("cells"), list):
        older = isinstance(content, dict) and "worksheets" in content
        what = "a notebook of an old format" if older else "JSON, but not a notebook (no list of cells)"
        raise SubmissionError(f"{name} is {what}; open it in JupyterLab, save it and submit that file")
    return [cell for cell in content["cells"] if isinstance(cell, dict)]


def _rebuilt(cell: dict[str, Any]) -> nbformat.NotebookNode:
    text = cell.get("source", "")
    source = "".join(part for part in text if isinstance(part, str)) if isinstance(text, list) else str(text)
    make = {"code": new_code_cell, "markdown": new_markdown_cell}.get(str(cell.get("cell_type")), new_raw_cell)
    metadata = cell.get("metadata")
    about = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    kept: dict[str, Any] = {}
    if isinstance(about, dict) and isinstance(about.get("grade_id"), str):
        kept = {"nbgrader": {**about, "schema_version": 3}}
    return make(source=source, metadata=kept)


def _copy_supporting_files(source: Path, target: Path) -> list[str]:
    remarks: list[str] = []
    size = count = 0
    for path in _walk(source):
        name = path.relative_to(source)
        if path.is_symlink():
            remarks.append(f"left out the link {name}")
            continue
        if path.suffix == ".ipynb" or not path.is_file():
            continue
        size, count = size + path.stat().st_size, count + 1
        if size > SUPPORTING_BYTES or count > SUPPORTING_FILES:
            remarks.append(
                f"left out files from {name} on (limit {SUPPORTING_FILES} files, {SUPPORTING_BYTES / MIB:,.0f} MiB)"
            )
            break
        if name == Path("timestamp.txt") and not _is_timestamp(path):
            remarks.append("ignored timestamp.txt, which holds no date")
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / name)
    return remarks


def _walk(folder: Path) -> list[Path]:
    """Files below a folder and the links in it; links are not followed."""
    found: list[Path] = []
    for place, folders, files in os.walk(folder):
        found += [Path(place, name) for name in folders if Path(place, name).is_symlink()]
        folders[:] = [name for name in folders if name != ".ipynb_checkpoints"]
        found += [Path(place, name) for name in files]
    return sorted(found)


def _is_timestamp(path: Path) -> bool:
    from nbgrader.utils import parse_utc

    if path.stat().st_size > 200:
        return False
    try:
        parse_utc(path.read_text(encoding="utf-8").strip())
    except (ValueError, OverflowError):  # UnicodeDecodeError is a ValueError too
        return False
    return True
