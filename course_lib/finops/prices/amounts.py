"""Money without binary fractions: decimal amounts, and parts in whole cents that add up to their total."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal

from course_lib.catalog import is_number
from course_lib.finops.prices.errors import PriceError

Number = int | float | Decimal
CENT = Decimal("0.01")
MOST = Decimal("1e15")  # far above any bill; below it 28 digits hold a micro-dollar


def exact(name: str, value: object) -> Decimal:
    """A number, 0 or more, as the decimal that its digits say: 55.04 becomes 55.04, not the nearest binary fraction.

    Args:
        name: for the error.
        value: int, float or Decimal.

    Raises:
        PriceError: for anything else, and for what is negative, infinite, not a number or above 1e15.
    """
    given = value if isinstance(value, Decimal) else Decimal(str(value)) if is_number(value) else Decimal("NaN")
    if not given.is_finite() or not 0 <= given <= MOST:
        raise PriceError.of(name, value, "must be a finite number from 0 to 1e15", "give an amount such as 12.5")
    return given


def above_zero(name: str, value: object) -> Decimal:
    """As `exact`, for what can't be 0.

    Raises:
        PriceError: for 0 as well.
    """
    given = exact(name, value)
    if not given:
        raise PriceError.of(name, value, "must be above 0", "give an amount such as 12.5")
    return given


def in_cents(amounts: Sequence[Decimal]) -> list[Decimal]:
    """Amounts rounded to cents so that their sum is the rounded sum.

    Each is cut down to its cent; the cents that are then missing go to the amounts with the largest rests, the earlier
    one first (the largest-remainder method).

    Args:
        amounts: (n) exact amounts, 0 or more.

    Returns:
        (n) amounts in whole cents; none is a cent or more away from its exact one.

    Source: A. Hamilton's method of apportionment, 1792.
    """
    total = sum(amounts, Decimal()).quantize(CENT, ROUND_HALF_UP)
    floors = [amount.quantize(CENT, ROUND_FLOOR) for amount in amounts]
    missing = int((total - sum(floors, Decimal())) / CENT)
    order = sorted(range(len(amounts)), key=lambda i: floors[i] - amounts[i])
    for i in order[:missing]:
        floors[i] += CENT
    return floors
