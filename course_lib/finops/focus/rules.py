"""What FOCUS 1.2 asks of a row as a whole: nulls that depend on other columns, periods, and prices times quantities.

Each check yields (column, rule, severity). Source: https://focus.finops.org/focus-specification/v1-2/, the
requirements of each column named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

from course_lib.finops.focus.data import Row, number

Broken = tuple[str, str, str]
ZERO, CENT = Decimal(0), Decimal("0.01")
RELATIVE = Decimal("1E-6")  # providers round prices and quantities before they print them

# Present exactly when another column is. "When this is null, that must be, and the other way round."
TOGETHER = (
    ("PricingUnit", "PricingQuantity"),
    ("ConsumedUnit", "ConsumedQuantity"),
    ("CommitmentDiscountUnit", "CommitmentDiscountQuantity"),
    ("CommitmentDiscountCategory", "CommitmentDiscountId"),
    ("CommitmentDiscountType", "CommitmentDiscountId"),
    ("RegionName", "RegionId"),
    ("ResourceType", "ResourceId"),
    ("SubAccountName", "SubAccountId"),
    ("SubAccountType", "SubAccountId"),
)
# Null when another is null; may be null besides.
ONLY_WITH = (
    ("ResourceName", "ResourceId"),
    ("CommitmentDiscountName", "CommitmentDiscountId"),
    ("CommitmentDiscountStatus", "CommitmentDiscountId"),
    ("CapacityReservationStatus", "CapacityReservationId"),
    ("SkuMeter", "SkuId"),
    ("SkuPriceDetails", "SkuPriceId"),
)
# Null for taxes; there for usage and purchases that are no corrections.
PRICED = (
    "PricingQuantity",
    "PricingCategory",
    "ListUnitPrice",
    "ContractedUnitPrice",
    "SkuId",
    "SkuPriceId",
)


def presence(row: Row) -> Iterator[Broken]:
    """Nulls that depend on other columns of the row; a column that the file lacks is not asked for."""
    category, correction = row.get("ChargeCategory"), row.get("ChargeClass") == "Correction"
    for column, other in TOGETHER:
        if column in row and other in row and (row[column] is None) != (row[other] is None):
            yield column, f"must be null exactly when {other} is", "error"
    for column, other in ONLY_WITH:
        if column in row and other in row and row[column] is not None and row[other] is None:
            yield column, f"must be null when {other} is", "error"
    for column in PRICED:
        if column not in row:
            continue
        if category == "Tax" and row[column] is not None:
            yield column, "must be null for a Tax", "error"
        if category in ("Usage", "Purchase") and not correction and row[column] is None:
            yield column, f"must not be null for a {category} that is no Correction", "error"
    for status, owner in (
        ("CommitmentDiscountStatus", "CommitmentDiscountId"),
        ("CapacityReservationStatus", "CapacityReservationId"),
    ):
        if category == "Usage" and status in row and row.get(owner) is not None and row[status] is None:
            yield status, f"must not be null for a Usage with a {owner}", "error"
    yield from _consumed(row, category == "Usage", correction)


def _consumed(row: Row, usage: bool, correction: bool) -> Iterator[Broken]:
    if "ConsumedQuantity" not in row:
        return
    counted = usage and row.get("CommitmentDiscountStatus") != "Unused"
    if not counted and row["ConsumedQuantity"] is not None:
        yield "ConsumedQuantity", "must be null where nothing is consumed", "error"
    if counted and not correction and row["ConsumedQuantity"] is None:
        yield "ConsumedQuantity", "must not be null for a Usage that is no Correction", "error"


def periods(row: Row) -> Iterator[Broken]:
    """Periods are half-open: a start is in it, its end is not, so the end comes later."""
    for name in ("BillingPeriod", "ChargePeriod"):
        start, end = row.get(f"{name}Start"), row.get(f"{name}End")
        if start is not None and end is not None and not start < end:  # type: ignore[operator]
            yield f"{name}End", f"must be later than {name}Start: the end is not part of the period", "error"


def costs(row: Row) -> Iterator[Broken]:
    """Unit price times quantity, costs that must vanish or agree, and a bill above the list price."""
    correction, category = row.get("ChargeClass") == "Correction", row.get("ChargeCategory")
    quantity = row.get("PricingQuantity")
    for price, cost in (("ListUnitPrice", "ListCost"), ("ContractedUnitPrice", "ContractedCost")):
        unit = row.get(price)
        if isinstance(unit, Decimal) and isinstance(quantity, Decimal) and not correction:
            # 3 at a third of a dollar, printed as 0.333, cost 1.00 and not 0.999
            printed = abs(quantity) * _half_a_digit(unit) + abs(unit) * _half_a_digit(quantity)
            if not near(unit * quantity, number(row, cost), printed):
                yield cost, f"must be {price} times PricingQuantity = {(unit * quantity).normalize():f}", "error"
        elif unit is None and category == "Credit" and not near(number(row, cost), number(row, "BilledCost")):
            yield cost, "must equal BilledCost for a Credit without a unit price", "error"
    if category == "Credit" and not near(number(row, "EffectiveCost"), number(row, "BilledCost")):
        yield "EffectiveCost", "must equal BilledCost for a Credit", "error"
    if category in ("Usage", "Purchase") and not correction:
        listed, billed = number(row, "ListCost"), number(row, "BilledCost")
        if listed > 0 and billed > listed and not near(billed, listed):
            yield "BilledCost", "is above ListCost: nobody should pay more than the list price", "warning"


def near(one: Decimal, other: Decimal, slack: Decimal = ZERO) -> bool:
    """Whether two amounts agree to a tenth of a cent, to a millionth of the larger, or to a slack of your own."""
    return abs(one - other) <= max(CENT / 10, RELATIVE * max(abs(one), abs(other)), slack)


def _half_a_digit(factor: Decimal) -> Decimal:
    """How much a price or a quantity may have lost when it was printed; none for whole numbers."""
    exponent = factor.as_tuple().exponent
    return Decimal(5).scaleb(exponent - 1) if isinstance(exponent, int) and exponent < 0 else ZERO


ROW_RULES: tuple[Callable[[Row], Iterator[Broken]], ...] = (presence, periods, costs)
