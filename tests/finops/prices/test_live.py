"""Prices asked of an account over HTTP. Oracle: the catalog's CSV read by the csv module, and botocore's own shapes."""

import csv
import datetime
import json
from decimal import Decimal
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from botocore.loaders import create_loader
from botocore.session import get_session

import course_lib.catalog
from course_lib.finops.aws import AwsError, RealAccount
from course_lib.finops.errors import FinopsError
from course_lib.finops.prices import (
    PRICING_ENDPOINTS,
    PriceError,
    PriceUnknownError,
    ask_on_demand,
    ask_rate,
    ask_spot,
    fetch_prices,
    listed_rate,
    price_of,
    read_price_file,
    read_product,
    write_price_file,
)

DATA = Path(course_lib.catalog.__file__).parent / "data"
ROWS = list(csv.DictReader((DATA / "prices.csv").read_text().splitlines()))
LISTED = {  # (instance, region) with a known on-demand price
    (row["instance"], row["region"]) for row in ROWS if row["purchase"] == "on_demand" and row["usd_per_hour"]
}
DAY = datetime.date(2026, 12, 1)


@pytest.fixture
def pricing(account):
    return account.client("pricing", region="us-east-1")


def term(field, value, kind="TERM_MATCH"):
    return {"Type": kind, "Field": field, "Value": value}


def listed(pricing, *filters, **asked):
    pages = pricing.get_paginator("get_products").paginate(ServiceCode="AmazonEC2", Filters=list(filters), **asked)
    return [json.loads(item)["product"]["attributes"] for page in pages for item in page["PriceList"]]


def test_the_price_list_has_endpoints_where_botocore_says():
    assert sorted(PRICING_ENDPOINTS) == sorted(get_session().get_available_regions("pricing"))


def test_items_have_the_parts_of_awss_own_example(pricing):
    (example,) = create_loader().load_service_model("pricing", "examples-1")["examples"]["GetProducts"]
    theirs = json.loads(example["output"]["PriceList"][0])
    ours = json.loads(pricing.get_products(ServiceCode="AmazonEC2", MaxResults=1)["PriceList"][0])

    def parts(item):
        (offer,) = item["terms"]["OnDemand"].values()
        (dimension,) = offer["priceDimensions"].values()
        return [set(part) for part in (item, item["product"], offer, dimension)]

    assert parts(ours) == parts(theirs)
    (code,) = ours["terms"]["OnDemand"]
    assert code.split(".")[1] == next(iter(theirs["terms"]["OnDemand"])).split(".")[1]
    assert len(ours["product"]["sku"]) == len(theirs["product"]["sku"])
    common = {"servicecode", "servicename", "locationType", "usagetype", "operation", "location"}
    assert common <= set(theirs["product"]["attributes"]) & set(ours["product"]["attributes"])


def test_every_known_price_is_listed_once_in_use_and_no_other(pricing):
    used = listed(pricing, term("capacitystatus", "Used"))
    assert {(one["instanceType"], one["regionCode"]) for one in used} == LISTED
    assert len(used) == len(LISTED)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_pages_of_any_size_give_all_of_it_once(pricing, size):
    filters = term("regionCode", "us-east-1"), term("productFamily", "Compute Instance")
    names = [one["usagetype"] for one in listed(pricing, *filters, MaxResults=size)]
    assert len(names) == len(set(names)) == 3 * sum(region == "us-east-1" for _, region in LISTED)


def test_filters_count(pricing):
    trn = {one["instanceType"] for one in listed(pricing, term("instanceType", "trn1", "CONTAINS"))}
    assert trn == {name for name, _ in LISTED if "trn1" in name}
    some = listed(pricing, term("instanceType", "p5.48xlarge,p5.4xlarge", "ANY_OF"), term("capacitystatus", "Used"))
    assert {one["instanceType"] for one in some} == {"p5.48xlarge", "p5.4xlarge"}
    family = term("productFamily", "Compute Instance")
    rest = listed(pricing, family, term("capacitystatus", "Used,UnusedCapacityReservation", "NONE_OF"))
    assert {one["capacitystatus"] for one in rest} == {"AllocatedCapacityReservation"}
    assert listed(pricing, term("instanceType", "p5", "EQUALS")) == []
    assert listed(pricing, term("instanceType", "a.p5.48xlarge.b", "ANY_OF")) == []
    assert listed(pricing, term("noSuchField", "x")) == []


