"""How the formulas refuse a value: one error type whose message names the value, its limit and the remedy."""

from collections.abc import Collection
from typing import TypeVar

from course_lib.catalog import InputError, ModelConfig, is_number, model

Choice = TypeVar("Choice", bound=str)


class ArithmeticInputError(InputError):
    """A formula was given a value outside of its domain."""


check_count = ArithmeticInputError.check_count
check_positive = ArithmeticInputError.check_positive
check_not_negative = ArithmeticInputError.check_not_negative


def check_fraction(name: str, value: float) -> None:
    """Raise `ArithmeticInputError` unless `value` lies in (0, 1]; a percentage is the usual mistake."""
    if not is_number(value) or not 0 < value <= 1:
        percent = is_number(value) and 1 < value <= 100
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
