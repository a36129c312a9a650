"""Is this a FOCUS 1.2 data set? Every violation names its row, column, value and rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from course_lib.finops.focus.columns import COLUMNS, MANDATORY, OWN, Column
from course_lib.finops.focus.data import Row
from course_lib.finops.focus.errors import FocusError
from course_lib.finops.focus.rules import ROW_RULES
from course_lib.finops.focus.values import kind_of, parse

# "Not Applicable" and its like stand for null in many files; FOCUS asks for a real null.
PLACEHOLDERS = {"null", "none", "n/a", "na", "nan", "not applicable", "-"}


@dataclass(frozen=True)
class Violation:
    """One thing that is not as FOCUS 1.2 says.

    Attributes:
        row: counted as in a text editor: the first line holds the names and is 1, so the first charge is row 2; 1 for
            a violation of the whole file.
        column: which.
        value: what stands there, "" for nothing.
        rule: what it breaks.
        severity: "error", or "warning" for what is allowed and most likely wrong.
    """

    row: int
    column: str
    value: str
    rule: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        """One line."""
        return f"row {self.row}: {self.column}={self.value!r} {self.rule}"


def violations(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[Violation]:
    """Everything in a table of text that FOCUS 1.2 does not allow, in the order of the rows.

    Args:
        columns: the names in the first line.
        rows: the cells of each further line; an empty cell is null.
    """
    yield from column_violations(columns)
    for number, cells in enumerate(rows, 2):
        yield from read_row(columns, cells, number)[1]


def check(found: Iterable[Violation], source: str, shown: int = 3) -> list[Violation]:
    """Raise on errors; hand back the warnings.

    Raises:
        FocusError: one line with the first few errors and their number.
    """
    told = list(found)
    errors = [one for one in told if one.severity == "error"]
    if errors:
        first = "; ".join(str(one) for one in islice(errors, shown))
        more = f"; and {len(errors) - shown} more" if len(errors) > shown else ""
        raise FocusError(
            f"{source} is no FOCUS 1.2 data set: {first}{more}. Remedy: mend these rows, or export with the table "
            "FOCUS_1_2_AWS."
        )
    return told


def read_row(columns: Sequence[str], cells: Sequence[str], number: int) -> tuple[Row, list[Violation]]:
    """One line as typed values, and what is wrong with it; a cell that can't be read is None."""
    row: Row = {}
    found: list[Violation] = []
    if len(cells) != len(columns):
        rule = f"has {len(cells)} cells where there are {len(columns)} columns"
        return dict.fromkeys(columns), [Violation(number, "", "", rule)]
    for name, text in zip(columns, cells, strict=True):
        column = COLUMNS.get(name, Column(name))
        row[name] = None
        if text == "":
            if not column.nullable:
                found.append(Violation(number, name, "", "must not be null"))
            continue
        try:
            row[name] = parse(kind_of(name), text)
        except ValueError as error:
            found.append(Violation(number, name, text, str(error)))
            continue
        if column.allowed and text not in column.allowed:
            found.append(Violation(number, name, text, f"must be one of {', '.join(column.allowed)}"))
        elif column.not_negative and text.startswith("-"):
            found.append(Violation(number, name, text, "must be 0 or more"))
        elif name in COLUMNS and text.strip().lower() in PLACEHOLDERS | {""}:
            found.append(Violation(number, name, text, "must be left empty where there is no value"))
        elif name.endswith("Currency") and not (len(text) == 3 and text.isalpha() and text.isupper()):
            rule = "is no ISO 4217 code such as USD; a virtual currency is allowed"
            found.append(Violation(number, name, text, rule, "warning"))
    unread = {one.column for one in found if one.severity == "error"}
    for rule_of in ROW_RULES:
        for column_name, broken, severity in rule_of(row):
            if column_name not in unread:  # one cell, one complaint
                text = cells[list(columns).index(column_name)] if column_name in columns else ""
                found.append(Violation(number, column_name, text, broken, severity))  # type: ignore[arg-type]
    return row, found


def column_violations(columns: Sequence[str]) -> Iterator[Violation]:
    """What is wrong with the names in the first line."""
    for name in MANDATORY:
        if name not in columns:
            yield Violation(1, name, "", "is missing: every data set has it")
    for index, name in enumerate(columns):
        if name in columns[:index]:
            yield Violation(1, name, name, "stands there twice")
        elif name not in COLUMNS and not name.startswith(OWN):
            yield Violation(1, name, name, f"is no column of FOCUS 1.2; a column of your own begins with {OWN}")
