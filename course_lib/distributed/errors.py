"""How distributed training refuses a setting: one error type that names the value, its limit and the remedy."""

from __future__ import annotations


class TrainingSetupError(ValueError):
    """A training setting can't be run as given."""

    @classmethod
    def of(cls, name: str, value: object, limit: str, remedy: str) -> TrainingSetupError:
        """Build the error for one setting.

        Args:
            name: the setting.
            value: what was given.
            limit: the rule that it breaks ("must be ...").
            remedy: what to write instead.
        """
        return cls(f"{name}={value!r} {limit}. Remedy: {remedy}.")


def check_count(name: str, value: object, minimum: int = 1) -> None:
    """Raise `TrainingSetupError` unless `value` is a whole number of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise TrainingSetupError.of(
            name, value, f"must be a whole number of at least {minimum}", f"give one such as {max(minimum, 1)}"
        )


def check_divides(name: str, value: int, parts: int, what: str) -> None:
    """Raise `TrainingSetupError` unless `parts` divides `value`; the remedy names the nearest values that fit."""
    if value % parts:
        below, above = value // parts * parts, (value // parts + 1) * parts
        fitting = f"{below} or {above}" if below else str(above)
        raise TrainingSetupError.of(name, value, f"can't be shared equally by {parts} {what}", f"use {fitting}")
