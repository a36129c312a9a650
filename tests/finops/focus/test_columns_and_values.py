"""Columns and cells. Oracle: FOCUS 1.2, copied by hand: 57 columns, 21 mandatory, its good and bad numbers."""

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from course_lib.finops.focus import COLUMNS, MANDATORY
from course_lib.finops.focus.values import parse, write

NULLABLE = {"BillingAccountName", "ChargeClass", "ChargeDescription", "PricingQuantity", "PricingUnit"}


def test_the_specification_has_57_columns_of_which_21_are_mandatory():
    assert Counter(column.level for column in COLUMNS.values()) == {
        "mandatory": 21,
        "conditional": 32,
        "recommended": 4,
    }
    assert {name for name in MANDATORY if COLUMNS[name].nullable} == NULLABLE
    assert COLUMNS["ChargeCategory"].allowed == ("Usage", "Purchase", "Tax", "Credit", "Adjustment")
    assert len(COLUMNS["ServiceCategory"].allowed) == 19


@pytest.mark.parametrize(
    ("text", "value"), [("-100.2", "-100.2"), ("-3", "-3"), ("4", "4"), ("35.2E-7", "0.00000352"), ("1.234", "1.234")]
)
def test_numbers_that_the_specification_accepts(text, value):
    assert parse("number", text) == Decimal(value)


@pytest.mark.parametrize(
    "text",
    ["1 1/2", "35.2E+7", "35.24 x 10^7", "[3,5,8]", "[4:5]", "5i + 4", "2.3^3", "32 GiB", "$32", "3,432,342", "+333"],
)
def test_numbers_that_the_specification_refuses(text):
    with pytest.raises(ValueError, match=r"plain number"):
        parse("number", text)


def test_a_number_that_would_fill_the_memory_is_refused():
    with pytest.raises(ValueError, match=r"plain number"):
        parse("number", "1E999999999")


@pytest.mark.parametrize("text", ["2026-12-01", "2026-12-01T00:00:00", "2026-12-01T00:00:00+01:00", "12/1/26"])
def test_a_time_without_the_z_of_utc_is_refused(text):
    with pytest.raises(ValueError, match=r"moment in UTC"):
        parse("time", text)


def test_a_day_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match=r"calendar"):
        parse("time", "2026-02-30T00:00:00Z")


@pytest.mark.parametrize(
    ("text", "rule"), [("[1]", "JSON object"), ("{", "JSON object"), ('{"a":1,"a":2}', "once"), ('{"a":[1]}', "plain")]
)
def test_pairs_are_one_flat_object_with_each_key_once(text, rule):
    with pytest.raises(ValueError, match=rule):
        parse("pairs", text)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("number", Decimal("0.0000000001")),
        ("number", Decimal("-12.50")),
        ("time", datetime(2026, 12, 1, 5, tzinfo=UTC)),
        ("pairs", {"project": 'a"b', "n": 3, "gone": None}),
        ("text", "Ampère, Paris"),
    ],
)
def test_what_is_written_is_read_again(kind, value):
    assert parse(kind, write(value)) == value
