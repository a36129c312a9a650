"""An account with a past. Oracle: boto3's view of it, and each launch's hours times the catalog's price, by hand."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from course_lib.catalog import instance
from course_lib.finops.aws import living_instances
from course_lib.finops.cloud import PracticeAccount
from course_lib.finops.cloud.story import BUCKETS, labels
from course_lib.finops.cloud.story.cast import launches
from course_lib.finops.ephemeral import sweep
from course_lib.finops.errors import FinopsError

END = datetime(2026, 12, 1, 8, tzinfo=UTC)
BEGIN = END - timedelta(days=90)
REGIONS = ("us-east-1", "us-west-2", "eu-west-1")
PAST = {"Start": "2026-09-03", "End": "2026-11-30"}
DAY = timedelta(days=1)
IN_USE = {"Name": "status", "Values": ["in-use"]}


@pytest.fixture(scope="module")
def running():
    with PracticeAccount(start=END, story="research-group") as account:
        yield account


@pytest.fixture
def account(running):
    return running  # the tests only look, and turn the clock no further than they must


@pytest.fixture
def ce(account):
    return account.client("ce")


def amounts(told):
    return [float(step["Total"]["UnblendedCost"]["Amount"]) for step in told["ResultsByTime"]]


def test_it_begins_at_its_start_with_an_empty_ledger(account):
    assert account.now() - END < timedelta(hours=1)
    assert [record for record in account.records() if record["operation"] == "RunInstances"] == []
    assert account.told.end == END


def test_the_bill_of_its_trainium_is_hours_times_price(ce):
    asked = {"Key": "INSTANCE_TYPE", "Values": ["trn1.2xlarge", "trn1.32xlarge"]}
    told = ce.get_cost_and_usage(
        TimePeriod={"Start": "2026-09-10", "End": "2026-11-20"},
        Granularity="DAILY",
        Metrics=["UnblendedCost"],
        Filter={
            "And": [{"Dimensions": asked}, {"Tags": {"Key": "Name", "Values": ["debug"], "MatchOptions": ["EQUALS"]}}]
        },
    )
    # stopped after nine hours of its 31st day: 9 hours of trn1.2xlarge, and never again
    assert sum(amounts(told)) == pytest.approx(9 * instance("trn1.2xlarge").usd_per_hour(), abs=1e-6)
    first, after = datetime(2026, 9, 10, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC)
    hours = Counter()
    for one in launches("research-group", BEGIN, 0):
        if one.hours is not None:
            ends = one.at + timedelta(minutes=round(60 * one.hours))
            inside = max(min(ends, after) - max(one.at, first), timedelta())
            hours[one.kind, one.spot] += one.count * inside / timedelta(hours=1)
    for kind in ("trn1.32xlarge", "p5.4xlarge", "inf2.8xlarge"):
        told = ce.get_cost_and_usage(
            TimePeriod={"Start": "2026-09-10", "End": "2026-11-20"},
            Granularity="MONTHLY",
            Metrics=["UnblendedCost"],
            Filter={"Dimensions": {"Key": "INSTANCE_TYPE", "Values": [kind]}},
        )
        assert sum(amounts(told)) == pytest.approx(hours[kind, False] * instance(kind).usd_per_hour(), rel=1e-6)


def test_every_day_has_spend_from_several_people_projects_and_regions(ce):
    days = amounts(ce.get_cost_and_usage(TimePeriod=PAST, Granularity="DAILY", Metrics=["UnblendedCost"]))
    assert len(days) == 88
    assert min(days) > 20
    for key, least in (("owner", 4), ("project", 5)):
        assert len(set(ce.get_tags(TimePeriod=PAST, TagKey=key)["Tags"]) - {""}) >= least
    for name, values in (("REGION", set(REGIONS)), ("PURCHASE_TYPE", {"On Demand Instances", "Spot Instances"})):
        found = ce.get_dimension_values(TimePeriod=PAST, Dimension=name)["DimensionValues"]
        assert values <= {value["Value"] for value in found}


def test_what_is_left_at_the_end(account):
    alive = [one for region in REGIONS for one in living_instances(account, region)]
    states = Counter(one["State"]["Name"] for one in alive)
    assert states == {"running": 7, "stopped": 2}
    seen = [
        one for region in REGIONS for one in account.client("ec2", region=region).describe_instances()["Reservations"]
    ]
    assert sum(len(one["Instances"]) for one in seen) == 9  # what ended is out of sight
    found = sweep(account, regions=REGIONS)
    assert Counter(verdict.action for verdict in found.verdicts) == {"keep": 4, "terminate": 1, "stop": 2, "report": 2}
    assert sum("protected" in verdict.why for verdict in found.verdicts) == 1


def test_unused_volumes_and_addresses_cost_and_stopped_instances_too(account, ce):
    volumes = [one for region in REGIONS for one in account.client("ec2", region=region).describe_volumes()["Volumes"]]
    loose = [one for one in volumes if not one["Attachments"]]
    assert sorted(one["Size"] for one in loose) == [200, 1000]
    total = sum(one["Size"] for one in volumes if one["VolumeType"] == "gp3")
    other = ce.get_cost_and_usage(
        TimePeriod={"Start": "2026-11-30", "End": "2026-12-01"},
        Granularity="DAILY",
        Metrics=["UnblendedCost", "UsageQuantity"],
        GroupBy=[{"Type": "DIMENSION", "Key": "SERVICE"}],
    )["ResultsByTime"][0]["Groups"]
    usd = {group["Keys"][0]: float(group["Metrics"]["UnblendedCost"]["Amount"]) for group in other}
    known = (
        16 / 24
    )  # the bill is known until eight hours before now, midnight; what else had a disk that day comes on top
    assert usd["EC2 - Other"] >= 0.08 * (total - 150) / 30 * known
    assert usd["Amazon Virtual Private Cloud"] == pytest.approx(3 * 24 * 0.005)
    addresses = [
        one for region in REGIONS for one in account.client("ec2", region=region).describe_addresses()["Addresses"]
    ]
    assert [bool(one.get("AssociationId")) for one in addresses].count(False) == 2


def test_buckets_logs_budget_and_alarm(account):
    s3, logs = account.client("s3"), account.client("logs")
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == sorted(BUCKETS)
    assert s3.get_bucket_lifecycle_configuration(Bucket=BUCKETS[0])["Rules"]
    for call in (s3.get_bucket_lifecycle_configuration, s3.get_bucket_encryption):
        with pytest.raises(
            ClientError, match=r"NoSuchLifecycleConfiguration|ServerSideEncryptionConfigurationNotFound"
        ):
            call(Bucket=BUCKETS[1])
    groups = logs.describe_log_groups()["logGroups"]
    assert [group.get("retentionInDays") for group in groups].count(None) == 1
    budgets = account.client("budgets").describe_budgets(AccountId="123456789012")["Budgets"]
    assert [budget["BudgetName"] for budget in budgets] == ["research-group-monthly"]
    account.advance(timedelta(minutes=90) - (account.now() - END))
    (alarm,) = account.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert alarm["StateValue"] == "OK"


def test_a_monitor_finds_the_mistakes_that_were_made_and_tells_once(account, ce):
    topic = account.client("sns").create_topic(Name="anomalies")["TopicArn"]
    named = {"MonitorName": "services", "MonitorType": "DIMENSIONAL", "MonitorDimension": "SERVICE"}
    monitor = ce.create_anomaly_monitor(AnomalyMonitor=named)["MonitorArn"]
    ce.create_anomaly_subscription(
        AnomalySubscription={
            "SubscriptionName": "large",
            "MonitorArnList": [monitor],
            "Subscribers": [{"Type": "SNS", "Address": topic}],
            "Frequency": "IMMEDIATE",
            "Threshold": 300.0,
        }
    )
    whole = {"DateInterval": {"StartDate": "2026-09-01", "EndDate": "2026-12-01"}}
    assert ce.get_anomalies(**whole)["Anomalies"] == []  # not evaluated yet
    account.advance(2 * DAY)
    found = ce.get_anomalies(**whole)["Anomalies"]
    days = [(date.fromisoformat(one["AnomalyStartDate"]), date.fromisoformat(one["AnomalyEndDate"])) for one in found]
    truth = labels(BEGIN)
    hits = [label for label in truth if any(first <= label.last and label.first <= last for first, last in days)]
    right = [span for span in days if any(span[0] <= label.last and label.first <= span[1] for label in truth)]
    assert len(hits) == len(truth) == 6
    assert len(right) == len(days)  # and nothing else
    for label in truth[:5]:
        (one,) = [
            a for a, (first, last) in zip(found, days, strict=True) if first <= label.last and label.first <= last
        ]
        assert one["Impact"]["TotalImpact"] == pytest.approx(label.usd, rel=0.1)
        assert one["RootCauses"][0]["Region"] == label.region
        assert one["RootCauses"][0]["UsageType"] == f"BoxUsage:{label.kind}"
    alerts = [
        record for record in account.records() if record["actor"] == "anomalies" and record["operation"] == "alert"
    ]
    assert len(alerts) == 5
    assert {record["error"] for record in alerts} == {""}
    large = ce.get_anomalies(**whole, TotalImpact={"NumericOperator": "GREATER_THAN", "StartValue": 1000.0})[
        "Anomalies"
    ]
    assert [round(one["Impact"]["TotalImpact"], -2) for one in large] == [1300]
    assert ce.get_anomaly_monitors()["AnomalyMonitors"][0]["LastEvaluatedDate"] >= "2026-12-02"


def test_a_forecast_has_its_weekdays_and_a_wider_interval_for_more_confidence(account, ce):
    today = account.now().date()
    asked = {"Metric": "UNBLENDED_COST", "TimePeriod": {"Start": str(today), "End": str(today + 28 * DAY)}}
    daily = ce.get_cost_forecast(Granularity="DAILY", PredictionIntervalLevel=80, **asked)
    wider = ce.get_cost_forecast(Granularity="DAILY", PredictionIntervalLevel=95, **asked)
    days = daily["ForecastResultsByTime"]
    assert len(days) == 28
    by_weekday = {date.fromisoformat(day["TimePeriod"]["Start"]).weekday(): float(day["MeanValue"]) for day in days}
    assert by_weekday[6] < by_weekday[0] < by_weekday[3]  # Sundays, Mondays, and Thursdays with the large instance
    known = ce.get_cost_and_usage(
        TimePeriod={"Start": str(today - 56 * DAY), "End": str(today)}, Granularity="DAILY", Metrics=["UnblendedCost"]
    )["ResultsByTime"]
    thursdays = [
        float(day["Total"]["UnblendedCost"]["Amount"])
        for day in known
        if date.fromisoformat(day["TimePeriod"]["Start"]).weekday() == 3
    ]
    assert by_weekday[3] == pytest.approx(sum(thursdays) / len(thursdays), rel=0.15)
    for narrow, wide in zip(days, wider["ForecastResultsByTime"], strict=True):
        low, mean, high = (
            float(narrow[name])
            for name in ("PredictionIntervalLowerBound", "MeanValue", "PredictionIntervalUpperBound")
        )
        assert low < mean < high < float(wide["PredictionIntervalUpperBound"])
    total = sum(float(day["MeanValue"]) for day in days)
    assert float(daily["Total"]["Amount"]) == pytest.approx(total)
    monthly = ce.get_cost_forecast(Granularity="MONTHLY", **asked)
    assert float(monthly["Total"]["Amount"]) == pytest.approx(total)
    assert "PredictionIntervalLowerBound" not in monthly["ForecastResultsByTime"][0]


def test_resources_have_costs_of_their_own(account, ce):
    today = account.now().date()
    asked = {
        "TimePeriod": {"Start": str(today - 7 * DAY), "End": str(today - DAY)},
        "Granularity": "DAILY",
        "Metrics": ["UnblendedCost"],
        "GroupBy": [{"Type": "DIMENSION", "Key": "RESOURCE_ID"}],
        "Filter": {"Dimensions": {"Key": "SERVICE", "Values": ["Amazon Elastic Compute Cloud - Compute"]}},
    }
    told = ce.get_cost_and_usage_with_resources(**asked)["ResultsByTime"]
    (served,) = account.told.marked["served"]
    for step in told:
        usd = {group["Keys"][0]: float(group["Metrics"]["UnblendedCost"]["Amount"]) for group in step["Groups"]}
        assert usd[served] == pytest.approx(24 * instance("inf2.xlarge").usd_per_hour())
    old = {"Start": str(today - 15 * DAY), "End": str(today)}
    with pytest.raises(ClientError, match="resources are kept for 14 days"):
        ce.get_cost_and_usage_with_resources(**{**asked, "TimePeriod": old})


def test_a_seed_gives_one_past_and_another_gives_another():
    one, again, other = (launches("research-group", BEGIN, seed) for seed in (0, 0, 1))
    assert one == again
    assert one != other
    assert labels(BEGIN)[0].first == date(2026, 10, 5)


def test_a_story_that_is_none_is_refused():
    with pytest.raises(FinopsError, match=r"story='fairy-tale' is no story.*research-group"):
        PracticeAccount(story="fairy-tale")
