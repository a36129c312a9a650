"""What runs now. Oracle: the catalog's prices by hand, boto3's spot price history, and Cost Explorer a day later."""

from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from course_lib.catalog import instance
from course_lib.finops.errors import FinopsError
from course_lib.finops.usage import Running, RunningInstance, read_usage, reconcile, running_now

TRN1, INF2 = instance("trn1.2xlarge").usd_per_hour(), instance("inf2.xlarge").usd_per_hour()
TWO = ("us-east-1", "eu-west-1")


@pytest.fixture
def launch(account):
    def run(name, owner="", project="", region="us-east-1", **options):
        tags = [{"Key": key, "Value": value} for key, value in (("owner", owner), ("project", project)) if value]
        asked = {"TagSpecifications": [{"ResourceType": "instance", "Tags": tags}]} if tags else {}
        told = account.client("ec2", region=region).run_instances(
            ImageId="ami-12c6146b", InstanceType=name, MinCount=1, MaxCount=1, **asked, **options
        )
        return told["Instances"][0]["InstanceId"]

    return run


def test_running_times_price_by_owner_and_project(account, launch):
    launch("trn1.2xlarge", "ada", "bert")
    launch("inf2.xlarge", "ada", "gpt", region="eu-west-1")
    stopped = launch("trn1.2xlarge", "bob", "gpt")
    account.client("ec2").stop_instances(InstanceIds=[stopped])
    launch("t3.micro", "bob", "gpt")
    found = running_now(account, TWO)
    assert found.usd_per_hour == pytest.approx(TRN1 + INF2)
    assert found.by("owner") == pytest.approx({("ada",): TRN1 + INF2, ("bob",): 0.0})
    assert found.by("project", "region")["gpt", "eu-west-1"] == pytest.approx(INF2)
    assert [one.instance_type for one in found.unpriced] == ["t3.micro"]
    with pytest.raises(FinopsError, match=r"group='planet' is not known"):
        found.by("planet")


def test_spot_costs_what_the_market_says_now(account, launch):
    launch("trn1.2xlarge", InstanceMarketOptions={"MarketType": "spot"}, Placement={"AvailabilityZone": "us-east-1a"})
    account.advance(timedelta(hours=5))
    (row,) = account.client("ec2").describe_spot_price_history(
        InstanceTypes=["trn1.2xlarge"],
        AvailabilityZone="us-east-1a",
        ProductDescriptions=["Linux/UNIX"],
        StartTime=account.now(),
    )["SpotPriceHistory"]
    (one,) = running_now(account, TWO).instances
    assert (one.purchase, one.usd_per_hour) == ("spot", float(row["SpotPrice"]))


def test_of_several_prices_of_a_zone_the_latest_counts(account, launch):
    launch("trn1.2xlarge", InstanceMarketOptions={"MarketType": "spot"}, Placement={"AvailabilityZone": "us-east-1a"})
    events = account.client("ec2", region="us-east-1").meta.events
    latest = []

    def older(parsed, **_):
        rows = [row for row in parsed["SpotPriceHistory"] if row["AvailabilityZone"] == "us-east-1a"]
        latest[:] = [float(row["SpotPrice"]) for row in rows]
        before = [{**row, "SpotPrice": "9.9", "Timestamp": row["Timestamp"] - timedelta(hours=1)} for row in rows]
        parsed["SpotPriceHistory"] = [*rows, *before]  # newest first, as EC2 sends them

    with listening(events, "after-call.ec2.DescribeSpotPriceHistory", older):
        (one,) = running_now(account, ["us-east-1"]).instances
    assert [one.usd_per_hour] == latest


def test_what_runs_in_a_capacity_block_was_paid_when_it_was_reserved(account, launch):
    launch("trn1.2xlarge", "ada", "bert")

    def block(parsed, **_):
        for found in parsed["Reservations"]:
            for one in found["Instances"]:
                one["InstanceLifecycle"] = "capacity-block"

    with listening(account.client("ec2", region="us-east-1").meta.events, "after-call.ec2.DescribeInstances", block):
        found = running_now(account, ["us-east-1"])
    assert [(one.purchase, one.usd_per_hour) for one in found.instances] == [("capacity_block", None)]
    assert len(found.unpriced) == 1


@contextmanager
def listening(events, name, heard):
    events.register(name, heard)
    try:
        yield
    finally:
        events.unregister(name, heard)


def test_nothing_runs_and_a_region_that_fails_is_named(account, launch):
    assert running_now(account, TWO).instances == ()
    assert running_now(account, TWO).usd_per_hour == 0
    launch("trn1.2xlarge")
    account.inject("denied", "ec2.DescribeInstances", region="eu-west-1")
    found = running_now(account, TWO)
    assert list(found.unseen) == ["eu-west-1"]
    assert found.usd_per_hour == pytest.approx(TRN1)


def test_the_estimate_is_what_the_bill_says_a_day_later(account, launch):
    first = account.now().date()
    launch("trn1.2xlarge", "ada", "bert")
    ended = launch("inf2.xlarge", "ada", "gpt")
    account.advance(timedelta(hours=4))
    account.client("ec2").terminate_instances(InstanceIds=[ended])
    account.advance(timedelta(days=3))
    running = running_now(account, TWO)
    usage = read_usage(account, first, account.now().date() + timedelta(days=1), by=["tag:project"])
    rows = {row.project: row for row in reconcile(running, usage)}
    assert rows["bert"].billed_usd > 30 * TRN1
    assert rows["bert"].billed_usd == pytest.approx(rows["bert"].estimated_usd, abs=0.01)
    assert rows["gpt"].estimated_usd == 0
    assert rows["gpt"].other_usd == pytest.approx(4 * INF2, abs=0.01)  # it has ended, and only the bill remembers
    with pytest.raises(FinopsError, match=r"must be \('tag:project',\)"):
        reconcile(running, read_usage(account, first, account.now().date()))


def test_what_has_no_known_price_is_named_beside_the_sums():
    at = datetime(2026, 12, 1, tzinfo=UTC)
    one = RunningInstance("i-1", "us-east-1", "us-east-1a", "trn1.2xlarge", "ada", "bert", "on_demand", at, TRN1)
    two = replace(one, id="i-2", usd_per_hour=None)
    three = replace(two, id="i-3", project="gpt")
    found = Running(at, (one, two, three), {})
    assert found.unknown("project") == {("gpt",)}
    assert found.unknown("owner") == set()
    assert found.unknown("owner", "project") == {("ada", "gpt")}
