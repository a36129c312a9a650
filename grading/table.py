"""The summary of a grading run as a table for people and as data for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from grading.guard import shown_url
from grading.records import REFUSED, Outcome

if TYPE_CHECKING:
    from grading.summary import Summary

_STYLES = {"graded": "green", REFUSED: "yellow", "grader failed": "red"}


def summary_table(summary: Summary) -> Table:
    """Who, what became of it, points, seconds and why."""
    table = Table(title=summary.lab, title_justify="left")
    table.add_column("learner", overflow="fold")
    table.add_column("status")
    table.add_column("points", justify="right")
    table.add_column("of", justify="right")
    table.add_column("seconds", justify="right")
    table.add_column("what happened", overflow="fold")
    for outcome in summary.outcomes:
        table.add_row(
            outcome.who,
            f"[{_STYLES[outcome.status]}]{outcome.status}[/]{' before' if outcome.unchanged else ''}",
            _points(outcome.score),
            _points(outcome.max_score),
            f"{outcome.seconds:.1f}",
            _plain(_notes(outcome)),
        )
    return table


def summary_data(summary: Summary) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "lab": summary.lab,
        "gradebook": shown_url(summary.db_url),
        "export": str(summary.export),
        "seconds": round(summary.seconds, 2),
        "outcomes": [outcome.as_dict() for outcome in summary.outcomes],
    }


def _notes(outcome: Outcome) -> str:
    notes = list(outcome.reasons)
    if outcome.needs_manual:
        notes.append("a written answer waits for a person")
    return "\n".join(notes)


def _points(value: float | None) -> str:
    return "" if value is None else f"{round(value, 2):g}"


def _plain(text: str) -> str:
    return text.replace("[", "\\[")
