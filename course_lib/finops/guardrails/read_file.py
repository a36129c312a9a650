"""Guardrails from a TOML file, so that they can be reviewed and kept beside the code."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from course_lib.finops.guardrails.errors import GuardrailError
from course_lib.finops.guardrails.wanted import Alert, Budget, Guardrails, PlannedLaunch, Stop

# Tables in the file → where they go, and what reads them.
_TABLES: dict[type, dict[str, tuple[str, type]]] = {
    Guardrails: {"budget": ("budgets", Budget), "launch": ("launches", PlannedLaunch)},
    Budget: {"alert": ("alerts", Alert), "stop": ("stops", Stop)},
}


def read_guardrails(path: str | Path) -> Guardrails:
    """The guardrails in a file.

    Top-level keys are the fields of `Guardrails`. Each `[[budget]]` holds the fields of `Budget`, with tables
    `[[budget.alert]]` and `[[budget.stop]]` inside, and each `[[launch]]` those of `PlannedLaunch`.

    Raises:
        GuardrailError: for a file that can't be read, an unknown key, a missing one, or a value that isn't allowed.
    """
    path = Path(path)
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise GuardrailError.of(
            "file", str(path), f"can't be read ({error.strerror})", "start from: course finops guard example"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise GuardrailError.of("file", str(path), f"is no TOML: {error}", "mend this place") from None
    made: Guardrails = _made(Guardrails, told, str(path.name))
    return made


def _made(kind: type, told: Mapping[str, Any], where: str) -> Any:
    names = {one.name for one in fields(kind)}
    tables = _TABLES.get(kind, {})
    allowed = (names - {name for name, _ in tables.values()}) | set(tables)
    given: dict[str, Any] = {}
    for key, value in told.items():
        if key not in allowed:
            raise GuardrailError.of(where, key, "is no key of this table", f"use {', '.join(sorted(allowed))}")
        if key in tables:
            name, inner = tables[key]
            if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
                raise GuardrailError.of(where, key, "must be an array of tables", f"write [[{key}]]")
            given[name] = tuple(_made(inner, one, f"{where}, {key} {at}") for at, one in enumerate(value, 1))
        else:
            given[key] = _plain(where, key, value)
    try:
        return kind(**given)
    except TypeError:
        missing = [one.name for one in fields(kind) if one.name not in given and _needed(one)]
        raise GuardrailError.of(where, missing, "is missing", "add it, as in: course finops guard example") from None
    except GuardrailError as error:
        raise GuardrailError(f"{where}: {error}") from None


def _needed(one: Any) -> bool:
    from dataclasses import MISSING

    return one.default is MISSING and one.default_factory is MISSING


def _plain(where: str, key: str, value: Any) -> Any:
    """A TOML value as a field takes it: lists become tuples of text, a date becomes text with its zone."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise GuardrailError.of(f"{where}: {key}", value.isoformat(), "names no time zone", "end it with Z")
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, list):
        return tuple(_text(where, key, one) for one in value)
    if isinstance(value, dict):
        return {name: _text(where, f"{key}.{name}", one) for name, one in value.items()}
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise GuardrailError.of(f"{where}: {key}", str(value), "must be text or a number", "mend it")
    return value


def _text(where: str, key: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise GuardrailError.of(f"{where}: {key}", value, "must be text, and not empty", "put it in quotation marks")
    return value
