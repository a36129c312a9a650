"""Reads the catalog's TOML and CSV files into frozen pydantic dataclasses.

`load_*` raise a file's first error; `check_*` hand back all of them, so that one look tells everything to mend.
"""

import csv
import io
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from course_lib.catalog.errors import CatalogError
from course_lib.catalog.rows import Loaded, RawRow, References, validate_rows

DATA = Path(__file__).parent / "data"

Row = TypeVar("Row")


def load_toml(path: Path | str, row_type: type[Row], *, references: References | None = None) -> dict[str, Row]:
    """Read a TOML file of tables, one row each: the table's header is the row's `name`.

    Args:
        path: the file; a bare name is looked for in the catalog's own data folder.
        row_type: frozen pydantic dataclass with fields `name`, `source` and `date`.
        references: field → the names that it may hold (rows of another file).

    Returns:
        name → row, in the order of the file.

    Raises:
        CatalogError: naming file, entry, field, value, limit and remedy.
    """
    rows: list[Any] = list(check_toml(path, row_type, references=references).valid())
    return {row.name: row for row in rows}


def load_csv(
    path: Path | str, row_type: type[Row], *, key: Sequence[str] = ("name",), references: References | None = None
) -> list[Row]:
    """Read a CSV file with a header line; an empty cell means "not known" and falls back to the field's default.

    Args:
        path: the file; a bare name is looked for in the catalog's own data folder.
        row_type: frozen pydantic dataclass with fields `source` and `date`.
        key: the fields that together tell two rows apart.
        references: field → the names that it may hold (rows of another file).

    Returns:
        The rows in the order of the file.

    Raises:
        CatalogError: naming file, line, field, value, limit and remedy.
    """
    return check_csv(path, row_type, key=key, references=references).valid()


def check_toml(path: Path | str, row_type: type[Row], *, references: References | None = None) -> Loaded[Row]:
    """As `load_toml`, but hand back the errors instead of raising the first; a row's place is its entry's name."""
    path = DATA / path
    text, unreadable = _read(path)
    if unreadable:
        return Loaded(path.name, (), (unreadable,))
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return Loaded(path.name, (), (_toml_syntax(path.name, text, error),))
    raw: list[RawRow] = []
    errors: list[CatalogError] = []
    for name, table in tables.items():
        if isinstance(table, dict):
            raw.append((f"entry {name!r}", {"name": name, **table}))
        else:
            remedy = "move it under the [name] header that it belongs to"
            errors.append(CatalogError.at(path.name, "top level", name, table, "stands outside of any entry", remedy))
    return validate_rows(path.name, raw, row_type, key=("name",), references=references, errors=errors)


def check_csv(
    path: Path | str, row_type: type[Row], *, key: Sequence[str] = ("name",), references: References | None = None
) -> Loaded[Row]:
    """As `load_csv`, but hand back the errors instead of raising the first; a row's place is its line number."""
    path = DATA / path
    text, unreadable = _read(path)
    if unreadable:
        return Loaded(path.name, (), (unreadable,))
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    raw: list[RawRow] = []
    errors: list[CatalogError] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        for cells in reader:
            where = f"line {reader.line_num}"
            if len(cells) == len(header):
                raw.append((where, {name: cell for name, cell in zip(header, cells, strict=True) if cell.strip()}))
            elif cells:  # an empty line is no row
                limit = f"has {len(cells)} cells where the header has {len(header)}"
                remedy = "add or remove commas, and quote a text that holds one"
                errors.append(CatalogError.at(path.name, where, "(whole row)", ",".join(cells), limit, remedy))
    except csv.Error as error:
        where, limit = f"line {reader.line_num}", f"is not valid CSV: {error}"
        remedy = "close the quotation marks and double those inside a quoted text"
        errors.append(CatalogError.at(path.name, where, "(syntax)", "", limit, remedy))
    return validate_rows(path.name, raw, row_type, key=key, references=references, errors=errors)


def _read(path: Path) -> tuple[str, CatalogError | None]:
    try:
        return path.read_text(encoding="utf-8"), None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else f"byte {error.start}: {error.reason}"
        limit, remedy = f"cannot be read as UTF-8 text ({why})", "restore the file from the repository"
        return "", CatalogError.at(path.name, "(whole file)", "(file)", path.name, limit, remedy)


def _toml_syntax(file: str, text: str, error: tomllib.TOMLDecodeError) -> CatalogError:
    # tomllib reports a table that is declared twice as a syntax error too; its message names the table and the line
    line = re.search(r"at line (\d+)", str(error))
    number = min(int(line[1]), len(text.splitlines())) if line else len(text.splitlines())
    found = text.splitlines()[number - 1] if number else ""
    remedy = "give each entry one [name] table of its own, and quote its strings"
    return CatalogError.at(file, f"line {number}", "(syntax)", found, f"is not valid TOML: {error}", remedy)
