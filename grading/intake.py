"""Finds a lab's submissions and says, in one line each, which of them cannot be graded and what to do about it."""

from __future__ import annotations

import csv
import difflib
import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from grading.errors import GradingError
from grading.layout import Layout

LEARNER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


@dataclass(frozen=True)
class Submission:
    """A learner's folder for one lab.

    Args:
        learner: the name of the folder above, nbgrader's student id.
        lab: the lab's id.
        folder: `grading/submitted/<learner>/<lab>`.
    """

    learner: str
    lab: str
    folder: Path

    @property
    def notebook(self) -> Path:
        return self.folder / f"{self.lab}.ipynb"


@dataclass(frozen=True)
class Refusal:
    """A submission that is not graded.

    Args:
        who: the learner, or the name of what was found, fit to print.
        reason: what is wrong, the limit and the remedy.
        learner: the student id whose gradebook entry should say so, None where there is no such learner.
    """

    who: str
    reason: str
    learner: str | None = None


@dataclass(frozen=True)
class Learner:
    """One line of the roster, with the columns of `nbgrader db student import`."""

    id: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""


def read_roster(path: Path) -> dict[str, Learner] | None:
    """The class list, or None where there is none: then every folder's name is a learner, as nbgrader has it."""
    if not path.is_file():
        return None
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns, rows = reader.fieldnames or [], list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise GradingError(f"{path} cannot be read ({error}). Save the class list as CSV in UTF-8.") from error
    if "id" not in columns:
        raise GradingError(
            f"{path} has no column id, only {printable(', '.join(columns)) or 'an empty first line'}. "
            "Begin with the line id,first_name,last_name,email and separate by commas."
        )
    return {
        row["id"]: Learner(row["id"], *(row.get(name) or "" for name in ("first_name", "last_name", "email")))
        for row in rows
        if row.get("id")
    }


def bad_learner_id(name: str) -> str | None:
    """What is wrong with a learner's id, None when it is fine."""
    if LEARNER_ID.fullmatch(name) and ".." not in name:
        return None
    return (
        f"{printable(name)!r} cannot be a learner's id: use up to 64 letters, digits, '-', '_', '@' and single '.', "
        "no space; rename the folder"
    )


def collect(
    layout: Layout, lab: str, labs: Collection[str], known: Collection[str] | None, only: Collection[str] | None = None
) -> tuple[list[Submission], list[Refusal]]:
    """Looks through `grading/submitted/`.

    Args:
        layout: the course's folders.
        lab: the lab to grade.
        labs: every lab that the course has.
        known: the learners of this class; None accepts every well-formed name.
        only: look at these learners alone.

    Returns:
        What can be graded and what cannot, each by name.
    """
    found: list[Submission] = []
    refused: list[Refusal] = []
    folders = sorted(layout.submitted.iterdir()) if layout.submitted.is_dir() else []
    for missing in sorted(set(only or ()) - {folder.name for folder in folders}):
        wrong = (
            bad_learner_id(missing) or f"nothing was submitted: there is no folder {printable(missing)} in submitted/"
        )
        refused.append(Refusal(printable(missing), wrong))
    for folder in folders:
        if folder.name.startswith(".") and folder.is_file():
            continue
        if only is None or folder.name in only:
            reason = _folder_fault(folder, lab, known)
            if reason is not None:
                refused.append(Refusal(printable(folder.name), reason))
                continue
            try:
                fault = _lab_fault(folder / lab, lab) if os.path.lexists(folder / lab) else ""
                unknown = _unknown_labs(folder, labs)
            except OSError as error:
                fault, unknown = unreadable(error), []
            if fault is None:
                found.append(Submission(folder.name, lab, folder / lab))
            elif fault:
                refused.append(Refusal(folder.name, fault, learner=folder.name))
            refused += unknown
    return found, refused


def unreadable(error: OSError) -> str:
    """Why a submission's files cannot be read."""
    return f"the files cannot be read ({error.strerror}); check their permissions"


def _folder_fault(folder: Path, lab: str, known: Collection[str] | None) -> str | None:
    if folder.is_symlink():
        return "the learner's folder is a link, which could lead anywhere; copy the files in its place"
    if not folder.is_dir():
        return f"a file where a folder is expected; unpack it to submitted/<learner>/{lab}/{lab}.ipynb"
    wrong = bad_learner_id(folder.name)
    if wrong is not None:
        return wrong
    if known is not None and folder.name not in known:
        near = difflib.get_close_matches(folder.name, list(known), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"not in this class{hint} Add the learner to grading/roster.csv or rename the folder"
    return None


def _lab_fault(folder: Path, lab: str) -> str | None:
    if folder.is_symlink():
        return f"{lab} is a link, which could lead anywhere; copy the files in its place"
    if not folder.is_dir():
        return f"{lab} is a file where a folder is expected; put {lab}.ipynb into a folder {lab}/"
    notebook = folder / f"{lab}.ipynb"
    if notebook.is_symlink():
        return f"{notebook.name} is a link, which could lead anywhere; submit the notebook itself"
    if notebook.is_file():
        return None
    others = sorted(path.name for path in folder.glob("*.ipynb") if path.is_file())
    if others:
        return f"no {notebook.name}, only {printable(', '.join(others))}; rename the notebook to {notebook.name}"
    return f"no {notebook.name} in the folder; ask the learner to submit it"


def _unknown_labs(folder: Path, labs: Collection[str]) -> list[Refusal]:
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in labs or not path.is_dir():
            continue
        near = difflib.get_close_matches(path.name, list(labs), n=1)
        hint = f"did you mean {near[0]}? Rename the folder" if near else "remove the folder"
        found.append(Refusal(folder.name, f"this course has no lab {printable(path.name)!r}; {hint}"))
    return found


def printable(text: str) -> str:
    """A name without control characters and of a length that fits one line."""
    clean = "".join(letter if letter.isprintable() else "?" for letter in text)
    return clean if len(clean) <= 80 else clean[:77] + "..."
