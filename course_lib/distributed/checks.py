"""Checks of a number where it enters, for the pieces that make training faster; whole numbers are checked in errors."""

from __future__ import annotations

import math
from typing import TypeGuard

from course_lib.distributed.errors import TrainingSetupError


def check_not_negative(name: str, value: object, remedy: str = "give 0 or more") -> None:
    """Raise `TrainingSetupError` unless `value` is a finite number of at least 0."""
    if not is_number(value) or value < 0:
        raise TrainingSetupError.of(name, value, "must be a finite number, 0 or more", remedy)


def check_positive(name: str, value: object, remedy: str = "give a number above 0") -> None:
    """Raise `TrainingSetupError` unless `value` is a finite number above 0."""
    if not is_number(value) or value <= 0:
        raise TrainingSetupError.of(name, value, "must be a finite number above 0", remedy)


def check_decay_rate(name: str, value: object) -> None:
    """Raise `TrainingSetupError` unless `value` is in [0, 1): the share of a running mean that a step keeps."""
    if not is_number(value) or not 0 <= value < 1:
        raise TrainingSetupError.of(name, value, "must lie in [0, 1)", "give the share that a step keeps, such as 0.9")


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a finite int or float; True and False are not numbers here."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