def test_services_and_attribute_values_lead_to_products(pricing):
    (service,) = pricing.describe_services(ServiceCode="AmazonEC2")["Services"]
    assert {"instanceType", "regionCode", "capacitystatus", "productFamily"} <= set(service["AttributeNames"])
    pages = pricing.get_paginator("get_attribute_values").paginate(
        ServiceCode="AmazonEC2", AttributeName="instanceType", PaginationConfig={"PageSize": 5}
    )
    values = [one["Value"] for page in pages for one in page["AttributeValues"]]
    assert sorted(values) == sorted({name for name, _ in LISTED})
    for name in service["AttributeNames"]:
        first = pricing.get_attribute_values(ServiceCode="AmazonEC2", AttributeName=name)["AttributeValues"][0]["Value"]
        assert listed(pricing, term(name, first), MaxResults=100)


@pytest.mark.parametrize(
    ("operation", "asked", "code"),
    [
        ("get_products", {"ServiceCode": "AmazonTea"}, "NotFoundException"),
        ("describe_services", {"ServiceCode": "AmazonTea"}, "NotFoundException"),
        ("get_attribute_values", {"ServiceCode": "AmazonTea", "AttributeName": "location"}, "NotFoundException"),
        ("get_attribute_values", {"ServiceCode": "AmazonEC2", "AttributeName": "taste"}, "NotFoundException"),
        ("get_products", {"ServiceCode": "AmazonEC2", "NextToken": "again"}, "InvalidNextTokenException"),
        ("get_products", {"ServiceCode": "AmazonEC2", "NextToken": "Z2l2ZSBtZQ=="}, "InvalidNextTokenException"),
        ("get_products", {"ServiceCode": "AmazonEC2", "FormatVersion": "v9"}, "InvalidParameterException"),
        ("get_products", {"ServiceCode": "AmazonEC2", "MaxResults": 101}, "InvalidParameterException"),
        ("get_products", {"ServiceCode": "AmazonEC2", "Filters": [term("x", "y", "SOUNDS_LIKE")]}, "Invalid"),
    ],
)
def test_what_aws_refuses_is_refused_with_its_word(pricing, operation, asked, code):
    errors = {shape.name for shape in pricing.meta.service_model.operation_model("GetProducts").error_shapes}
    with pytest.raises(ClientError) as caught:
        getattr(pricing, operation)(**asked)
    assert caught.value.response["Error"]["Code"].startswith(code)
    assert caught.value.response["Error"]["Code"] in errors


def test_a_token_belongs_to_its_operation(pricing):
    token = pricing.get_attribute_values(ServiceCode="AmazonEC2", AttributeName="instanceType", MaxResults=1)[
        "NextToken"
    ]
    with pytest.raises(ClientError, match=r"InvalidNextTokenException"):
        pricing.get_products(ServiceCode="AmazonEC2", NextToken=token)


def test_a_region_without_a_price_list_is_refused(account):
    with pytest.raises(PriceError, match=r"endpoint='eu-west-1' has no Price List"):
        ask_on_demand(account, "p5.48xlarge", "us-east-1", endpoint="eu-west-1")
    with pytest.raises(ClientError, match=r"has no endpoint in eu-west-1"):
        account.client("pricing", region="eu-west-1").describe_services()


@pytest.mark.parametrize("endpoint", PRICING_ENDPOINTS)
def test_on_demand_is_the_catalogs_newest_price(account, endpoint):
    rows = [row for row in ROWS if (row["instance"], row["purchase"]) == ("p4d.24xlarge", "on_demand")]
    newest = max(rows, key=lambda row: row["date"])
    quote = ask_on_demand(account, "p4d.24xlarge", "us-east-1", endpoint=endpoint)
    assert quote.usd_per_hour == Decimal(newest["usd_per_hour"])
    assert (quote.date, quote.age_days) == (DAY, 0)
    assert f"published {newest['date']}" in quote.source


