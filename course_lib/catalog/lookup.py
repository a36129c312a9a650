"""Finds a row by a name that people type by hand: case, space, dash, underscore and dot do not matter."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from course_lib.catalog.errors import CatalogError, UnknownNameError, fold_name

Row = TypeVar("Row")


def index_names(kind: str, rows: Mapping[str, Row], aliases: Mapping[str, Iterable[str]]) -> dict[str, Row]:
    """Map every folded name and alias to its row.

    Args:
        kind: what the rows are (`accelerator`, `instance`), for the message.
        rows: name → row.
        aliases: name → other names of the same row.

    Returns:
        folded name → row.

    Raises:
        CatalogError: when two rows answer to the same folded name.
    """
    owner: dict[str, str] = {}
    for name in rows:
        for spelling in (name, *aliases.get(name, ())):
            other = owner.setdefault(fold_name(spelling), name)
            if other != name:
                raise CatalogError(
                    f"{kind} {name!r}: the name {spelling!r} already belongs to {other!r}. "
                    "Remedy: give the two entries names and aliases that differ by more than case and punctuation."
                )
    return {folded: rows[name] for folded, name in owner.items()}


def find(kind: str, name: str, index: Mapping[str, Row], names: Iterable[str]) -> Row:
    """Look a name up, or raise an error that suggests the nearest ones.

    Args:
        kind: what is looked up, for the message.
        name: as typed.
        index: from `index_names`.
        names: the names to suggest from.

    Returns:
        The row.

    Raises:
        UnknownNameError: when nothing answers to the name.
    """
    found = index.get(fold_name(name)) if isinstance(name, str) else None
    if found is None:
        raise UnknownNameError.among(kind, str(name), names)
    return found
