"""How the formulas refuse a value: one error type whose message names the value, its limit and the remedy."""

import math
from collections.abc import Collection
from typing import TypeVar

from course_lib.catalog import ModelConfig, model

Choice = TypeVar("Choice", bound=str)


class ArithmeticInputError(ValueError):
    """A formula was given a value outside of its domain."""

    @classmethod
    def of(cls, name: str, value: object, limit: str, remedy: str) -> "ArithmeticInputError":
        """Build the error for one argument.

        Args:
            name: the argument.
            value: what was given.
            limit: the rule that it breaks ("must be ...").
            remedy: what to write instead.

        Returns:
            The error, to be raised.
        """
        return cls(f"{name}={value!r} {limit}. Remedy: {remedy}.")


def check_positive(name: str, value: float, remedy: str = "give a number above 0") -> None:
    """Raise `ArithmeticInputError` unless `value` is a finite number above 0."""
    if not _is_number(value) or not value > 0:
        raise ArithmeticInputError.of(name, value, "must be a finite number above 0", remedy)


def check_not_negative(name: str, value: float, remedy: str = "give 0 or more") -> None:
    """Raise `ArithmeticInputError` unless `value` is a finite number of at least 0."""
    if not _is_number(value) or value < 0:
        raise ArithmeticInputError.of(name, value, "must be a finite number, 0 or more", remedy)


def check_count(name: str, value: int, minimum: int = 1) -> None:
    """Raise `ArithmeticInputError` unless `value` is a whole number of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ArithmeticInputError.of(
            name, value, f"must be a whole number of at least {minimum}", f"give an int such as {max(minimum, 1)}"
        )


def check_fraction(name: str, value: float) -> None:
    """Raise `ArithmeticInputError` unless `value` lies in (0, 1]; a percentage is the usual mistake."""
    if not _is_number(value) or not 0 < value <= 1:
        percent = _is_number(value) and 1 < value <= 100
        remedy = f"write {value / 100:g} for {value:g} %" if percent else "give a share such as 0.4"
        raise ArithmeticInputError.of(name, value, "must be a fraction above 0 and at most 1", remedy)


def check_choice(name: str, value: object, choices: Collection[Choice]) -> None:
    """Raise `ArithmeticInputError` unless `value` is one of `choices`."""
    if value not in choices:
        raise ArithmeticInputError.of(
            name, value, "is not known", f"use one of {', '.join(repr(choice) for choice in choices)}"
        )


def as_config(config: ModelConfig | str) -> ModelConfig:
    """The shape itself, or the catalog's shape of that name.

    Raises:
        ArithmeticInputError: when it is neither a shape nor a name.
        UnknownNameError: (a ValueError) when the catalog has no such name.
    """
    if isinstance(config, ModelConfig):
        return config
    if isinstance(config, str):
        return model(config)
    raise ArithmeticInputError.of(
        "config", config, "is neither a ModelConfig nor a name", "pass model('llama3-8b') or 'llama3-8b'"
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
