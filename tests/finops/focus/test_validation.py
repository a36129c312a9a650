"""What the validator finds. Oracle: the requirements of FOCUS 1.2, one broken on purpose in each case."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from course_lib.finops.focus import MANDATORY, FocusError, make_focus, violations
from course_lib.finops.focus.values import write
from tests.finops.focus.charges import MONTH, charge


def found(row):
    columns = list(row)
    return [(one.column, one.severity) for one in violations(columns, [[write(row[name]) for name in columns]])]


def test_a_row_that_keeps_the_rules_has_no_violation():
    for category in ("Usage", "Purchase", "Tax", "Credit", "Adjustment"):
        assert found(charge("-1.5" if category == "Credit" else "1.5", "bert", category)) == []


@pytest.mark.parametrize("column", MANDATORY)
def test_each_mandatory_column_is_missed(column):
    row = charge()
    del row[column]
    assert (column, "error") in found(row)


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"BilledCost": None}, "BilledCost"),
        ({"ChargeCategory": "Usages"}, "ChargeCategory"),
        ({"ChargeClass": "Refund"}, "ChargeClass"),
        ({"PricingCategory": "Spot"}, "PricingCategory"),
        ({"ServiceCategory": "Fun"}, "ServiceCategory"),
        ({"ListUnitPrice": Decimal(-1), "ListCost": Decimal(-1)}, "ListUnitPrice"),
        ({"BillingAccountName": "n/a"}, "BillingAccountName"),
        ({"ChargePeriodEnd": datetime(2026, 12, 2, tzinfo=UTC)}, "ChargePeriodEnd"),  # half-open: an empty period
        ({"BillingPeriodEnd": MONTH[0]}, "BillingPeriodEnd"),
        ({"PricingUnit": None}, "PricingUnit"),
        ({"PricingQuantity": None, "PricingUnit": None}, "PricingQuantity"),
        ({"ListCost": Decimal(11)}, "ListCost"),
        ({"ResourceType": "Instance"}, "ResourceType"),
        ({"CommitmentDiscountId": None, "CommitmentDiscountStatus": "Used"}, "CommitmentDiscountStatus"),
        ({"CommitmentDiscountId": "sp-1", "CommitmentDiscountStatus": None}, "CommitmentDiscountStatus"),
        ({"ConsumedQuantity": None, "ConsumedUnit": None}, "ConsumedQuantity"),
        ({"Project": "bert"}, "Project"),
    ],
)
def test_each_broken_rule_is_named_with_its_column(changes, column):
    assert found(charge(**changes)) == [(column, "error")]


def test_a_tax_has_no_price_and_a_credit_is_its_own_effective_cost():
    assert found(charge(category="Tax", PricingQuantity=Decimal(1), PricingUnit="Hours")) == [
        ("PricingQuantity", "error")
    ]
    assert found(charge("-5", category="Credit", EffectiveCost=Decimal(-4))) == [("EffectiveCost", "error")]


def test_a_correction_may_leave_out_what_a_usage_must_have():
    row = charge(ChargeClass="Correction", PricingQuantity=None, PricingUnit=None, ListCost=Decimal(7))
    assert found(row) == []


def test_more_than_the_list_price_is_a_warning_and_no_error():
    row = charge("9", BilledCost=Decimal(10))
    assert found(row) == [("BilledCost", "warning")]
    assert len(make_focus([row])) == 1


def test_the_error_names_row_column_value_and_rule_in_one_line():
    with pytest.raises(FocusError, match=r"row 3: ChargeCategory='Usages' must be one of Usage, .* Remedy: ") as caught:
        make_focus([charge(), charge(ChargeCategory="Usages")], "bill.csv")
    assert "\n" not in str(caught.value)


def test_a_unit_price_that_was_rounded_for_print_still_matches_its_cost():
    third = {"ListUnitPrice": Decimal("0.333"), "PricingQuantity": Decimal(3), "ListCost": Decimal(1)}
    assert found(charge(1, **third)) == []
    assert found(charge(1, **{**third, "ListCost": Decimal("1.01")})) == [("ListCost", "error")]


def test_columns_of_your_own_begin_with_x():
    assert found(charge(x_Team="bert")) == []


def test_a_line_with_too_few_cells_is_one_violation():
    columns = list(charge())
    (one,) = violations(columns, [["1", "2"]])
    assert (one.row, one.rule) == (2, f"has 2 cells where there are {len(columns)} columns")
