"""The account's bill in FOCUS 1.2 columns, as AWS's table FOCUS_1_2_AWS has them: one row for each resource and step.

Columns beside the specification's: https://docs.aws.amazon.com/cur/latest/userguide/, table dictionary FOCUS 1.2.
x_PriceKnown and the values of BillingAccountType and SubAccountType are this account's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache

from course_lib.finops.cloud.catalog_prices import known_price
from course_lib.finops.cloud.costs import SERVICE, Line
from course_lib.finops.focus import Row

DIGITS = Decimal("1E-10")  # as AWS prints amounts
UNITS = {"Hrs": "Hours", "GB-Mo": "GB-Months"}
ACCOUNT = "AWS account"
SELLER = "Amazon Web Services, Inc."
# Cost Explorer's name of a service → name, category, subcategory, code and type of resource in FOCUS.
SERVICES = {
    SERVICE: ("Amazon Elastic Compute Cloud", "Compute", "Virtual Machines", "AmazonEC2", "Instance"),
    "EC2 - Other": ("Amazon Elastic Block Store", "Storage", "Block Storage", "AmazonEC2", "Volume"),
    "Amazon Virtual Private Cloud": (
        "Amazon Virtual Private Cloud",
        "Networking",
        "Network Infrastructure",
        "AmazonVPC",
        "Elastic IP Address",
    ),
}


def month_of(moment: datetime) -> tuple[datetime, datetime]:
    """The billing period in which a moment lies; its end is not part of it."""
    start = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return start, (start + timedelta(days=32)).replace(day=1)


def focus_rows(lines: Iterable[Line], step: timedelta, known: datetime) -> Iterator[Row]:
    """Rows of FOCUS 1.2.

    Args:
        lines: of the bill, in steps.
        step: their length.
        known: nothing of the bill lies after it.
    """
    for line in lines:
        yield _row(line, min(line.start + step, month_of(line.start)[1], known))


def _row(line: Line, end: datetime) -> Row:
    told = line.dimensions
    name, category, subcategory, code, kind = SERVICES[told["SERVICE"]]
    start_of_month, end_of_month = month_of(line.start)
    spot = told["PURCHASE_TYPE"] == "Spot Instances"
    usd, quantity = _decimal(line.usd), _decimal(line.quantity)
    price = (Decimal(repr(line.usd)) / Decimal(repr(line.quantity))).quantize(DIGITS)
    listed = _list_price(told["INSTANCE_TYPE"], told["REGION"]) if spot else price
    sku = _id(told["USAGE_TYPE"], told["REGION"])
    return {
        "AvailabilityZone": told["AZ"] or None,
        "BilledCost": usd,
        "BillingAccountId": told["LINKED_ACCOUNT"],
        "BillingAccountName": None,
        "BillingAccountType": ACCOUNT,
        "BillingCurrency": "USD",
        "BillingPeriodEnd": end_of_month,
        "BillingPeriodStart": start_of_month,
        "ChargeCategory": "Usage",
        "ChargeClass": None,
        "ChargeDescription": f"{price.normalize():f} USD per {line.unit} {told['USAGE_TYPE']} in {told['REGION']}",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": end,
        "ChargePeriodStart": line.start,
        "ConsumedQuantity": quantity,
        "ConsumedUnit": UNITS[line.unit],
        "ContractedCost": usd,
        "ContractedUnitPrice": price,
        "EffectiveCost": usd,
        "InvoiceIssuerName": SELLER,
        "ListCost": (listed * quantity).quantize(DIGITS) if spot else usd,
        "ListUnitPrice": listed,
        "PricingCategory": "Dynamic" if spot else "Standard",
        "PricingQuantity": quantity,
        "PricingUnit": UNITS[line.unit],
        "ProviderName": "AWS",
        "PublisherName": SELLER,
        "RegionId": told["REGION"],
        "RegionName": _region_names().get(told["REGION"], told["REGION"]),
        "ResourceId": told["RESOURCE_ID"],
        "ResourceName": line.tags.get("Name") or None,
        "ResourceType": kind,
        "ServiceCategory": category,
        "ServiceName": name,
        "ServiceSubcategory": subcategory,
        "SkuId": sku,
        "SkuMeter": told["USAGE_TYPE"],
        "SkuPriceId": f"{sku}.{_id(told['PURCHASE_TYPE'], told['LINKED_ACCOUNT'])}",
        "SubAccountId": told["LINKED_ACCOUNT"],
        "SubAccountName": told["LINKED_ACCOUNT"],
        "SubAccountType": ACCOUNT,
        "Tags": dict(line.tags) or None,
        "x_Discounts": {},
        "x_Operation": told["OPERATION"],
        "x_PriceKnown": "true" if line.priced else "false",
        "x_ServiceCode": code,
    }


def _list_price(name: str, region: str) -> Decimal:
    """On demand, so that ListCost minus EffectiveCost is what spot saved; 0 where the catalog knows no price."""
    found = known_price(name, ("on_demand", region), ("on_demand", None))
    return Decimal(0) if found is None else Decimal(repr(found[1]))


def _decimal(number: float) -> Decimal:
    return Decimal(repr(number)).quantize(DIGITS)


def _id(*words: str) -> str:
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:16].upper()


@lru_cache
def _region_names() -> dict[str, str]:
    from botocore.loaders import Loader

    aws = Loader().load_data("endpoints")["partitions"][0]
    return {name: told["description"] for name, told in aws["regions"].items()}
