"""How this room refuses a price, a quantity or a question to which nobody published an answer."""

from __future__ import annotations

from course_lib.finops.errors import FinopsError


class PriceError(FinopsError):
    """A price, a quantity or a purchase can't be as given."""


class PriceUnknownError(PriceError):
    """A price that nobody published, or that could not be told from others; the message says what to do."""


check_count = PriceError.check_count
check_positive = PriceError.check_positive
check_not_negative = PriceError.check_not_negative
LARGEST_FLEET = 1_000_000


def check_fleet(instances: object) -> None:
    """Raise `PriceError` unless `instances` is a whole number from 1 to a million; more is a slip of the finger."""
    check_count("instances", instances)
    if isinstance(instances, int) and instances > LARGEST_FLEET:
        shown = str(instances)
        shown = shown if len(shown) <= 20 else f"{shown[:20]}..."
        limit = f"is more than {LARGEST_FLEET:,}"
        raise PriceError(f"instances={shown} {limit}. Remedy: count instances, not tokens or seconds.")
