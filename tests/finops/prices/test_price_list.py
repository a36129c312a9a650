"""Reading one price list item. Oracle: AWS's own example of GetProducts, as botocore ships it, taken apart by hand."""

import json
from decimal import Decimal

import pytest
from botocore.loaders import create_loader

from course_lib.finops.prices import PriceError, PriceUnknownError, read_product


@pytest.fixture
def example():
    """AWS's example: provisioned IOPS storage in Canada."""
    (one,) = create_loader().load_service_model("pricing", "examples-1")["examples"]["GetProducts"]
    return json.loads(one["output"]["PriceList"][0])


def test_awss_own_example_is_understood(example):
    product = read_product(json.dumps(example))
    assert (product.sku, product.service, product.unit) == ("WQGC34PB2AWS8R4U", "AmazonEC2", "GB-Mo")
    assert product.attributes["volumeType"] == "Provisioned IOPS"
    ((begin, end, usd),) = [(tier.begin, tier.end, tier.usd) for tier in product.tiers]
    assert (begin, end, usd) == (0, None, Decimal("0.138"))
    assert product.published.startswith("2017-09-01")


def dimension_of(example):
    (term,) = example["terms"]["OnDemand"].values()
    (dimension,) = term["priceDimensions"].values()
    return term["priceDimensions"], dimension


def test_tiers_come_in_order_of_quantity(example):
    dimensions, one = dimension_of(example)
    dimensions.clear()
    dimensions["b"] = {**one, "beginRange": "51200", "endRange": "Inf", "pricePerUnit": {"USD": "0.05"}}
    dimensions["a"] = {**one, "beginRange": "0", "endRange": "51200", "pricePerUnit": {"USD": "0.09"}}
    tiers = read_product(json.dumps(example)).tiers
    assert [(tier.begin, tier.end, str(tier.usd)) for tier in tiers] == [(0, 51200, "0.09"), (51200, None, "0.05")]


def broken(example, how):
    dimensions, one = dimension_of(example)
    match how:
        case "price in words":
            one["pricePerUnit"]["USD"] = "cheap"
        case "negative price":
            one["pricePerUnit"]["USD"] = "-1"
        case "price is no number":
            one["pricePerUnit"]["USD"] = "NaN"
        case "two units":
            dimensions["other"] = {**one, "unit": "Hrs"}
        case "no dimensions":
            (term,) = example["terms"]["OnDemand"].values()
            del term["priceDimensions"]
        case "no product":
            del example["product"]
        case "two terms":
            example["terms"]["OnDemand"]["later"] = next(iter(example["terms"]["OnDemand"].values()))
    return json.dumps(example)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("price in words", r"pricePerUnit='cheap' is no number"),
        ("negative price", r"pricePerUnit='-1' must be 0 or more"),
        ("price is no number", r"pricePerUnit='NaN' must be 0 or more"),
        ("two units", r"unit=\['GB-Mo', 'Hrs'\] is not one"),
        ("no dimensions", r"lacks a part of the format \('priceDimensions'\)"),
        ("no product", r"lacks a part of the format \('product'\)"),
        ("two terms", r"has 2 on-demand terms"),
    ],
)
def test_a_broken_item_names_its_part(example, how, told):
    with pytest.raises(PriceError, match=told):
        read_product(broken(example, how))


def test_reserved_only_and_yuan_are_unknown_prices(example):
    _, one = dimension_of(example)
    one["pricePerUnit"] = {"CNY": "1.0"}
    with pytest.raises(PriceUnknownError, match=r"is priced in CNY, not USD"):
        read_product(json.dumps(example))
    example["terms"] = {"Reserved": {}}
    with pytest.raises(PriceUnknownError, match=r"has no on-demand price"):
        read_product(json.dumps(example))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "5", '{"product": 3}'])
def test_what_is_no_item_is_refused(text):
    with pytest.raises(PriceError, match=r"PriceList="):
        read_product(text)
