"""How mixtures of experts refuse a value: one error type that names the value, its limit and the remedy."""

from __future__ import annotations


class MoEError(ValueError):
    """A mixture of experts can't be built or run as given."""

    @classmethod
    def of(cls, name: str, value: object, limit: str, remedy: str) -> MoEError:
        """Build the error for one value.

        Args:
            name: of the setting or tensor.
            value: what was given.
            limit: the rule that it breaks ("must be ...").
            remedy: what to write instead.
        """
        return cls(f"{name}={value!r} {limit}. Remedy: {remedy}.")


def check_count(name: str, value: object, minimum: int = 1) -> None:
    """Raise `MoEError` unless `value` is a whole number of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise MoEError.of(
            name, value, f"must be a whole number of at least {minimum}", f"give one such as {max(minimum, 1)}"
        )


def check_not_negative(name: str, value: object, remedy: str) -> None:
    """Raise `MoEError` unless `value` is a finite number of at least 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise MoEError.of(name, value, "must be a finite number, 0 or more", remedy)
