"""Turns parsed rows into frozen dataclasses and gathers every error: schema, duplicates, dangling references."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from course_lib.catalog.errors import CatalogError, nearest_names
from course_lib.catalog.schema import REMEDY_BY_FIELD, REMEDY_BY_PROBLEM

Row = TypeVar("Row")
RawRow = tuple[str, Mapping[str, Any]]  # (place in the file, fields)
References = Mapping[str, Collection[str]]  # field → the names that it may hold


@dataclass(frozen=True)
class Loaded(Generic[Row]):
    """What was found in one file.

    Args:
        file: the file's name.
        rows: (place in the file, row) for each row that is valid.
        errors: everything that is wrong, in the order of the file.
        names: the `name` of every row, wrong ones included: a reference to a broken row is no error of its own.
    """

    file: str
    rows: tuple[tuple[str, Row], ...]
    errors: tuple[CatalogError, ...]
    names: frozenset[str] = frozenset()

    def valid(self) -> list[Row]:
        """All rows of the file, or its first error raised.

        Raises:
            CatalogError: when any row is wrong; the message counts the errors that follow.
        """
        if self.errors:
            more = len(self.errors) - 1
            tail = f" ({more} more in this file: check_catalog() lists them)" if more else ""
            raise CatalogError(f"{self.errors[0]}{tail}")
        return [row for _, row in self.rows]


def validate_rows(
    file: str,
    raw: Sequence[RawRow],
    row_type: type[Row],
    *,
    key: Sequence[str],
    references: References | None = None,
    errors: Sequence[CatalogError] = (),
) -> Loaded[Row]:
    """Validate parsed rows against a schema.

    Args:
        file: the file's name, for messages.
        raw: the parsed rows.
        row_type: frozen pydantic dataclass.
        key: the fields that together tell two rows apart.
        references: field → the names that it may hold (rows of another file).
        errors: what the parser already found wrong.

    Returns:
        Valid rows and all errors.
    """
    adapter = TypeAdapter(row_type)
    rows: list[tuple[str, Row]] = []
    problems = list(errors)
    first: dict[tuple[Any, ...], str] = {}
    for where, fields in raw:
        try:
            row = adapter.validate_python(fields)
        except ValidationError as failure:
            problems.extend(_explain(file, where, failure))
            continue
        identity = tuple(getattr(row, field) for field in key)
        found = list(_dangling(file, where, row, references or {}))
        if identity in first:
            value, limit = " ".join(map(str, identity)), f"is a duplicate of {first[identity]}"
            found.append(CatalogError.at(file, where, "+".join(key), value, limit, "keep one of the two rows"))
        first.setdefault(identity, where)
        problems.extend(found)
        if not found:
            rows.append((where, row))
    names = frozenset(str(fields["name"]) for _, fields in raw if "name" in fields)
    return Loaded(file, tuple(rows), tuple(problems), names)


def _dangling(file: str, where: str, row: object, references: References) -> Iterator[CatalogError]:
    for field, known in references.items():
        held = getattr(row, field)
        for value in held if isinstance(held, tuple) else (held,):
            if value is None or value in known:
                continue
            near = " or ".join(map(repr, nearest_names(str(value), known)))
            remedy = f"write {near}, or add the missing {field}" if near else f"add the missing {field}"
            yield CatalogError.at(file, where, field, value, f"names no {field} of the catalog", remedy)


def _explain(file: str, where: str, failure: ValidationError) -> Iterator[CatalogError]:
    for problem in failure.errors(include_url=False):
        kind = problem["type"]
        # pydantic appends "[key]" where a mapping's key is wrong, which says nothing to whoever edits the file
        field = ".".join(str(part) for part in problem["loc"] if part != "[key]") or "(row)"
        value = "" if kind == "missing" else problem["input"]
        limit = {
            "missing": "is not allowed: the field is required",
            "unexpected_keyword_argument": "belongs to a field that the schema does not know",
        }.get(kind, f"is not allowed: {problem['msg'].removeprefix('Value error, ')}")
        remedy = REMEDY_BY_FIELD.get(field) or REMEDY_BY_PROBLEM.get(kind, "write a value that fits the rule")
        yield CatalogError.at(file, where, field, value, limit, remedy)
