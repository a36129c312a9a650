"""One item of AWS's Price List, from its JSON to a product with its on-demand price.

The format: `product` (family, attributes, sku), `terms` by kind, and in each on-demand term one price dimension for
each tier. Source: "Reading the service price list file for an AWS service", AWS Billing User Guide; the Price List
Query API sends the same for one product at a time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from course_lib.finops.prices.errors import PriceError, PriceUnknownError
from course_lib.finops.prices.rates import Tier


@dataclass(frozen=True)
class Product:
    """What is sold, and what it costs on demand.

    Args:
        sku: AWS's number of the product.
        service: such as "AmazonEC2".
        attributes: what the price list says of it.
        unit: of the price: "Hrs", "GB-Mo", "GB".
        tiers: prices by quantity.
        published: when this version of the list was made.
    """

    sku: str
    service: str
    attributes: Mapping[str, str]
    unit: str
    tiers: tuple[Tier, ...]
    published: str


def read_product(text: str) -> Product:
    """Read one string of GetProducts' `PriceList`.

    Raises:
        PriceError: when it is not in the format; names the part.
        PriceUnknownError: when it is sold in another way only (reserved), or not in US dollars.
    """
    try:
        item = json.loads(text)
    except (TypeError, ValueError) as error:
        raise PriceError.of("PriceList", str(text)[:60], "is no JSON", "pass one string of the answer") from error
    try:
        product, sku = item["product"], str(item["product"]["sku"])
        terms = item.get("terms", {}).get("OnDemand", {})
        attributes = {str(name): str(value) for name, value in product["attributes"].items()}
        if not terms:
            raise PriceUnknownError.of(
                "sku", sku, "has no on-demand price", "look at its other terms, or filter them out"
            )
        if len(terms) > 1:
            raise PriceError.of("sku", sku, f"has {len(terms)} on-demand terms", "choose one by its effectiveDate")
        dimensions = list(next(iter(terms.values()))["priceDimensions"].values())
        tiers = sorted((_tier(sku, one) for one in dimensions), key=lambda tier: tier.begin)
        units = sorted({str(one["unit"]) for one in dimensions})
        if len(units) != 1:
            raise PriceError.of("unit", units, f"is not one for sku {sku}", "filter by usagetype")
        service = str(item.get("serviceCode") or attributes.get("servicecode", ""))
        return Product(sku, service, attributes, units[0], tuple(tiers), str(item.get("publicationDate", "")))
    except (KeyError, TypeError, AttributeError, StopIteration) as error:
        raise PriceError.of(
            "PriceList", text[:60], f"lacks a part of the format ({error})", "pass one string of the answer"
        ) from error


def _tier(sku: str, dimension: Mapping[str, Any]) -> Tier:
    if "USD" not in dimension["pricePerUnit"]:
        known = ", ".join(dimension["pricePerUnit"])
        raise PriceUnknownError.of("sku", sku, f"is priced in {known}, not USD", "ask in a commercial region")
    end = str(dimension.get("endRange", "Inf"))
    numbers = {
        "beginRange": str(dimension.get("beginRange", "0")),
        "endRange": "0" if end == "Inf" else end,
        "pricePerUnit": str(dimension["pricePerUnit"]["USD"]),
    }
    read = {}
    for name, text in numbers.items():
        try:
            read[name] = Decimal(text)
        except InvalidOperation:
            raise PriceError.of(name, text, f"is no number, sku {sku}", "look at the answer") from None
        if not read[name].is_finite() or read[name] < 0:
            raise PriceError.of(name, text, f"must be 0 or more, sku {sku}", "look at the answer")
    return Tier(read["beginRange"], None if end == "Inf" else read["endRange"], read["pricePerUnit"])
