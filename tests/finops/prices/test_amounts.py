"""Amounts in cents. Oracle: hypothesis over sums in integer micro-dollars, and Decimal written out by hand."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.finops.prices import PriceError, exact, flat_rate, in_cents
from course_lib.finops.prices.rates import Rate, Tier

MICRO = st.integers(min_value=0, max_value=10**13)


@given(st.lists(MICRO, min_size=1, max_size=12))
def test_parts_in_cents_add_up_to_the_rounded_total(micro):
    cents = [int(amount * 100) for amount in in_cents([Decimal(one).scaleb(-6) for one in micro])]
    assert sum(cents) == (sum(micro) + 5_000) // 10_000  # half a cent goes up
    assert all(abs(cent * 10_000 - one) < 10_000 for cent, one in zip(cents, micro, strict=True))


def test_the_missing_cents_go_to_the_largest_rests():
    assert in_cents([Decimal("0.333"), Decimal("0.333"), Decimal("0.334")]) == [
        Decimal("0.33"),
        Decimal("0.33"),
        Decimal("0.34"),
    ]


def test_a_float_is_the_decimal_that_its_digits_say():
    assert exact("x", 55.04) == Decimal("55.04")
    assert exact("x", 0.1) * 3 == Decimal("0.3")


@pytest.mark.parametrize("value", [-1, -0.01, float("nan"), float("inf"), Decimal("NaN"), 1e16, True, None, "12"])
def test_what_is_no_amount_is_refused(value):
    with pytest.raises(PriceError, match=r"price=.* must be a finite number from 0 to 1e15\. Remedy: "):
        exact("price", value)


def test_tiers_charge_each_unit_at_its_own_price():
    tiers = (
        Tier(Decimal(0), Decimal(100), Decimal(0)),
        Tier(Decimal(100), Decimal(1000), Decimal("0.09")),
        Tier(Decimal(1000), None, Decimal("0.05")),
    )
    rate = Rate(tiers, "GB", "an example", exact_day())
    assert rate.usd(Decimal(60)) == 0
    assert rate.usd(Decimal(1500)) == 900 * Decimal("0.09") + 500 * Decimal("0.05")


def test_tiers_with_a_gap_and_prices_without_a_source_are_refused():
    gap = (Tier(Decimal(0), Decimal(10), Decimal(1)), Tier(Decimal(20), None, Decimal(1)))
    with pytest.raises(PriceError, match=r"tiers=.*without a gap"):
        Rate(gap, "GB", "an example", exact_day())
    with pytest.raises(PriceError, match=r"source='' is empty"):
        flat_rate(0.1, "GB", source="", date=exact_day())


def exact_day():
    import datetime

    return datetime.date(2026, 11, 1)
