"""The Price List of the practice account: DescribeServices, GetAttributeValues and GetProducts over the catalog.

Each on-demand price that the catalog knows becomes three products, as on AWS: the instance in use, an empty Capacity
Reservation (which costs the same) and the hour of an allocated one (which costs nothing more). So a query that forgets
`capacitystatus` gets several hits here too. Of storage there is what the catalog's service prices hold. Sources: the
operations' shapes in botocore; "Reading the service price list file for an AWS service" and "Capacity Reservation
pricing and billing", AWS documentation.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from course_lib.catalog import Instance, Price, instance, instances, service_prices
from course_lib.finops.cloud.wire import ApiCall, ApiError

ENDPOINTS = ("us-east-1", "eu-central-1", "ap-south-1")
SERVICE = "AmazonEC2"
FORMAT = "aws_v1"
HOURLY, RATE = "JRTCKXETXF", "6YS6EN2CT7"  # AWS's codes for "on demand" and "per hour", the same for every product
# capacitystatus → how the usage type begins, how the description goes, and whether the hour costs anything
STATES = {
    "Used": ("BoxUsage", "On Demand Linux {name} Instance Hour", True),
    "UnusedCapacityReservation": ("UnusedBox", "Unused Reservation Linux {name} Instance Hour", True),
    "AllocatedCapacityReservation": ("Reservation", "Reservation Linux {name} Instance Hour", False),
}
MATCH: dict[str, Callable[[str, str], bool]] = {
    "TERM_MATCH": lambda value, wanted: value == wanted,
    "EQUALS": lambda value, wanted: value == wanted,
    "CONTAINS": lambda value, wanted: wanted in value,
    "ANY_OF": lambda value, wanted: value in wanted.split(","),
    "NONE_OF": lambda value, wanted: value not in wanted.split(","),
}
Item = dict[str, Any]


def describe_services(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer DescribeServices: the services of the list, with the names of their products' attributes."""
    _check(call, call.parameters.get("ServiceCode"))
    names = sorted({name for item in items() for name in fields(item)})
    page, following = _page([{"ServiceCode": SERVICE, "AttributeNames": names}], call, most=100)
    return {"Services": page, "FormatVersion": FORMAT, **following}


