"""Strings and lists of strings as they stand in a policy document."""

from __future__ import annotations

from collections.abc import Sequence

from course_lib.finops.iam.errors import MalformedPolicyError


class NumberText(str):
    """A JSON number, kept as it was written: 0.10 stays "0.10", and a long one loses no digit."""

    __slots__ = ()


def strings_of(value: object, where: str, name: str, example: str) -> tuple[str, ...]:
    """A string, or a flat list of at least one string.

    Args:
        value: what stands in the document.
        where: the place, for messages.
        name: the element, for messages.
        example: a right value, for messages.

    Returns:
        The strings, in order.

    Raises:
        MalformedPolicyError: an empty list, an empty string, a nested list, a number, null.
    """
    items = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else [value]
    if not items:
        raise MalformedPolicyError.at(
            where, name, value, "must hold at least one value", f"write it as in {example}, or remove the statement"
        )
    for item in items:
        if not isinstance(item, str) or isinstance(item, NumberText) or not item:
            raise MalformedPolicyError.at(
                where, name, value, "must be a non-empty string or a flat list of them", f"write it as in {example}"
            )
    return tuple(items)
