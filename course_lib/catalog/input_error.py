"""A value outside of its domain: the one form in which every room of the library refuses one.

Each room has its own kind of this error, so that a caller can tell them apart; the message and the checks are written
here once.
"""

import math
from typing import Self, TypeGuard


class InputError(ValueError):
    """A function was given a value outside of its domain; the message names the value, its limit and the remedy."""

    @classmethod
    def of(cls, name: str, value: object, limit: str, remedy: str) -> Self:
        """Build the error for one value.

        Args:
            name: the argument, setting or tensor.
            value: what was given.
            limit: the rule that it breaks ("must be ...").
            remedy: what to write instead.

        Returns:
            The error, to be raised.
        """
        return cls(f"{name}={value!r} {limit}. Remedy: {remedy}.")

    @classmethod
    def check_count(cls, name: str, value: object, minimum: int = 1) -> None:
        """Raise this error unless `value` is a whole number of at least `minimum`."""
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise cls.of(
                name, value, f"must be a whole number of at least {minimum}", f"give one such as {max(minimum, 1)}"
            )

    @classmethod
    def check_positive(cls, name: str, value: object, remedy: str = "give a number above 0") -> None:
        """Raise this error unless `value` is a finite number above 0."""
        if not is_number(value) or value <= 0:
            raise cls.of(name, value, "must be a finite number above 0", remedy)

    @classmethod
    def check_not_negative(cls, name: str, value: object, remedy: str = "give 0 or more") -> None:
        """Raise this error unless `value` is a finite number of at least 0."""
        if not is_number(value) or value < 0:
            raise cls.of(name, value, "must be a finite number, 0 or more", remedy)


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is an int or float that a float can hold; True and False are not numbers here."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an int of more than 308 digits
        return False
