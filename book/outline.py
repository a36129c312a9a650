"""The course's outline (`outline.toml`) as frozen dataclasses: parts, chapters, labs and their hours.

The welcome page, every part page and the tests read the plan from here, so that no page can promise another one.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

STATUSES = ("written", "planned")


class OutlineError(ValueError):
    """A row of outline.toml that contradicts the rest, or a name that it does not hold."""


@dataclass(frozen=True)
class Chapter:
    """One chapter: the question that it answers, and whether it is written yet."""

    title: str
    question: str
    status: str


@dataclass(frozen=True)
class Lab:
    """One graded lab: its id (also its folder under labs/), hours and the evidence that it grades."""

    id: str
    title: str
    hours: float
    shows: str
    status: str


@dataclass(frozen=True)
class Part:
    """One part of the course; `needs` names the parts that come before it."""

    id: str
    number: int
    title: str
    purpose: str
    reading_hours: float
    needs: tuple[str, ...]
    chapters: tuple[Chapter, ...]
    labs: tuple[Lab, ...]
    project_hours: float = 0.0
    assessment_hours: float = 0.0

    @property
    def lab_hours(self) -> float:
        """Hours of graded labs in this part."""
        return sum(lab.hours for lab in self.labs)

    @property
    def total_hours(self) -> float:
        """Reading, labs, project and assessment together, in hours."""
        return self.reading_hours + self.lab_hours + self.project_hours + self.assessment_hours

    @property
    def written(self) -> bool:
        """True when every chapter and lab of the part is written."""
        return all(item.status == "written" for item in (*self.chapters, *self.labs))


@cache
def outline(path: Path | None = None) -> tuple[Part, ...]:
    """Read the outline.

    Args:
        path: another file in the same format (tests use it); default is outline.toml beside this module.

    Returns:
        The parts in reading order.

    Raises:
        OutlineError: a part needs one that does not precede it, an id occurs twice, or a status is unknown.
    """
    source = path or Path(__file__).with_name("outline.toml")
    parts = tuple(_part(row) for row in tomllib.loads(source.read_text(encoding="utf-8"))["parts"])
    seen: set[str] = set()
    for part in parts:
        for needed in part.needs:
            if needed not in seen:
                raise OutlineError(f"part {part.id!r} needs {needed!r}, which does not come before it in {source.name}")
        for item in (*part.chapters, *part.labs):
            if item.status not in STATUSES:
                raise OutlineError(f"{item.title!r}: status {item.status!r} is not one of {', '.join(STATUSES)}")
        for new_id in (part.id, *(lab.id for lab in part.labs)):
            if new_id in seen:
                raise OutlineError(f"id {new_id!r} occurs twice in {source.name}")
            seen.add(new_id)
    return parts


def part(part_id: str) -> Part:
    """Look a part up by its id (its folder in the book).

    Raises:
        OutlineError: no such part; the message lists those there are.
    """
    for candidate in outline():
        if candidate.id == part_id:
            return candidate
    raise OutlineError(f"no part {part_id!r}; the outline has {', '.join(p.id for p in outline())}")


def _part(row: dict) -> Part:  # type: ignore[type-arg]
    chapters = tuple(Chapter(**chapter) for chapter in row.pop("chapters"))
    labs = tuple(Lab(**lab) for lab in row.pop("labs"))
    return Part(**{**row, "needs": tuple(row["needs"]), "chapters": chapters, "labs": labs})


def show_plan(part_id: str) -> None:
    """Display a part's chapters with their questions, and its labs with their hours, as two tables."""
    import pandas as pd

    from book.kit import show_table

    this = part(part_id)
    chapters = [(n, c.title, c.question, c.status) for n, c in enumerate(this.chapters, start=1)]
    show_table(
        pd.DataFrame(chapters, columns=["number", "chapter", "the question it answers", "state"]),
        caption=f"Chapters of part {this.number}, {this.title}: {this.reading_hours:g} hours of reading.",
        row_header="chapter",
    )
    if this.labs:
        labs = [(lab.id, lab.title, lab.shows, lab.hours, lab.status) for lab in this.labs]
        show_table(
            pd.DataFrame(labs, columns=["lab", "title", "graded evidence", "hours", "state"]),
            caption=f"Labs of part {this.number}: {this.lab_hours:g} hours.",
        )
