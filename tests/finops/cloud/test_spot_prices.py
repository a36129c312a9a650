"""The spot price history. Oracle: the API's documented order, paging and interval, and the catalog's dated sample."""

import statistics
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from course_lib.catalog import instance


def history(ec2, **asked):
    pages = ec2.get_paginator("describe_spot_price_history").paginate(**asked)
    return [row for page in pages for row in page["SpotPriceHistory"]]


def test_newest_first_and_one_row_before_the_interval(account, ec2):
    start = account.now() - timedelta(hours=3, minutes=30)
    rows = history(ec2, InstanceTypes=["p5en.48xlarge"], AvailabilityZone="us-east-1a", StartTime=start)
    times = [row["Timestamp"] for row in rows]
    assert times == sorted(times, reverse=True)
    assert times[-1] <= start < times[-2]
    assert {row["AvailabilityZone"] for row in rows} == {"us-east-1a"}


def test_pages_hold_what_one_answer_holds(account, ec2):
    start = account.now() - timedelta(days=2)
    whole = history(ec2, InstanceTypes=["trn1.2xlarge"], StartTime=start)
    assert history(ec2, InstanceTypes=["trn1.2xlarge"], StartTime=start, PaginationConfig={"PageSize": 7}) == whole
    assert len(whole) == 3 * 49


def test_prices_stay_near_their_level_and_below_on_demand(account, ec2):
    start = account.now() - timedelta(days=30)
    rows = history(ec2, InstanceTypes=["p5en.48xlarge"], StartTime=start)
    prices = [float(row["SpotPrice"]) for row in rows]
    sample = instance("p5en.48xlarge").usd_per_hour("spot", "us-east-1")
    assert statistics.median(prices) == pytest.approx(sample, rel=0.1)
    assert len(set(prices)) > 1000
    assert max(prices) < instance("p5en.48xlarge").usd_per_hour()


@pytest.mark.parametrize("region", ["mars-1", "us-gov-west-1", "cn-north-1"])
def test_a_region_where_this_account_has_no_endpoint_has_no_prices(account, region):
    with pytest.raises(ClientError, match=r"AuthFailure.*valid region"):
        history(account.client("ec2", region=region), InstanceTypes=["p5.48xlarge"])


def test_a_zone_of_another_region_is_refused(ec2):
    with pytest.raises(ClientError, match=r"InvalidParameterValue.*Invalid availability zone: \[us-west-2a\]"):
        history(ec2, InstanceTypes=["p5.48xlarge"], AvailabilityZone="us-west-2a")


def test_an_unknown_type_has_no_history(ec2):
    assert history(ec2, InstanceTypes=["zzz9.bogus"]) == []
