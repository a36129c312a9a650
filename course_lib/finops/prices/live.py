"""Prices asked of AWS itself: the Price List for what is published, the spot history for what moves.

The same calls work on a real account and on the practice account, whose price list holds the catalog's prices.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from course_lib.finops.aws import AwsError, Clients, aws_now, pages
from course_lib.finops.prices.amounts import exact
from course_lib.finops.prices.errors import PriceError, PriceUnknownError
from course_lib.finops.prices.price_list import Product, read_product
from course_lib.finops.prices.quotes import Quote
from course_lib.finops.prices.rates import Rate

# Where the Price List Query API has endpoints: botocore's endpoints.json, "api.pricing". Each knows every region.
PRICING_ENDPOINTS = ("us-east-1", "eu-central-1", "ap-south-1")
LINUX = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",  # not an empty or an allocated Capacity Reservation
    "marketoption": "OnDemand",
}
# What a run pays for beside instances: service code, filters, unit. {region} is filled in.
RATES: Mapping[str, tuple[str, Mapping[str, str], str]] = {
    "ebs-gp3": (
        "AmazonEC2",
        {"productFamily": "Storage", "volumeApiName": "gp3", "regionCode": "{region}"},
        "GB-Mo",
    ),
    "s3-standard": (
        "AmazonS3",
        {"storageClass": "General Purpose", "volumeType": "Standard", "regionCode": "{region}"},
        "GB-Mo",
    ),
    "internet-out": (
        "AWSDataTransfer",
        {"transferType": "AWS Outbound", "toLocation": "External", "fromRegionCode": "{region}"},
        "GB",
    ),
    "between-zones": (
        "AWSDataTransfer",
        {"transferType": "IntraRegion", "fromRegionCode": "{region}"},
        "GB",
    ),
}


def ask_on_demand(account: Clients, name: str, region: str, *, endpoint: str = PRICING_ENDPOINTS[0]) -> Quote:
    """An instance's on-demand price from the Price List: Linux, shared hardware, no software in the price.

    Args:
        account: real or practice.
        name: instance type, exactly as AWS writes it.
        region: where the instance would run.
        endpoint: which of `PRICING_ENDPOINTS` to ask; the answer is the same.

    Returns:
        The quote, dated by the clock in AWS's answer.

    Raises:
        PriceUnknownError: when no product matches: a wrong name or region, or a price that AWS doesn't publish.
        PriceError: for an endpoint that doesn't exist, or several products.
        AwsError: when the call is denied, throttled too often, or finds no credentials.
    """
    filters = {"instanceType": name, "regionCode": region, **LINUX}
    product, day, source = _only_product(account, "AmazonEC2", filters, endpoint)
    if product.unit != "Hrs" or len(product.tiers) != 1 or not product.tiers[0].usd:
        remedy = "look at the product in the AWS console's price list"
        raise PriceError.of("sku", product.sku, f"is no hourly price of {name} ({product.unit})", remedy)
    return Quote(name, region, "on_demand", product.tiers[0].usd, source, day)


def ask_rate(account: Clients, kind: str, region: str, *, endpoint: str = PRICING_ENDPOINTS[0]) -> Rate:
    """The price of storage or transfer in a region, from the Price List.

    Args:
        account: real or practice; the practice account's list holds instances and gp3 volumes only.
        kind: one of `RATES`: "ebs-gp3", "s3-standard", "internet-out", "between-zones".
        region: where.
        endpoint: as for `ask_on_demand`.

    Raises:
        PriceUnknownError, PriceError, AwsError: as for `ask_on_demand`.
    """
    if kind not in RATES:
        raise PriceError.of("kind", kind, f"is none of {', '.join(RATES)}", "name one of them")
    service, filters, unit = RATES[kind]
    filled = {name: value.format(region=region) for name, value in filters.items()}
    product, day, source = _only_product(account, service, filled, endpoint)
    if product.unit != unit:
        raise PriceError.of("unit", product.unit, f"is not {unit} for {kind}", "narrow the filters by usagetype")
    return Rate(product.tiers, unit, source, day)


def ask_spot(account: Clients, name: str, region: str) -> tuple[Quote, ...]:
    """The spot price that is in force now in each Availability Zone, the cheapest first.

    Raises:
        PriceUnknownError: when the history is empty: the type isn't sold there.
        AwsError: as for `ask_on_demand`.
    """
    now = aws_now(account)
    latest: dict[str, dict[str, Any]] = {}
    # A start time of now asks for the price in force and nothing older.
    asked = {"InstanceTypes": [name], "ProductDescriptions": ["Linux/UNIX"], "StartTime": now}
    ec2 = account.client("ec2", region=region)
    for page in pages(ec2, "describe_spot_price_history", f"asking for spot prices of {name} in {region}", **asked):
        for row in page["SpotPriceHistory"]:
            zone = row["AvailabilityZone"]
            if zone not in latest or row["Timestamp"] > latest[zone]["Timestamp"]:
                latest[zone] = row
    if not latest:
        raise PriceUnknownError.of(
            "instance", name, f"has no spot price in {region}", "look at the name and the region, or buy it on demand"
        )
    quotes = [
        Quote(
            name,
            region,
            "spot",
            exact("SpotPrice", float(row["SpotPrice"])),
            f"DescribeSpotPriceHistory at {_host(ec2)}, {zone}, price of {row['Timestamp']:%Y-%m-%dT%H:%MZ}",
            now.date(),
            zone=zone,
            note="moves with the market",
        )
        for zone, row in latest.items()
    ]
    return tuple(sorted(quotes, key=lambda quote: (quote.usd_per_hour, quote.zone)))


def _only_product(
    account: Clients, service: str, filters: Mapping[str, str], endpoint: str
) -> tuple[Product, datetime.date, str]:
    if endpoint not in PRICING_ENDPOINTS:
        raise PriceError.of("endpoint", endpoint, "has no Price List", f"ask in {', '.join(PRICING_ENDPOINTS)}")
    found: list[Product] = []
    day = datetime.date.min
    client = account.client("pricing", region=endpoint)
    shown = ", ".join(f"{name}={value}" for name, value in filters.items())
    for page in _answers(client, service, filters):
        headers = page["ResponseMetadata"]["HTTPHeaders"]
        day = parsedate_to_datetime(headers["date"]).astimezone(datetime.UTC).date()
        found += map(read_product, page["PriceList"])
        if len(found) > 1:
            break
    if not found:
        remedy = (
            "look at the name and the region; what AWS doesn't publish (trn2 is sold as Capacity Blocks) ask of AWS"
        )
        raise PriceUnknownError(f"no product of {service} matches {shown}. Remedy: {remedy}, or give your own price.")
    if len(found) > 1:
        differ = sorted(
            name for name in found[0].attributes if found[0].attributes[name] != found[1].attributes.get(name)
        )
        remedy = f"filter by what tells them apart: {', '.join(differ) or 'sku'}"
        raise PriceError(f"several products of {service} match {shown}. Remedy: {remedy}.")
    only = found[0]
    source = f"AWS Price List at {_host(client)}, {service}, sku {only.sku}, published {only.published[:10]}"
    return only, day, source


def _answers(client: Any, service: str, filters: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    terms = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in filters.items()]
    asked = {"ServiceCode": service, "Filters": terms, "FormatVersion": "aws_v1"}
    try:
        yield from pages(client, "get_products", f"asking the Price List for {service}", **asked)
    except AwsError as error:
        if error.code == "NotFoundException":
            raise PriceUnknownError(str(error)) from error
        raise


def _host(client: Any) -> str:
    """Who answered: the source of a price that a practice account gave must not read like AWS's."""
    return urlsplit(client.meta.endpoint_url).hostname or "an unknown host"