def test_the_source_names_the_host_that_answered(account):
    """A practice account's price must not pass for one that AWS gave."""
    assert "AWS Price List at 127.0.0.1" in ask_on_demand(account, "trn1.2xlarge", "us-east-1").source
    assert "at 127.0.0.1" in ask_spot(account, "trn1.2xlarge", "us-east-1")[0].source


def test_a_query_without_capacitystatus_gets_several_hits(account, monkeypatch):
    from course_lib.finops.prices import live

    monkeypatch.setattr(live, "LINUX", {"operatingSystem": "Linux"})
    with pytest.raises(PriceError, match=r"several products of AmazonEC2 match.*filter by.*capacitystatus"):
        ask_on_demand(account, "p5.48xlarge", "us-east-1")


@pytest.mark.parametrize(
    ("name", "region"), [("trn2.48xlarge", "us-east-1"), ("zzz9.bogus", "us-east-1"), ("p5.48xlarge", "mars-1")]
)
def test_what_is_not_published_is_unknown_and_never_guessed(account, name, region):
    with pytest.raises(PriceUnknownError, match=rf"no product of AmazonEC2 matches instanceType={name}.*Remedy: "):
        ask_on_demand(account, name, region)


@pytest.mark.parametrize("kind", ["s3-standard", "internet-out", "between-zones"])
def test_the_practice_account_knows_no_price_of_buckets_and_transfer(account, kind):
    with pytest.raises(PriceUnknownError, match=r"Remedy: "):
        ask_rate(account, kind, "us-east-1")


def test_a_volume_costs_what_the_catalog_says(account, pricing):
    rows = csv.DictReader((DATA / "service_prices.csv").read_text().splitlines())
    kept = {row["item"]: row for row in rows if row["unit"] == "GB-Mo"}
    row = kept["gp3"]
    listed_kinds = pricing.get_attribute_values(ServiceCode="AmazonEC2", AttributeName="volumeApiName")
    assert {one["Value"] for one in listed_kinds["AttributeValues"]} == set(kept)
    for rate in (ask_rate(account, "ebs-gp3", "us-east-1"), listed_rate("ebs-gp3", "us-east-1")):
        assert rate.usd(Decimal(100)) == 100 * Decimal(row["usd"])
        assert row["date"] in f"{rate.source} {rate.date}"
    with pytest.raises(PriceUnknownError, match=r"regionCode=eu-west-1"):
        ask_rate(account, "ebs-gp3", "eu-west-1")
    assert listed_rate("ebs-gp3", "eu-west-1") is listed_rate("internet-out", "us-east-1") is None


def test_an_unknown_kind_of_rate_is_refused(account):
    with pytest.raises(PriceError, match=r"kind='tape' is none of ebs-gp3, "):
        ask_rate(account, "tape", "us-east-1")


def test_spot_is_the_newest_price_of_each_zone(account):
    ec2 = account.client("ec2", region="us-west-2")
    pages = ec2.get_paginator("describe_spot_price_history").paginate(
        InstanceTypes=["p5en.48xlarge"],
        ProductDescriptions=["Linux/UNIX"],
        StartTime=account.now() - datetime.timedelta(hours=5),
        PaginationConfig={"PageSize": 5},
    )
    rows = sorted((row for page in pages for row in page["SpotPriceHistory"]), key=lambda row: row["Timestamp"])
    newest = {row["AvailabilityZone"]: Decimal(row["SpotPrice"]) for row in rows}
    quotes = ask_spot(account, "p5en.48xlarge", "us-west-2")
    assert {quote.zone: quote.usd_per_hour for quote in quotes} == newest
    assert [quote.usd_per_hour for quote in quotes] == sorted(newest.values())


def test_no_spot_market_is_an_unknown_price(account):
    with pytest.raises(PriceUnknownError, match=r"instance='zzz9.bogus' has no spot price in us-east-1"):
        ask_spot(account, "zzz9.bogus", "us-east-1")


