"""The bill through Cost Explorer. Oracle: hours by hand times the catalog's price, and the API's documented rules."""

from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from course_lib.catalog import instance

HOUR = timedelta(hours=1)
TRN1, INF2 = instance("trn1.2xlarge").usd_per_hour(), instance("inf2.xlarge").usd_per_hour()


@pytest.fixture
def bill(account):
    """Asks Cost Explorer about the days from the account's beginning to its tomorrow."""
    first = account.now()

    def ask(**asked):
        end = account.now() + timedelta(days=1)
        period = {"Start": first.strftime("%Y-%m-%d"), "End": end.strftime("%Y-%m-%d")}
        given = {"TimePeriod": period, "Granularity": "MONTHLY", "Metrics": ["UnblendedCost", "UsageQuantity"], **asked}
        return account.client("ce").get_cost_and_usage(**given)["ResultsByTime"]

    return ask


def usd(told):
    return float(told["UnblendedCost"]["Amount"])


def hours(told):
    return float(told["UsageQuantity"]["Amount"])


def whole(told):
    return sum(usd(step["Total"]) for step in told), sum(hours(step["Total"]) for step in told)


def test_running_is_charged_and_nothing_else(account, launch, ec2, bill):
    one = launch()
    account.advance(3 * HOUR)
    ec2.stop_instances(InstanceIds=[one])
    account.advance(10 * HOUR)
    ec2.start_instances(InstanceIds=[one])
    account.advance(HOUR)
    ec2.terminate_instances(InstanceIds=[one])
    account.advance(24 * HOUR)
    assert whole(bill()) == pytest.approx((4 * TRN1, 4.0), abs=1e-5)


def test_each_start_costs_a_minute_at_least(account, launch, ec2, bill):
    one = launch()
    account.advance(timedelta(seconds=5))
    ec2.terminate_instances(InstanceIds=[one])
    account.advance(24 * HOUR)
    assert whole(bill())[1] == pytest.approx(1 / 60, abs=1e-6)


def test_what_ends_by_itself_stops_costing(account, launch, bill):
    launch(UserData="#!/bin/bash\nshutdown -P +59\n", InstanceInitiatedShutdownBehavior="terminate")
    account.advance(48 * HOUR)
    assert whole(bill())[1] == pytest.approx(1.0)  # a minute of booting, and 59


def test_the_bill_is_late(account, launch, bill):
    launch()
    account.advance(6 * HOUR)
    assert whole(bill()) == (0.0, 0.0)
    account.advance(6 * HOUR)
    assert whole(bill())[1] == pytest.approx(4.0)
    assert bill()[-1]["Estimated"]


def test_days_add_up_to_the_month(account, launch, bill):
    begin = account.now()
    midnight = begin.replace(hour=0, minute=0, second=0) + timedelta(days=1)
    launch()
    account.advance(timedelta(days=3))
    daily, hourly = bill(Granularity="DAILY"), bill(Granularity="HOURLY")
    assert whole(daily) == pytest.approx(whole(bill()))
    assert whole(hourly) == pytest.approx(whole(bill()), abs=1e-4)
    assert hours(daily[0]["Total"]) == pytest.approx((midnight - begin) / HOUR)
    assert hours(daily[1]["Total"]) == pytest.approx(24.0)
    assert not daily[0]["Estimated"]


@pytest.fixture
def teams(account, bill):
    """Two instances of one team, one of another, one without a tag, in two regions; each ran 10 hours."""
    for team, name, region in (
        ("speech", "trn1.2xlarge", "us-east-1"),
        ("speech", "inf2.xlarge", "eu-west-1"),
        ("vision", "trn1.2xlarge", "us-east-1"),
        ("", "trn1.2xlarge", "us-east-1"),
    ):
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "team", "Value": team}]}] if team else []
        account.client("ec2", region=region).run_instances(
            ImageId="ami-12c6146b",
            InstanceType=name,
            MinCount=1,
            MaxCount=1,
            TagSpecifications=tags,
            UserData="#!/bin/bash\nshutdown -P +599\n",
            InstanceInitiatedShutdownBehavior="terminate",
        )
    account.advance(48 * HOUR)


