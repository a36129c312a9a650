"""Live prices against written answers. Oracle: AWS's own example behind botocore's Stubber, which checks shapes."""

import datetime
import json
from decimal import Decimal

import boto3
import pytest
from botocore.loaders import create_loader
from botocore.stub import Stubber

from course_lib.finops.aws import AwsError
from course_lib.finops.prices import PriceError, PriceUnknownError, ask_rate, ask_spot

FILTERS = {
    "ebs-gp3": ("AmazonEC2", {"productFamily": "Storage", "volumeApiName": "gp3", "regionCode": "ca-central-1"}),
    "internet-out": (
        "AWSDataTransfer",
        {"transferType": "AWS Outbound", "toLocation": "External", "fromRegionCode": "ca-central-1"},
    ),
}


class Stubbed:
    """An account whose one client answers what it is told to, and refuses any other question."""

    def __init__(self):
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
        self.pricing = boto3.client("pricing", **keys)
        self.stub = Stubber(self.pricing)

    def client(self, service, *, region=None):
        assert (service, region) == ("pricing", "us-east-1")
        return self.pricing


@pytest.fixture
def item():
    (one,) = create_loader().load_service_model("pricing", "examples-1")["examples"]["GetProducts"]
    return json.loads(one["output"]["PriceList"][0])


@pytest.fixture
def stubbed():
    account = Stubbed()
    with account.stub:
        yield account
        account.stub.assert_no_pending_responses()


def answer(account, kind, *pages):
    service, filters = FILTERS[kind]
    for number, items in enumerate(pages):
        asked = {
            "ServiceCode": service,
            "Filters": [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in filters.items()],
            "FormatVersion": "aws_v1",
            **({"NextToken": str(number)} if number else {}),
        }
        told = {
            "PriceList": [json.dumps(one) for one in items],
            "ResponseMetadata": {"HTTPHeaders": {"date": "Thu, 26 Nov 2026 23:59:59 GMT"}},
            **({"NextToken": str(number + 1)} if number + 1 < len(pages) else {}),
        }
        account.stub.add_response("get_products", told, asked)


def dimensions_of(item):
    (term,) = item["terms"]["OnDemand"].values()
    return term["priceDimensions"]


def test_a_flat_rate_with_source_and_the_day_of_awss_clock(stubbed, item):
    answer(stubbed, "ebs-gp3", [], [item])
    rate = ask_rate(stubbed, "ebs-gp3", "ca-central-1")
    assert rate.usd(Decimal(1000)) == Decimal(138)
    assert (rate.unit, rate.date) == ("GB-Mo", datetime.date(2026, 11, 26))
    assert rate.source == (
        "AWS Price List at api.pricing.us-east-1.amazonaws.com, AmazonEC2, sku WQGC34PB2AWS8R4U, published 2017-09-01"
    )


def test_transfer_in_tiers(stubbed, item):
    dimensions = dimensions_of(item)
    (one,) = dimensions.values()
    one |= {"unit": "GB", "endRange": "10240", "pricePerUnit": {"USD": "0.0900000000"}}
    dimensions["next"] = {**one, "beginRange": "10240", "endRange": "Inf", "pricePerUnit": {"USD": "0.0850000000"}}
    answer(stubbed, "internet-out", [item])
    assert ask_rate(stubbed, "internet-out", "ca-central-1").usd(Decimal(20480)) == Decimal(10240) * Decimal("0.175")


def test_none_several_or_another_unit_are_errors(stubbed, item):
    answer(stubbed, "ebs-gp3", [])
    with pytest.raises(PriceUnknownError, match=r"no product of AmazonEC2 matches productFamily=Storage"):
        ask_rate(stubbed, "ebs-gp3", "ca-central-1")
    other = json.loads(json.dumps(item))
    other["product"]["attributes"]["usagetype"] = "CAN1-EBS:SomethingElse"
    answer(stubbed, "ebs-gp3", [item, other])
    with pytest.raises(PriceError, match=r"several products .* filter by what tells them apart: usagetype"):
        ask_rate(stubbed, "ebs-gp3", "ca-central-1")
    next(iter(dimensions_of(item).values()))["unit"] = "IOPS-Mo"
    answer(stubbed, "ebs-gp3", [item])
    with pytest.raises(PriceError, match=r"unit='IOPS-Mo' is not GB-Mo for ebs-gp3"):
        ask_rate(stubbed, "ebs-gp3", "ca-central-1")


@pytest.mark.parametrize("code", ["AccessDeniedException", "ExpiredTokenException"])
def test_a_refused_call_is_one_line(stubbed, code):
    stubbed.stub.add_client_error("get_products", code, "no", 400)
    with pytest.raises(AwsError, match=rf"asking the Price List for AmazonEC2: {code}: no\. Remedy: "):
        ask_rate(stubbed, "ebs-gp3", "ca-central-1")


class SpotMarket:
    """An account whose EC2 answers with a history in no order, on two pages."""

    def __init__(self, *rows):
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
        self.clients = {name: boto3.client(name, **keys) for name in ("ec2", "sts")}
        now = {"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/ada"}
        now["ResponseMetadata"] = {"HTTPHeaders": {"date": "Thu, 26 Nov 2026 12:00:00 GMT"}}
        self.stubs = {name: Stubber(client) for name, client in self.clients.items()}
        self.stubs["sts"].add_response("get_caller_identity", now)
        history = [
            {
                "AvailabilityZone": zone,
                "SpotPrice": price,
                "Timestamp": datetime.datetime(2026, 11, day, tzinfo=datetime.UTC),
            }
            for zone, price, day in rows
        ]
        half = len(history) // 2
        self.stubs["ec2"].add_response(
            "describe_spot_price_history", {"SpotPriceHistory": history[:half], "NextToken": "1"}
        )
        self.stubs["ec2"].add_response("describe_spot_price_history", {"SpotPriceHistory": history[half:]})
        for stub in self.stubs.values():
            stub.activate()

    def client(self, service, *, region=None):
        return self.clients[service]


def test_of_each_zones_history_the_newest_counts_whatever_the_order():
    market = SpotMarket(
        ("us-east-1a", "9.5", 20), ("us-east-1b", "7.25", 22), ("us-east-1a", "8.5", 23), ("us-east-1a", "6.0", 21)
    )
    quotes = ask_spot(market, "p5.48xlarge", "us-east-1")
    assert [(quote.zone, str(quote.usd_per_hour)) for quote in quotes] == [
        ("us-east-1b", "7.25"),
        ("us-east-1a", "8.5"),
    ]
    assert {quote.date for quote in quotes} == {datetime.date(2026, 11, 26)}
    assert "price of 2026-11-23" in quotes[1].source
