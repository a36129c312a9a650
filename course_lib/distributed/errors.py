"""How distributed training refuses a setting: one error type that names the value, its limit and the remedy."""

from __future__ import annotations

from course_lib.catalog import InputError, is_number


class TrainingSetupError(InputError):
    """A training setting can't be run as given."""


check_count = TrainingSetupError.check_count
check_positive = TrainingSetupError.check_positive
check_not_negative = TrainingSetupError.check_not_negative


def check_decay_rate(name: str, value: object) -> None:
    """Raise `TrainingSetupError` unless `value` is in [0, 1): the share of a running mean that a step keeps."""
    if not is_number(value) or not 0 <= value < 1:
        raise TrainingSetupError.of(name, value, "must lie in [0, 1)", "give the share that a step keeps, such as 0.9")


def check_divides(name: str, value: int, parts: int, what: str) -> None:
    """Raise `TrainingSetupError` unless `parts` divides `value`; the remedy names the nearest values that fit."""
    if value % parts:
        below, above = value // parts * parts, (value // parts + 1) * parts
        fitting = f"{below} or {above}" if below else str(above)
        raise TrainingSetupError.of(name, value, f"can't be shared equally by {parts} {what}", f"use {fitting}")
