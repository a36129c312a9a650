"""Figures that papers and documents published: the independent oracle for every formula of the course."""

import json
from collections.abc import Mapping
from dataclasses import field
from functools import cache
from pathlib import Path

from pydantic.dataclasses import dataclass

from course_lib.catalog.errors import CatalogError, UnknownNameError
from course_lib.catalog.loader import DATA
from course_lib.catalog.rows import Loaded, validate_rows
from course_lib.catalog.schema import ROW, Date, NotNegative, Text

FILE = "published.json"


@dataclass(frozen=True, config=ROW)
class PublishedPoint:
    """One published number.

    Args:
        id: key.
        topic: what it is about, e.g. `zero_memory`.
        inputs: the quantities that lead to it, by name; units as in `unit` or in the name.
        value: the published number.
        unit: its unit.
        tolerance: largest relative difference that counts as agreement.
        source: paper, table and section, or page and version.
        date: the day on which the source was read or, where it carries one, its own date.
        formula: the formula in short, where the source gives one.
    """

    id: Text
    topic: Text
    inputs: Mapping[str, bool | int | float | str] = field(hash=False)
    value: float
    unit: Text
    tolerance: NotNegative
    source: Text
    date: Date
    formula: str | None = None

    def agrees(self, value: float) -> bool:
        """Whether a computed value lies within the tolerance of the published one, float rounding aside."""
        return abs(value - self.value) <= (self.tolerance + 1e-9) * abs(self.value)


def check_published(path: Path | str = FILE) -> Loaded[PublishedPoint]:
    """Read published points from a JSON list and hand back rows and errors.

    Args:
        path: the file; a bare name is looked for in the catalog's own data folder.

    Returns:
        Valid rows and errors.
    """
    path = DATA / path
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        remedy = "restore the file, or correct the JSON at the place named"
        problem = CatalogError.at(
            path.name, "(whole file)", "(file)", path.name, f"is not readable JSON ({why})", remedy
        )
        return Loaded(path.name, (), (problem,))
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        problem = CatalogError.at(
            path.name, "(whole file)", "(file)", path.name, "is not a list of objects", "wrap the points in [ ]"
        )
        return Loaded(path.name, (), (problem,))
    raw = [(f"entry {entry.get('id', number)!r}", entry) for number, entry in enumerate(entries)]
    return validate_rows(path.name, raw, PublishedPoint, key=("id",))


@cache
def _points() -> dict[str, PublishedPoint]:
    return {point.id: point for point in check_published().valid()}


def published_points(topic: str | None = None) -> list[PublishedPoint]:
    """All published points, or those of one topic.

    Args:
        topic: e.g. `zero_memory`, `mfu_hfu`, `pipeline`; None for all.

    Returns:
        The points in the order of the file.

    Raises:
        UnknownNameError: when no point has this topic, with the nearest topics.
    """
    points = list(_points().values())
    if topic is None:
        return points
    chosen = [point for point in points if point.topic == topic]
    if not chosen:
        raise UnknownNameError.among("topic", topic, {point.topic for point in points}, plural="published")
    return chosen


def published_point(id: str) -> PublishedPoint:
    """Look one published point up.

    Args:
        id: its key.

    Returns:
        The point.

    Raises:
        UnknownNameError: with the nearest keys.
    """
    if id not in _points():
        raise UnknownNameError.among("published point", id, _points(), plural="published")
    return _points()[id]
