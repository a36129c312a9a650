"""A price file: observations in the columns of the catalog's `prices.csv`, written whole or not at all."""

from __future__ import annotations

import csv
import io
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

import course_lib.catalog
from course_lib.catalog import Price
from course_lib.finops.prices.errors import PriceError

COLUMNS = ("instance", "region", "purchase", "usd_per_hour", "os", "currency", "source", "date", "note")
CATALOG = Path(course_lib.catalog.__file__).parent.resolve()


@dataclass(frozen=True)
class PriceFile:
    """Observations of prices, and the file that holds them."""

    path: str
    rows: tuple[Price, ...]


def read_price_file(path: str | Path) -> PriceFile:
    """Read a price file.

    Raises:
        PriceError: naming the file, the line and the value when it can't be read, lacks a column or breaks a rule of
            the catalog's schema: a price that is not above 0, a date that is none, an empty price without its reason.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise PriceError.of(
            "path", str(path), f"cannot be read ({why})", "course cost refresh FILE makes one"
        ) from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = list(reader)
    except csv.Error as error:
        raise PriceError.of("path", str(path), f"is not valid CSV ({error})", "make it anew with refresh") from error
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise PriceError.of(
            "columns", list(reader.fieldnames or ()), "are not a price file's", f"write {', '.join(COLUMNS)}"
        )
    return PriceFile(str(path), tuple(_row(file.name, number, cells) for number, cells in enumerate(rows, 2)))


def write_price_file(path: str | Path, rows: Sequence[Price]) -> PriceFile:
    """Write a price file in one step: readers see the old one or the new one, never half of it.

    Args:
        path: where; not inside of the catalog, whose facts are edited and reviewed by hand.
        rows: the observations.

    Raises:
        PriceError: for a path that can't be written or lies in the catalog.
    """
    file = Path(path)
    if CATALOG in file.resolve().parents:
        raise PriceError.of("path", str(path), "lies in the catalog", "write to a file of your own, such as prices.csv")
    try:
        handle, scratch = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.", text=True)
    except OSError as error:
        raise PriceError.of("path", str(path), f"cannot be written ({error.strerror})", "choose another") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows([_cell(getattr(row, column)) for column in COLUMNS] for row in rows)
        os.chmod(scratch, 0o644)  # mkstemp's 0600 would keep colleagues from reading what is public anyway
        os.replace(scratch, file)
    except OSError as error:
        raise PriceError.of("path", str(path), f"cannot be written ({error.strerror})", "choose another") from error
    finally:
        Path(scratch).unlink(missing_ok=True)
    return PriceFile(str(path), tuple(rows))


def _row(name: str, number: int, cells: dict[str, str | None]) -> Price:
    given = {column: cell for column, cell in cells.items() if isinstance(cell, str) and cell.strip()}
    try:
        return Price(**given)  # type: ignore[arg-type]  # pydantic reads the numbers and dates
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "row"
        value = given.get(field, "")
        raise PriceError(
            f"{name}, line {number}, field {field!r}: {value!r}: {first['msg']}. Remedy: correct the line."
        ) from error


def _cell(value: object) -> str:
    return "" if value is None else str(value)