def attribute_values(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer GetAttributeValues: every value that an attribute has in the list."""
    _check(call, call.parameters.get("ServiceCode", ""))
    name = str(call.parameters.get("AttributeName", ""))
    values = sorted({told[name] for item in items() if (told := fields(item)).get(name)})
    if not values:
        raise ApiError("NotFoundException", f"AttributeName {name} is none of {SERVICE}'s.")
    page, following = _page([{"Value": value} for value in values], call, most=10_000)
    return {"AttributeValues": page, **following}


def products(account: Any, call: ApiCall) -> dict[str, Any]:
    """Answer GetProducts: the products that match every filter, each as one JSON text."""
    _check(call, call.parameters.get("ServiceCode", ""))
    filters = call.parameters.get("Filters") or []
    for given in filters:
        if given.get("Type") not in MATCH:
            raise _invalid(f"Filter type {given.get('Type')} is none of {', '.join(MATCH)}.")
    found = [json.dumps(item, separators=(",", ":")) for item in items() if _matches(item, filters)]
    page, following = _page(found, call, most=100)
    return {"PriceList": page, "FormatVersion": FORMAT, **following}


@lru_cache(maxsize=1)
def items() -> tuple[Item, ...]:
    """Every product of the list."""
    made = []
    for name in dict.fromkeys(instances()["name"]):
        spec = instance(name)
        for region in sorted({row.region for row in spec.prices()}):
            row = spec.price("on_demand", region)
            if row is not None and row.usd_per_hour is not None and row.os == "linux":
                made += list(_products_of(spec, row))
    return (*made, *_volumes())


def fields(item: Item) -> dict[str, str]:
    """What filters can name: the attributes, and the product family."""
    told: dict[str, str] = {**item["product"]["attributes"], "productFamily": item["product"]["productFamily"]}
    return told


def _products_of(spec: Instance, row: Price) -> Iterator[Item]:
    for status, (usage, told, costs) in STATES.items():
        prefix = "" if row.region == "us-east-1" else f"{row.region}-"
        attributes = {
            "instanceType": spec.name,
            "vcpu": str(spec.vcpus),
            "memory": f"{spec.memory_gib:g} GiB",
            "operatingSystem": "Linux",
            "tenancy": "Shared",
            "preInstalledSw": "NA",
            "licenseModel": "No License required",
            "capacitystatus": status,
            "marketoption": "OnDemand",
            "operation": "RunInstances",
            "usagetype": f"{prefix}{usage}:{spec.name}",
        }
        usd = row.usd_per_hour if costs and row.usd_per_hour else 0.0
        yield _item("Compute Instance", attributes, row.region, row.date, usd, "Hrs", told.format(name=spec.name))


def _volumes() -> Iterator[Item]:
    for price in service_prices():
        if price.unit == "GB-Mo":
            attributes = {
                "volumeApiName": price.item,
                "operation": "",
                "usagetype": f"EBS:VolumeUsage.{price.item}",
            }
            told = f"GB-month of provisioned {price.item} storage"
            yield _item("Storage", attributes, price.region, price.date, price.usd, price.unit, told)


def _item(
    family: str, attributes: dict[str, str], region: str, date: datetime.date, usd: float, unit: str, told: str
) -> Item:
    day = f"{date:%Y-%m-%d}T00:00:00Z"
    sku = _sku(attributes["usagetype"], region)
    rate = f"{sku}.{HOURLY}.{RATE}"
    everywhere = {
        "regionCode": region,
        "location": location(region),
        "locationType": "AWS Region",
        "servicecode": SERVICE,
        "servicename": "Amazon Elastic Compute Cloud",
    }
    dimension = {
        "unit": unit,
        "endRange": "Inf",
        "description": f"${usd:g} per {told}",
        "appliesTo": [],
        "rateCode": rate,
        "beginRange": "0",
        "pricePerUnit": {"USD": f"{usd:.10f}"},
    }
    term = {
        "priceDimensions": {rate: dimension},
        "sku": sku,
        "effectiveDate": day,
        "offerTermCode": HOURLY,
        "termAttributes": {},
    }
    return {
        "product": {"productFamily": family, "attributes": {**attributes, **everywhere}, "sku": sku},
        "serviceCode": SERVICE,
        "terms": {"OnDemand": {f"{sku}.{HOURLY}": term}},
        "version": f"{date:%Y%m%d}000000",
        "publicationDate": day,
    }


def location(region: str) -> str:
    """A region's name in words, as botocore knows it."""
    return _locations().get(region, region)


@lru_cache(maxsize=1)
def _locations() -> dict[str, str]:
    from botocore.loaders import create_loader

    partitions = create_loader().load_data("endpoints")["partitions"]
    return {name: told["description"] for one in partitions for name, told in one["regions"].items()}


def _sku(*parts: str) -> str:
    digest = hashlib.sha256(" ".join(parts).encode()).digest()
    return base64.b32encode(digest).decode()[:16]  # AWS's have 16 capitals and digits


def _matches(item: Item, filters: Sequence[dict[str, str]]) -> bool:
    told = {**fields(item), "ServiceCode": SERVICE}
    return all(MATCH[one["Type"]](told.get(one["Field"], ""), one["Value"]) for one in filters)


def _check(call: ApiCall, service: str | None) -> None:
    if call.region not in ENDPOINTS:  # on AWS there is no such host, and boto3 can't connect
        raise ApiError(
            "EndpointConnectionError",
            f"The Price List has no endpoint in {call.region}; ask in {', '.join(ENDPOINTS)}.",
        )
    if call.parameters.get("FormatVersion", FORMAT) != FORMAT:
        raise _invalid(f"FormatVersion {call.parameters['FormatVersion']} is invalid; it must be {FORMAT}.")
    if service == "":
        raise _invalid("serviceCode cannot be null or empty")
    if service is not None and service != SERVICE:
        raise ApiError(
            "NotFoundException",
            f"ServiceCode {service} was not found; the practice account's list holds {SERVICE} only.",
        )


def _page(found: Sequence[Any], call: ApiCall, most: int) -> tuple[list[Any], dict[str, str]]:
    size = int(call.parameters.get("MaxResults") or most)
    if not 1 <= size <= most:
        raise _invalid(f"MaxResults {size} must be from 1 to {most}.")
    first = _position(call.parameters.get("NextToken"), call.operation)
    after = first + size
    following = {"NextToken": _token(call.operation, after)} if after < len(found) else {}
    return list(found[first:after]), following


def _token(operation: str, position: int) -> str:
    return base64.b64encode(f"{operation} {position}".encode()).decode()


def _position(token: str | None, operation: str) -> int:
    if not token:
        return 0
    refused = ApiError("InvalidNextTokenException", "The NextToken was not made by this operation; leave it out.")
    try:
        made_for, _, position = base64.b64decode(token, validate=True).decode().partition(" ")
    except (binascii.Error, UnicodeDecodeError):
        raise refused from None
    if made_for != operation or not position.isdecimal():
        raise refused
    return int(position)


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidParameterException", f"Input Parameters are invalid. {message}")
