"""Charges for the tests of this room: one plain row of FOCUS 1.2 that keeps every rule, and variations of it."""

from datetime import UTC, datetime
from decimal import Decimal

MONTH = datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


def charge(usd="10.00", project=None, category="Usage", **changes):
    """One charge of a day; `changes` replace or add columns."""
    cost = Decimal(str(usd))
    priced = category in ("Usage", "Purchase")
    tags = {} if project is None else {"project": project}
    row = {
        "BilledCost": cost,
        "BillingAccountId": "123456789012",
        "BillingAccountName": None,
        "BillingCurrency": "USD",
        "BillingPeriodStart": MONTH[0],
        "BillingPeriodEnd": MONTH[1],
        "ChargeCategory": category,
        "ChargeClass": None,
        "ChargeDescription": f"{category} of a day",
        "ChargePeriodStart": datetime(2026, 12, 2, tzinfo=UTC),
        "ChargePeriodEnd": datetime(2026, 12, 3, tzinfo=UTC),
        "ContractedCost": cost,
        "EffectiveCost": cost,
        "InvoiceIssuerName": "Amazon Web Services, Inc.",
        "ListCost": cost,
        "ListUnitPrice": abs(cost) if priced else None,
        "PricingQuantity": Decimal(1 if cost >= 0 else -1) if priced else None,
        "PricingUnit": "Hours" if priced else None,
        "PricingCategory": "Standard" if priced else None,
        "ProviderName": "AWS",
        "PublisherName": "AWS",
        "ResourceId": None,
        "ServiceCategory": "Compute",
        "ServiceName": "Amazon Elastic Compute Cloud",
        "Tags": tags or None,
    }
    return {**row, **changes}
