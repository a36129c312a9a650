"""The account's regions. Oracle: AWS's documented defaults and DescribeRegions' parameters, asked through boto3."""

import pytest
from botocore.exceptions import ClientError

from course_lib.catalog import prices
from course_lib.finops.aws import usable_regions


def names(told):
    return {region["RegionName"] for region in told["Regions"]}


def test_the_account_has_the_seventeen_default_regions_and_one_that_was_enabled(account, ec2):
    """https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html"""
    status = {row["RegionName"]: row["OptInStatus"] for row in ec2.describe_regions()["Regions"]}
    assert sorted(status) == usable_regions(account)
    assert list(status.values()).count("opt-in-not-required") == 17
    assert [name for name, told in status.items() if told == "opted-in"] == ["ap-southeast-4"]
    assert {"us-east-1", "eu-west-3", "sa-east-1"} <= names(ec2.describe_regions())
    every = names(ec2.describe_regions(AllRegions=True))
    assert {"me-central-1", "af-south-1"} <= every - names(ec2.describe_regions())
    assert not any(name.startswith(("cn-", "us-gov-")) for name in every)


def test_names_and_filters_choose_among_them(ec2):
    assert names(ec2.describe_regions(RegionNames=["me-central-1"])) == {"me-central-1"}
    closed = [{"Name": "opt-in-status", "Values": ["not-opted-in"]}]
    assert "me-central-1" in names(ec2.describe_regions(AllRegions=True, Filters=closed))
    assert names(ec2.describe_regions(Filters=[{"Name": "region-name", "Values": ["eu-west-1"]}])) == {"eu-west-1"}
    with pytest.raises(ClientError, match=r"InvalidParameterValue.*mars-1"):
        ec2.describe_regions(RegionNames=["mars-1", "us-east-1"])
    with pytest.raises(ClientError, match=r"InvalidParameterValue.*'size'"):
        ec2.describe_regions(Filters=[{"Name": "size", "Values": ["1"]}])


def test_nothing_can_be_done_in_a_region_that_is_not_enabled(account):
    with pytest.raises(ClientError, match=r"AuthFailure.*not able to validate"):
        account.client("ec2", region="me-central-1").describe_instances()


def test_every_price_of_the_catalog_is_in_a_region_that_can_be_asked(account):
    known = prices().dropna(subset="usd_per_hour")
    known = known[~known.region.str.startswith(("cn-", "us-gov-"))]
    assert len(known)
    assert set(known.region) <= set(usable_regions(account))