def test_a_refresh_becomes_a_file_that_quotes_are_read_from(account, tmp_path):
    fetched = fetch_prices(account, ["p5.48xlarge", "trn2.48xlarge", "p5.48xlarge"], ["us-east-1"])
    assert [(row.instance, row.purchase) for row in fetched.unknown] == [("trn2.48xlarge", "on_demand")]
    file = read_price_file(write_price_file(tmp_path / "now.csv", fetched.rows).path)
    assert file.rows == fetched.rows
    assert price_of("p5.48xlarge", prices=file, today=DAY).usd_per_hour == Decimal("55.04")
    cheapest = ask_spot(account, "p5.48xlarge", "us-east-1")[0]
    spot = price_of("p5.48xlarge", purchase="spot", prices=file, today=DAY)
    assert spot.usd_per_hour == cheapest.usd_per_hour
    assert cheapest.zone in spot.note
    with pytest.raises(PriceUnknownError, match=r"no product of AmazonEC2 matches"):
        price_of("trn2.48xlarge", prices=file)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (([], ["us-east-1"]), r"instances=\[\] is empty"),
        ((["p5.48xlarge"], []), r"regions=\[\] is empty"),
        (
            (["p5.48xlarge"], ["us-east-1"], ["gift"]),
            r"purchases=\['gift'\] is none of on_demand, spot, capacity_block",
        ),
    ],
)
def test_a_refresh_of_nothing_is_refused(account, asked, told):
    with pytest.raises(PriceError, match=told):
        fetch_prices(account, *asked)


@pytest.mark.parametrize(
    ("region", "remedy"),
    [("us-east1", "did you mean us-east-1"), ("mars-1", "name one of them")],
)
def test_a_region_that_is_none_is_refused_before_a_price_is_asked(account, region, remedy):
    before = len(account.records())
    with pytest.raises(FinopsError) as one:
        fetch_prices(account, ["p5.48xlarge"], ["us-east-1", region])
    said = str(one.value)
    assert said.startswith(f"region='{region}' is none of ")
    assert remedy in said
    assert "\n" not in said
    known = said.partition("is none of ")[2].partition(". Remedy")[0].split(", ")
    assert set(get_session().get_available_regions("ec2")) <= set(known)
    asked = {one["operation"] for one in account.records()[before:]}
    assert not asked & {"GetProducts", "DescribeSpotPriceHistory"}


def test_a_region_that_is_not_enabled_has_a_list_price_and_no_market(account):
    told = account.client("ec2").describe_regions(AllRegions=True)["Regions"]
    closed = next(one["RegionName"] for one in told if one["OptInStatus"] == "not-opted-in")
    with pytest.raises(FinopsError, match=rf"region='{closed}' is not enabled for this account. Remedy: enable it"):
        fetch_prices(account, ["p5.48xlarge"], [closed], ["spot"])
    assert fetch_prices(account, ["p5.48xlarge"], [closed], ["on_demand"]).rows[0].region == closed


def test_a_denied_call_is_one_line(account):
    account.inject("denied", "pricing.GetProducts")
    with pytest.raises(
        AwsError, match=r"asking the Price List for AmazonEC2: .*Remedy: ask for this permission"
    ) as one:
        ask_on_demand(account, "p5.48xlarge", "us-east-1")
    assert "\n" not in str(one.value)
    with pytest.raises(AwsError):
        fetch_prices(account, ["p5.48xlarge"], ["us-east-1"])


def test_a_throttled_call_is_tried_again(account):
    account.inject("throttling", "pricing.GetProducts", times=1)
    assert ask_on_demand(account, "p5.48xlarge", "us-east-1").usd_per_hour == Decimal("55.04")


def test_no_credentials_is_one_line(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(AwsError, match=r"Unable to locate credentials\. Remedy: log in first"):
        ask_on_demand(RealAccount(), "p5.48xlarge", "us-east-1")


def test_what_the_account_lists_costs_what_the_reservation_rules_say(pricing):
    """An empty reservation costs like an instance in use, an allocated hour nothing more: the EC2 User Guide's rule."""
    found = pricing.get_products(ServiceCode="AmazonEC2", Filters=[term("instanceType", "trn1.32xlarge")])["PriceList"]
    usd = {(one := read_product(item)).attributes["capacitystatus"]: one.tiers[0].usd for item in found}
    assert usd == {"Used": 21.5, "UnusedCapacityReservation": 21.5, "AllocatedCapacityReservation": 0}
