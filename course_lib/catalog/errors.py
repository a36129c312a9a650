"""What the catalog says when a fact is wrong, missing or misspelled: one message that names the place, the value,
the limit and the remedy."""

import difflib
from collections.abc import Iterable


class CatalogError(ValueError):
    """A catalog file holds something that must not be there, or lacks something that must."""

    @classmethod
    def at(cls, file: str, row: str, field: str, value: object, limit: str, remedy: str) -> "CatalogError":
        """Build the error for one field of one row.

        Args:
            file: name of the data file, e.g. `prices.csv`.
            row: where in the file: `line 7` (CSV) or the entry's name (TOML).
            field: column or key.
            value: what was found there.
            limit: the rule that the value breaks.
            remedy: what to do about it.

        Returns:
            The error, to be raised or collected.
        """
        return cls(f"{file}, {row}, field '{field}': {value!r} {limit}. Remedy: {remedy}.")


class UnknownNameError(CatalogError):
    """A name that the catalog does not hold; the message suggests the nearest names that it does."""

    @classmethod
    def among(cls, kind: str, name: str, known: Iterable[str], *, plural: str | None = None) -> "UnknownNameError":
        """Build the error for a look-up that found nothing.

        Args:
            kind: what was looked up, in the singular (`accelerator`, `instance`, `model`).
            name: the name that was asked for.
            known: every name that would have been found.
            plural: name of the function that lists them all; `kind` + `s` when left out.

        Returns:
            The error, to be raised.
        """
        near = nearest_names(name, known)
        hint = f"Did you mean {' or '.join(repr(n) for n in near)}? " if near else ""
        listing = f"course_lib.catalog.{plural or kind + 's'}()"
        return cls(f"unknown {kind} {name!r}: the catalog has no such entry. {hint}Remedy: {listing} lists all names.")


class UnknownPriceError(CatalogError):
    """A price that the catalog does not know; the message says why and what to do."""


def fold_name(name: str) -> str:
    """Reduce a name to what a look-up compares: lower case, without space, dash, underscore and dot."""
    return "".join(c for c in name.casefold() if c not in "-_." and not c.isspace())


def nearest_names(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """Known names that begin with `name` or look like it, best first (difflib's ratio on the folded names).

    Args:
        name: what was asked for.
        known: the names to choose from.
        limit: how many to return at most.

    Returns:
        Up to `limit` names; empty when nothing is close.
    """
    folded = {fold_name(k): k for k in known}
    wanted = fold_name(name)
    # "a100" should lead to a100-40gb and a100-80gb before it leads to h100
    longer = [f for f in folded if wanted and f.startswith(wanted)]
    similar = difflib.get_close_matches(wanted, folded, n=limit, cutoff=0.5)
    return [folded[f] for f in dict.fromkeys([*longer, *similar])][:limit]