def groups(told):
    return {tuple(group["Keys"]): usd(group["Metrics"]) for step in told for group in step["Groups"]}


def test_groups_by_tag_and_dimension(teams, bill):
    by_team = groups(bill(GroupBy=[{"Type": "TAG", "Key": "team"}]))
    expected = {("team$",): 10 * TRN1, ("team$speech",): 10 * (TRN1 + INF2), ("team$vision",): 10 * TRN1}
    assert by_team == pytest.approx(expected, abs=1e-4)
    both = groups(bill(GroupBy=[{"Type": "DIMENSION", "Key": key} for key in ("REGION", "INSTANCE_TYPE")]))
    assert both == pytest.approx(
        {("eu-west-1", "inf2.xlarge"): 10 * INF2, ("us-east-1", "trn1.2xlarge"): 30 * TRN1}, abs=1e-4
    )


SPEECH = {"Tags": {"Key": "team", "Values": ["speech"]}}
EUROPE = {"Dimensions": {"Key": "REGION", "Values": ["eu-west-1"]}}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (SPEECH, TRN1 + INF2),
        (EUROPE, INF2),
        ({"And": [SPEECH, EUROPE]}, INF2),
        ({"Or": [SPEECH, EUROPE]}, TRN1 + INF2),
        ({"Not": SPEECH}, 2 * TRN1),
        ({"Tags": {"Key": "team", "MatchOptions": ["ABSENT"]}}, TRN1),
        ({"Dimensions": {"Key": "INSTANCE_TYPE", "Values": ["p5.48xlarge"]}}, 0.0),
    ],
)
def test_a_filter_counts(teams, bill, expression, expected):
    assert whole(bill(Filter=expression))[0] == pytest.approx(10 * expected, abs=1e-4)


def test_values_and_tags_are_listed(account, teams):
    ce = account.client("ce")
    period = {"Start": "2026-12-01", "End": "2026-12-30"}
    found = ce.get_dimension_values(TimePeriod=period, Dimension="REGION")["DimensionValues"]
    assert {"eu-west-1", "us-east-1"} <= {value["Value"] for value in found}
    assert "team" in ce.get_tags(TimePeriod=period)["Tags"]
    assert {"", "speech", "vision"} <= set(ce.get_tags(TimePeriod=period, TagKey="team")["Tags"])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"TimePeriod": {"Start": "2026-12-05", "End": "2026-12-01"}}, "Start date 2026-12-05 must be before end date"),
        ({"TimePeriod": {"Start": "yesterday", "End": "2026-12-01"}}, "must have Start and End as yyyy-MM-dd"),
        ({"Granularity": "WEEKLY"}, "Granularity 'WEEKLY' is none of"),
        ({"Metrics": ["Cost"]}, "must be some of"),
        ({"GroupBy": [{"Type": "DIMENSION", "Key": "PLANET"}]}, "neither TAG nor a DIMENSION"),
        ({"Filter": {"And": [], "Or": []}}, "Expression has 2 operators"),
        ({"Filter": {"Dimensions": {"Key": "PLANET", "Values": ["x"]}}}, "Dimension 'PLANET' is none of"),
    ],
)
def test_a_wrong_question_is_refused(bill, asked, said):
    with pytest.raises(ClientError, match=said) as caught:
        bill(**asked)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_spot_costs_what_the_history_says(account, launch, bill):
    account.advance(account.now().replace(minute=0, second=0) + HOUR - account.now())  # to a full hour
    begin = account.now()
    launch(InstanceMarketOptions={"MarketType": "spot"}, Placement={"AvailabilityZone": "us-east-1a"})
    account.advance(18 * HOUR)
    known = account.now() - 8 * HOUR
    rows = account.client("ec2").describe_spot_price_history(
        InstanceTypes=["trn1.2xlarge"], AvailabilityZone="us-east-1a", StartTime=begin, EndTime=known - HOUR
    )["SpotPriceHistory"]
    assert len(rows) == 10
    assert whole(bill())[0] == pytest.approx(sum(float(row["SpotPrice"]) for row in rows), abs=1e-4)
