"""Submissions of every broken kind, read or refused in one line. The oracle is the table of faults below."""

from __future__ import annotations

import json
import resource

import nbformat
import pytest

from grading.errors import SubmissionError
from grading.limits import MIB
from grading.notebook import clean_copy, read_notebook
from tests.grading.conftest import LAB, RIGHT, notebook

CODE = '{"cells": [{"cell_type": "code", "source": "1", "metadata": {}}], "metadata": {}, "nbformat": 4}'


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty (0 bytes); ask the learner"),
        (b"I mailed it", "is not JSON (line 1: Expecting value)"),
        (b'{"cells": [', "is not JSON"),
        (b"\xff\xfe\x00\x01", "is not UTF-8 text (byte 0)"),
        (b"PK\x03\x04\x14\x00\xff", "is not UTF-8 text"),
        (b"[1, 2]", "JSON, but not a notebook"),
        (b'{"cells": "none"}', "JSON, but not a notebook"),
        (b"null", "JSON, but not a notebook"),
        (b'{"worksheets": [], "nbformat": 3}', "a notebook of an old format"),
        (b"[" * 200_000, "nested too deeply"),
        (CODE.encode(), "has no nbgrader metadata"),
    ],
)
def test_an_unreadable_notebook_gets_one_line(content, words, tmp_path):
    path = tmp_path / f"{LAB}.ipynb"
    path.write_bytes(content)
    with pytest.raises(SubmissionError) as caught:
        read_notebook(path)
    assert words in str(caught.value)
    assert str(caught.value).startswith(path.name)
    assert "\n" not in str(caught.value)
    assert ";" in str(caught.value)  # a fault; a remedy


def test_a_notebook_that_is_too_large_is_refused_unread(tmp_path):
    path = tmp_path / f"{LAB}.ipynb"
    with path.open("wb") as file:
        file.truncate(513 * MIB)
    with pytest.raises(SubmissionError, match="513 MiB, more than 512; clear all outputs"):
        read_notebook(path)


def test_text_that_is_too_long_is_refused(tmp_path):
    path = tmp_path / f"{LAB}.ipynb"
    nbformat.write(notebook({**RIGHT, "double": "#" * 21 * MIB}), path)
    with pytest.raises(SubmissionError, match="21 Mi characters of text, more than 20; remove pasted data"):
        read_notebook(path)


def test_two_hundred_megabytes_of_output_are_dropped_within_the_workers_memory(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    full = json.loads(nbformat.writes(notebook(RIGHT)))
    full["cells"][1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["x" * 99 + "\n"] * 2_000_000}]
    path = folder / f"{LAB}.ipynb"
    path.write_text(json.dumps(full))
    assert path.stat().st_size > 200_000_000
    before = path.stat().st_mtime_ns
    clean_copy(folder, tmp_path / "out", LAB)
    assert (tmp_path / "out" / path.name).stat().st_size < 20_000
    assert path.stat().st_mtime_ns == before
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 < 3000 * MIB


def test_odd_fields_cost_nothing(tmp_path):
    odd = {
        "cells": [
            {"cell_type": "code", "source": ["x = ", "1"], "metadata": {"nbgrader": {"grade_id": "double"}}, "id": 7},
            {"cell_type": "strange", "source": None, "metadata": None, "outputs": "no list"},
            {"cell_type": "code", "source": "y", "metadata": {"nbgrader": "text", "tags": ["skip-execution"]}},
            "not a cell",
        ],
        "metadata": 5,
        "nbformat": 4,
    }
    path = tmp_path / f"{LAB}.ipynb"
    path.write_text(json.dumps(odd), encoding="utf-8-sig")
    cells = read_notebook(path).cells
    assert [cell.source for cell in cells] == ["x = 1", "None", "y"]
    assert cells[2].metadata == {}


def test_links_and_wild_timestamps_are_left_out(tmp_path):
    folder = tmp_path / "in"
    (folder / "data").mkdir(parents=True)
    nbformat.write(notebook(RIGHT), folder / f"{LAB}.ipynb")
    (folder / "data" / "a.csv").write_text("1")
    (folder / "passwd").symlink_to("/etc/passwd")
    (folder / "etc").symlink_to("/etc")
    (folder / "timestamp.txt").write_text("yesterday, I think")
    remarks = clean_copy(folder, tmp_path / "out", LAB)
    names = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert names == ["data/a.csv", f"{LAB}.ipynb"]
    assert remarks == [
        "left out the link etc",
        "left out the link passwd",
        "ignored timestamp.txt, which holds no date",
    ]
