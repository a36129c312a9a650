"""One cell: from text to a number, a moment, or pairs, and back, in the formats that FOCUS allows.

Sources: FOCUS 1.2, attributes Numeric Format, Date/Time Format, Key-Value Format and Null Handling.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from course_lib.finops.focus.columns import COLUMNS, Kind

Value = str | Decimal | datetime | dict[str, Any] | None
# No plus sign, no comma, no unit; an exponent has a sign only if it is negative.
NUMBER = re.compile(r"-?(\d+(\.\d*)?|\.\d+)(E-?\d+)?", re.IGNORECASE)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
LARGEST_EXPONENT = 100  # 1E999999999 is a number by the rule, and would fill the memory when it is added up


def kind_of(name: str) -> Kind:
    """What a column holds; a column of somebody's own holds text."""
    column = COLUMNS.get(name)
    return "text" if column is None else column.kind


def parse(kind: Kind, text: str) -> Value:
    """The value of a cell that is not empty.

    Raises:
        ValueError: whose text is the rule that the cell breaks.
    """
    if kind == "number":
        if not NUMBER.fullmatch(text) or abs(int(text.upper().partition("E")[2] or 0)) > LARGEST_EXPONENT:
            raise ValueError("must be a plain number such as -1.25 or 3E-7")
        return Decimal(text)
    if kind == "time":
        if not TIME.fullmatch(text):
            raise ValueError("must be a moment in UTC such as 2026-12-01T00:00:00Z")
        try:
            return datetime.fromisoformat(text).astimezone(UTC)
        except ValueError:
            raise ValueError("must be a moment of the calendar") from None
    return _pairs(text) if kind == "pairs" else text


def write(value: Value) -> str:
    """A cell's text; None is an empty cell."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return json.dumps(value, sort_keys=True, ensure_ascii=False) if isinstance(value, dict) else value


def _pairs(text: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) < len(pairs):
            raise ValueError("must name each key once")
        return dict(pairs)

    try:
        found = json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise ValueError('must be a JSON object such as {"project": "bert"}')
    if any(isinstance(inner, dict | list) for inner in found.values()):
        raise ValueError("must hold plain values only, no lists and no objects")
    return found
