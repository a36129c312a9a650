"""The request context: what a service tells IAM about a request, as keys and values.

Key names are case-insensitive; whether values are depends on the operator. A key is multivalued if the request gives
it as a list. Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition.html and
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from course_lib.finops.iam.errors import RequestError

Scalar = str | bool | int | float | Decimal | datetime | bytes
Value = Scalar | Sequence[Scalar]


class Context:
    """The keys of one request, looked up without regard to case.

    Args:
        values: key to value; a list makes the key multivalued. Numbers, booleans, aware datetimes and bytes are
            turned into the text that a request carries (bytes into base64).

    Raises:
        RequestError: two keys that differ only in case, a value of another type, a datetime without a time zone.
    """

    def __init__(self, values: Mapping[str, Value] | None = None) -> None:
        self._values: dict[str, tuple[str, ...]] = {}
        self._names: dict[str, str] = {}
        self._lists: set[str] = set()
        for key, value in (values or {}).items():
            self._add(key, value)

    def _add(self, key: object, value: object) -> None:
        if not isinstance(key, str) or not key:
            raise RequestError.of("context key", key, "must be a non-empty string", "write it as in 'aws:TagKeys'")
        folded = key.lower()
        if folded in self._values:
            raise RequestError.of(
                "context key",
                key,
                f"is there twice: the names of keys are case-insensitive, and {self._names[folded]!r} is given too",
                "keep one of the two",
            )
        if isinstance(value, list | tuple | set | frozenset):
            self._lists.add(folded)
            items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
            self._values[folded] = tuple(_text(key, item) for item in items)
        else:
            self._values[folded] = (_text(key, value),)
        self._names[folded] = key

    def values(self, key: str) -> tuple[str, ...] | None:
        """The values of a key, or None where the request does not have it. A null data set has no values."""
        return self._values.get(key.lower())

    def single(self, key: str) -> str | None:
        """The value of a single-valued key; None for a multivalued one, which can't be used as a policy variable."""
        folded = key.lower()
        values = self._values.get(folded)
        return values[0] if values and folded not in self._lists else None

    def is_list(self, key: str) -> bool:
        """Whether the request gives this key as a list."""
        return key.lower() in self._lists

    def __iter__(self) -> Iterator[str]:
        return iter(self._names.values())

    def __contains__(self, key: str) -> bool:
        return key.lower() in self._values

    def as_dict(self) -> dict[str, str | list[str]]:
        """Key, as it was given, to its value as text, or to the list of its values."""
        return {
            name: list(self._values[folded]) if folded in self._lists else self._values[folded][0]
            for folded, name in self._names.items()
        }


def _text(key: str, value: object) -> str:
    """One value as the text that a request carries."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal) or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    raise RequestError.of(
        f"context[{key!r}]",
        value,
        "must be a string, a finite number, a boolean, bytes, a datetime with a time zone, or a flat list of them",
        "leave the key out where the request does not have it",
    )
