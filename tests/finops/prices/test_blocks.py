"""Capacity Blocks. Oracle: the catalog's CSV times hours by hand, botocore's shape, the user guide's rules."""

import csv
import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from botocore.session import get_session

import course_lib.catalog
from course_lib.finops.aws import AwsError
from course_lib.finops.prices import PriceError, PriceUnknownError, ask_blocks, fetch_prices

ROWS = list(csv.DictReader((Path(course_lib.catalog.__file__).parent / "data" / "prices.csv").read_text().splitlines()))
LISTED = [row for row in ROWS if row["purchase"] == "capacity_block" and row["usd_per_hour"]]
P5 = ("p5.48xlarge", "us-east-2")


def offered(account, region="us-east-2", **asked):
    given = {"InstanceType": "p5.48xlarge", "InstanceCount": 1, "CapacityDurationHours": 24}
    ec2 = account.client("ec2", region=region)
    return ec2.describe_capacity_block_offerings(**{**given, **asked})["CapacityBlockOfferings"]


def test_an_offering_follows_the_published_rules(account):
    """At most six, within eight weeks, each ending at 11:30 UTC; parts as botocore's model has them."""
    model = get_session().get_service_model("ec2").shape_for("CapacityBlockOffering")
    for days in (1, 14, 21, 182):
        found = offered(account, CapacityDurationHours=24 * days, InstanceCount=4)
        assert 1 <= len(found) <= 6
        for one in found:
            assert set(one) <= set(model.members)
            assert (one["EndDate"].hour, one["EndDate"].minute) == (11, 30)
            assert one["EndDate"] - one["StartDate"] == datetime.timedelta(days=days)
            assert account.now() < one["StartDate"] <= account.now() + datetime.timedelta(weeks=8)
            assert one["AvailabilityZone"].startswith("us-east-2")
    ids = [
        one["CapacityBlockOfferingId"] for days in (1, 2) for one in offered(account, CapacityDurationHours=24 * days)
    ]
    assert len(set(ids)) == len(ids)


def test_the_dates_that_are_asked_for_bound_start_and_end(account):
    start, end = (account.now() + datetime.timedelta(days=days) for days in (10, 30))
    for one in offered(account, StartDateRange=start, EndDateRange=end, CapacityDurationHours=48):
        assert start <= one["StartDate"]
        assert one["EndDate"] <= end
    assert ask_blocks(account, *P5, earliest=start, latest=end)[0].start >= start


def test_pages_hold_what_one_answer_holds(account):
    pages = account.client("ec2", region="us-east-2").get_paginator("describe_capacity_block_offerings")
    asked = {"InstanceType": "p5.48xlarge", "InstanceCount": 1, "CapacityDurationHours": 24}
    one_by_one = [page["CapacityBlockOfferings"] for page in pages.paginate(**asked, PaginationConfig={"PageSize": 1})]
    assert [one for (one,) in one_by_one] == offered(account)


@pytest.mark.parametrize("row", LISTED, ids=lambda row: f"{row['instance']} {row['region']}")
def test_the_fee_is_the_catalogs_price_for_every_hour_of_every_instance(account, row):
    best = ask_blocks(account, row["instance"], row["region"], instances=4, days=7)[0]
    assert best.upfront_usd == 4 * 7 * 24 * Decimal(row["usd_per_hour"])
    assert (best.hours, best.instances) == (168, 4)
    assert best.usd_per_instance_hour == Decimal(row["usd_per_hour"])
    quote = best.quote()
    assert (quote.purchase, quote.region, quote.usd_per_hour) == (
        "capacity_block",
        row["region"],
        best.usd_per_instance_hour,
    )
    assert "DescribeCapacityBlockOfferings at 127.0.0.1" in quote.source


def test_the_cheapest_comes_first_and_an_odd_length_is_divided_rightly(account, monkeypatch):
    """A block that starts today is no whole number of days; fees by hand."""
    at = datetime.datetime(2026, 12, 2, 4, 55, tzinfo=datetime.UTC)
    rows = [
        {"CapacityBlockOfferingId": name, "InstanceType": P5[0], "AvailabilityZone": "us-east-2a", "InstanceCount": 2,
         "StartDate": at, "EndDate": at + datetime.timedelta(minutes=395), "UpfrontFee": fee, "CurrencyCode": money}
        for name, fee, money in (("cb-b", "526.667", "USD"), ("cb-a", "500.00", "USD"), ("cb-c", "1.00", "EUR"))
    ]  # fmt: skip
    from course_lib.finops.prices import blocks

    monkeypatch.setattr(blocks, "pages", lambda *_, **__: [{"CapacityBlockOfferings": rows}])
    found = ask_blocks(account, *P5)
    assert [one.offering for one in found] == ["cb-a", "cb-b"]
    assert [float(one.usd_per_instance_hour) for one in found] == pytest.approx([37.974684, 40.000025], abs=1e-6)
    rows[0]["UpfrontFee"] = "much"
    with pytest.raises(PriceError, match=r"UpfrontFee='much' is no number, offering cb-b"):
        ask_blocks(account, *P5)


def test_what_nobody_dated_is_not_offered_and_stays_unknown(account):
    assert offered(account, InstanceType="trn2.48xlarge") == []
    with pytest.raises(PriceUnknownError, match=r"instance='trn2.48xlarge' has no Capacity Block on offer for 1 x 1 d"):
        ask_blocks(account, "trn2.48xlarge", "us-east-2")
    (row,) = fetch_prices(account, ["zzz9.bogus"], ["us-east-2"], ["capacity_block"]).unknown
    assert "InvalidParameterValue" in row.note


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"CapacityDurationHours": 25}, "steps of a day"),
        ({"CapacityDurationHours": 24 * 15}, "steps of a day"),
        ({"CapacityDurationHours": 24 * 189}, "steps of a day"),
        ({"InstanceCount": 65}, "from 1 to 64"),
        ({"InstanceType": "zzz9.bogus"}, "Invalid value 'zzz9.bogus'"),
        ({"DryRun": True}, "DryRunOperation"),
    ],
)
def test_what_is_not_sold_is_refused(account, asked, says):
    with pytest.raises(ClientError, match=says):
        offered(account, **asked)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"days": 15}, r"days=15 is no length that is sold"),
        ({"instances": 65}, r"instances=65 is more than the 64 of one block"),
        ({"instances": 0}, r"instances=0"),
        ({"earliest": datetime.datetime(2026, 12, 3)}, r"names no time zone"),
    ],
)
def test_bad_questions_are_one_line_and_reach_nobody(account, asked, says):
    before = len(account.records())
    with pytest.raises(PriceError, match=says) as one:
        ask_blocks(account, *P5, **asked)
    assert "Remedy: " in str(one.value)
    assert len(account.records()) == before


def test_a_denied_call_is_one_line(account):
    account.inject("denied", "ec2.DescribeCapacityBlockOfferings")
    with pytest.raises(
        AwsError, match=r"asking for Capacity Blocks of p5.48xlarge in us-east-2: UnauthorizedOperation"
    ):
        ask_blocks(account, *P5)
