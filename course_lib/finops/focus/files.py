"""FOCUS data sets in CSV files, plain or gzip, on this machine."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterable
from pathlib import Path

from course_lib.finops.focus.columns import COLUMNS, MANDATORY
from course_lib.finops.focus.data import FocusData, Row
from course_lib.finops.focus.errors import FocusError
from course_lib.finops.focus.validate import Violation, check, column_violations, read_row, violations
from course_lib.finops.focus.values import write

GZIP_MAGIC = b"\x1f\x8b"


def read_focus(path: Path | str, *, strict: bool = True) -> FocusData:
    """Read a FOCUS 1.2 data set from a CSV file, which may be gzip-compressed.

    Args:
        path: of the file.
        strict: refuse a file with any error; otherwise cells that can't be read become null.

    Raises:
        FocusError: when the file can't be read, or is no FOCUS 1.2 data set; names the first rows that are wrong.
    """
    return read_bytes(_content(path), str(Path(path).name), strict=strict)


def validate_focus(path: Path | str) -> list[Violation]:
    """Everything in a CSV file (plain or gzip) that FOCUS 1.2 does not allow, warnings included.

    Raises:
        FocusError: when the file can't be read.
    """
    columns, rows = _table(_content(path), str(Path(path).name))
    return list(violations(columns, rows))


def write_focus(data: FocusData, path: Path | str) -> None:
    """Write a data set as CSV, gzip-compressed when the path ends with ".gz"; the same rows give the same bytes."""
    target = Path(path)
    target.write_bytes(to_bytes(data, compressed=target.suffix == ".gz"))


def make_focus(rows: Iterable[Row], source: str = "") -> FocusData:
    """A data set from rows at hand: FOCUS's columns in alphabetical order first, then those of your own.

    Raises:
        FocusError: when the rows are no FOCUS 1.2 data set.
    """
    kept = tuple(dict(row) for row in rows)
    names = {name for row in kept for name in row} or set(MANDATORY)  # a month without charges is one, too
    columns = tuple(sorted(names & COLUMNS.keys()) + sorted(names - COLUMNS.keys()))
    whole = tuple({name: row.get(name) for name in columns} for row in kept)
    texts = ([write(row[name]) for name in columns] for row in whole)
    check(violations(columns, texts), source or "these rows")
    return FocusData(columns, whole, source)


def to_bytes(data: FocusData, *, compressed: bool) -> bytes:
    """A data set as the content of a CSV file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(data.columns)
    for row in data.rows:
        writer.writerow([write(row.get(name)) for name in data.columns])
    content = text.getvalue().encode()
    return gzip.compress(content, mtime=0) if compressed else content


def read_bytes(content: bytes, source: str, *, strict: bool = True) -> FocusData:
    """A data set from the content of a CSV file, plain or gzip; see `read_focus`.

    Raises:
        FocusError: as `read_focus`.
    """
    columns, lines = _table(content, source)
    found = [*column_violations(columns)]
    rows = []
    for line, cells in enumerate(lines, 2):
        row, wrong = read_row(columns, cells, line)
        rows.append(row)
        found += wrong
    if strict:
        check(found, source)
    return FocusData(tuple(columns), tuple(rows), source)


def _content(path: Path | str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise FocusError.of("path", str(path), f"can't be read: {error.strerror}", "name a CSV file") from None


def _table(content: bytes, source: str) -> tuple[list[str], list[list[str]]]:
    try:
        plain = gzip.decompress(content) if content.startswith(GZIP_MAGIC) else content
        lines = list(csv.reader(io.StringIO(plain.decode("utf-8-sig"), newline=""), strict=True))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        told = " ".join(str(error).split())
        raise FocusError.of("file", source, f"is no CSV: {told}", "give CSV in UTF-8, plain or gzip") from None
    if not lines or not lines[0]:
        raise FocusError.of("file", source, "is empty", "give a file whose first line names the columns")
    return lines[0], [cells for cells in lines[1:] if cells]
