"""Rounding. Oracle: a published apportionment of ten seats, and the method's own laws on any amounts."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.finops.chargeback import ChargebackError, largest_remainder

CENT = Decimal("0.01")


def test_ten_seats_as_published():
    """https://en.wikipedia.org/wiki/Quota_method, 100,000 votes, Hare quota: 5, 2, 1, 1, 1, 0."""
    votes = [47_000, 16_000, 15_900, 12_000, 6_000, 3_100]
    seats = largest_remainder([Fraction(count, 1_000_000) for count in votes], Decimal("0.10"))
    assert [int(seat / CENT) for seat in seats] == [5, 2, 1, 1, 1, 0]


AMOUNTS = st.lists(st.fractions(-1000, 1000, max_denominator=997), max_size=20)


@settings(max_examples=60, deadline=None)
@given(AMOUNTS)
def test_shares_add_up_and_move_by_less_than_a_cent(amounts):
    found = largest_remainder(amounts)
    assert sum(found, Decimal(0)) == Decimal(round(sum(amounts) * 100)) * CENT
    for exact, rounded in zip(amounts, found, strict=True):
        assert abs(Fraction(rounded) - exact) < Fraction(1, 100)
        assert exact < 0 or rounded >= 0
        assert exact or not rounded


@settings(max_examples=60, deadline=None)
@given(AMOUNTS)
def test_whoever_gets_a_cent_more_lost_no_less_than_who_does_not(amounts):
    found = largest_remainder(amounts)
    lost = [(Fraction(rounded) - exact, exact * 100 % 1) for exact, rounded in zip(amounts, found, strict=True)]
    up, down = [part for moved, part in lost if moved > 0], [part for moved, part in lost if moved < 0]
    assert not up or not down or min(up) >= max(down)


def test_a_total_that_is_not_the_sum_is_refused():
    with pytest.raises(ChargebackError, match=r"total='5' is not the sum 1.0000"):
        largest_remainder([Fraction(1, 2), Fraction(1, 2)], Decimal(5))


def test_a_total_above_the_rounded_up_shares_is_refused_and_0_stays_0():
    with pytest.raises(ChargebackError, match=r"total='0.02' is not the sum 0.0040"):
        largest_remainder([Fraction(0), Fraction(4, 1000)], Decimal("0.02"))
