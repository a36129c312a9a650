"""Shares of a bill in whole cents that add up to it: the largest-remainder method.

Each share is rounded down; the cents that are then missing go, one each, to the shares that lost most. Source: the
method of Hamilton, as in Balinski and Young, "Fair Representation" (1982).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from math import floor

from course_lib.finops.chargeback.errors import ChargebackError

CENT = Decimal("0.01")


def to_cents(amount: Fraction) -> Decimal:
    """An exact amount, rounded half to even, in units of 0.01."""
    return Decimal(round(amount * 100)) * CENT


def largest_remainder(amounts: Sequence[Fraction | Decimal], total: Decimal | None = None) -> list[Decimal]:
    """Round amounts to cents so that they add up to a total.

    An amount moves by less than one cent, 0 stays 0, and what was not negative stays so. Equal remainders are served
    in the order given.

    Args:
        amounts: exact amounts, of any sign.
        total: in whole cents; the amounts' sum, rounded half to even, when left out.

    Returns:
        One amount for each, in the same order.

    Raises:
        ChargebackError: when the total is more than rounding away from the amounts' sum.
    """
    exact = [Fraction(amount) * 100 for amount in amounts]
    whole = (
        round(sum(exact, Fraction(0))) if total is None else int(Decimal(total).scaleb(2).to_integral(ROUND_HALF_EVEN))
    )
    cents = [floor(amount) for amount in exact]
    missing = whole - sum(cents)
    by_loss = sorted(range(len(exact)), key=lambda index: (cents[index] - exact[index], index))
    losers = [index for index in by_loss if exact[index] != cents[index]]
    if not 0 <= missing <= len(losers):
        told = sum(exact, Fraction(0)) / 100
        raise ChargebackError.of("total", str(total), f"is not the sum {float(told):.4f}", "give the sum in cents")
    for index in losers[:missing]:
        cents[index] += 1
    return [Decimal(amount) * CENT for amount in cents]
