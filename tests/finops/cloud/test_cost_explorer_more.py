"""Forecasts, anomalies and cost allocation tags. Oracle: the API's written rules, and botocore's own shapes."""

from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from course_lib.catalog import instance
from course_lib.finops.cloud.anomaly_rule import spells

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
INF2 = instance("inf2.xlarge").usd_per_hour()
MONITOR = {"MonitorName": "m", "MonitorType": "DIMENSIONAL", "MonitorDimension": "SERVICE"}


@pytest.fixture
def ce(account):
    return account.client("ce")


def forecast(account, ce, first=0, days=7, **asked):
    start = account.now().date() + first * DAY
    given = {"Metric": "UNBLENDED_COST", "Granularity": "DAILY", **asked}
    return ce.get_cost_forecast(TimePeriod={"Start": str(start), "End": str(start + days * DAY)}, **given)


def test_an_account_that_costs_the_same_each_day_will_go_on_so(account, ce, launch):
    launch(InstanceType="inf2.xlarge")
    account.advance(30 * DAY)
    told = forecast(account, ce, PredictionIntervalLevel=90)
    whole = [float(step["MeanValue"]) for step in told["ForecastResultsByTime"]]
    assert len(whole) == 7
    assert sum(abs(usd - 24 * INF2) < 1e-6 for usd in whole) >= 6  # all but the weekday of the first, partial, day
    assert float(told["Total"]["Amount"]) == pytest.approx(sum(whole))


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        ({"first": -1}, "ValidationException", "must not be before today"),
        ({"days": 120}, "ValidationException", "days ahead"),
        ({"days": 0}, "ValidationException", "must be before end date"),
        ({"Granularity": "HOURLY"}, "ValidationException", "none of DAILY, MONTHLY"),
        ({"Metric": "USAGE_QUANTITY"}, "ValidationException", "Metric 'USAGE_QUANTITY' is none of"),
        ({}, "DataUnavailableException", "Insufficient amount of historical data"),
    ],
)
def test_a_forecast_that_can_not_be_made_is_refused(account, ce, launch, asked, code, said):
    launch()
    account.advance(5 * DAY)
    with pytest.raises(ClientError, match=said) as caught:
        forecast(account, ce, **asked)
    assert caught.value.response["Error"]["Code"] == code


def test_a_custom_monitor_sees_what_the_whole_hides_and_mail_goes_into_the_ledger(account, ce, launch):
    one = [{"ResourceType": "instance", "Tags": [{"Key": "team", "Value": "speech"}]}]
    launch(InstanceType="trn1.32xlarge")
    launch(InstanceType="inf2.xlarge", TagSpecifications=one)
    account.advance(35 * DAY)
    specification = {"Tags": {"Key": "team", "Values": ["speech"]}}
    custom = {"MonitorName": "speech", "MonitorType": "CUSTOM", "MonitorSpecification": specification}
    arns = [ce.create_anomaly_monitor(AnomalyMonitor=one)["MonitorArn"] for one in (MONITOR, custom)]
    dimension = {"Key": "ANOMALY_TOTAL_IMPACT_PERCENTAGE", "MatchOptions": ["GREATER_THAN_OR_EQUAL"], "Values": ["50"]}
    subscription = {
        "SubscriptionName": "mail",
        "MonitorArnList": arns,
        "Subscribers": [{"Type": "EMAIL", "Address": "ada@example.org"}],
        "Frequency": "DAILY",
        "ThresholdExpression": {"Dimensions": dimension},
    }
    ce.create_anomaly_subscription(AnomalySubscription=subscription)
    for _ in range(3):
        launch(InstanceType="inf2.xlarge", TagSpecifications=one)
    account.advance(3 * DAY)
    (found,) = ce.get_anomalies(DateInterval={"StartDate": "2026-12-01"})["Anomalies"]
    assert found["MonitorArn"] == arns[1]  # 55 USD more a day are nothing beside 516
    assert found["Impact"]["TotalExpectedSpend"] > 0
    mails = [r["parameters"]["to"] for r in account.records() if r["operation"] == "alert"]
    assert mails == ["ada@example.org"]
    ce.provide_anomaly_feedback(AnomalyId=found["AnomalyId"], Feedback="PLANNED_ACTIVITY")
    account.advance(DAY)
    marked = ce.get_anomalies(DateInterval={"StartDate": "2026-12-01"}, Feedback="PLANNED_ACTIVITY")["Anomalies"]
    assert [one["AnomalyId"] for one in marked] == [found["AnomalyId"]]
    ce.delete_anomaly_monitor(MonitorArn=arns[1])
    assert ce.get_anomalies(DateInterval={"StartDate": "2026-12-01"})["Anomalies"] == []
    assert [one["MonitorArn"] for one in ce.get_anomaly_monitors()["AnomalyMonitors"]] == arns[:1]


def test_what_is_no_monitor_or_subscription_is_refused(ce):
    arn = ce.create_anomaly_monitor(AnomalyMonitor=MONITOR)["MonitorArn"]
    people = [{"Type": "EMAIL", "Address": "ada@example.org"}]
    good = {"SubscriptionName": "s", "MonitorArnList": [arn], "Subscribers": people, "Frequency": "DAILY"}
    for change, code in (
        ({}, "ValidationException"),  # no threshold
        ({"Threshold": 1.0, "Frequency": "IMMEDIATE"}, "ValidationException"),  # mail is never at once
        ({"Threshold": 1.0, "MonitorArnList": [arn + "x"]}, "UnknownMonitorException"),
    ):
        with pytest.raises(ClientError) as caught:
            ce.create_anomaly_subscription(AnomalySubscription={**good, **change})
        assert caught.value.response["Error"]["Code"] == code
    for monitor, code in (
        (MONITOR, "LimitExceededException"),  # one for services is the limit
        ({"MonitorName": "c", "MonitorType": "CUSTOM"}, "ValidationException"),
        ({**MONITOR, "MonitorDimension": "TAG"}, "ValidationException"),
    ):
        with pytest.raises(ClientError) as caught:
            ce.create_anomaly_monitor(AnomalyMonitor=monitor)
        assert caught.value.response["Error"]["Code"] == code
    assert ce.get_anomaly_subscriptions()["AnomalySubscriptions"] == []


def test_a_tag_that_is_switched_off_is_missing_from_the_bill(account, ce, launch):
    today = account.now().date()
    launch(TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "team", "Value": "speech"}]}])
    account.advance(DAY)
    asked = {"TimePeriod": {"Start": str(today), "End": str(today + DAY)}, "Granularity": "DAILY"}
    asked |= {"Metrics": ["UnblendedCost"], "GroupBy": [{"Type": "TAG", "Key": "team"}]}

    def keys():
        groups = ce.get_cost_and_usage(**asked)["ResultsByTime"][0]["Groups"]
        return [group["Keys"] for group in groups]

    assert keys() == [["team$speech"]]
    (tag,) = ce.list_cost_allocation_tags(TagKeys=["team"])["CostAllocationTags"]
    assert (tag["Type"], tag["Status"]) == ("UserDefined", "Active")
    wanted = [{"TagKey": "team", "Status": "Inactive"}, {"TagKey": "planet", "Status": "Active"}]
    errors = ce.update_cost_allocation_tags_status(CostAllocationTagsStatus=wanted)["Errors"]
    assert [error["TagKey"] for error in errors] == ["planet"]
    assert keys() == [["team$"]]
    assert ce.list_cost_allocation_tags(Status="Active")["CostAllocationTags"] == []
    ce.update_cost_allocation_tags_status(CostAllocationTagsStatus=[{"TagKey": "team", "Status": "Active"}])
    assert keys() == [["team$speech"]]


def test_volumes_cost_while_they_are_there_and_by_their_month(account, ce):
    ec2 = account.client("ec2")
    account.advance(account.now().replace(hour=0, minute=0, second=0) + DAY - account.now())
    begin = account.now()
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=310, VolumeType="gp3")["VolumeId"]
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    account.advance(10 * DAY)
    ec2.delete_volume(VolumeId=volume)
    ec2.release_address(AllocationId=address)
    account.advance(5 * DAY)
    groups = ce.get_cost_and_usage(
        TimePeriod={"Start": str(begin.date()), "End": str(account.now().date())},
        Granularity="DAILY",
        Metrics=["UnblendedCost", "UsageQuantity"],
        GroupBy=[{"Type": "DIMENSION", "Key": "USAGE_TYPE"}],
    )["ResultsByTime"]
    days = [{g["Keys"][0]: g["Metrics"] for g in step["Groups"]} for step in groups]
    disk = [float(day["EBS:VolumeUsage.gp3"]["UsageQuantity"]["Amount"]) for day in days if day]
    hours = sum(float(day["PublicIPv4:IdleAddress"]["UsageQuantity"]["Amount"]) for day in days if day)
    assert len(disk) == 10
    assert disk[0] == pytest.approx(310 / _days(begin), rel=1e-4)
    assert hours == pytest.approx(240)
    usd = sum(float(one["UnblendedCost"]["Amount"]) for day in days for one in day.values())
    assert usd == pytest.approx(0.08 * sum(disk) + 0.005 * 240, rel=1e-4)
    assert days[0]["EBS:VolumeUsage.gp3"]["UsageQuantity"]["Unit"] == "GB-Mo"


def _days(day):
    after = (day.replace(day=1) + 32 * DAY).replace(day=1)
    return (after - day.replace(day=1)).days


def test_the_rule_on_series_whose_answer_is_known():
    calm = [100.0, 100, 100, 100, 100, 30, 30] * 10
    assert spells(calm) == []
    two = [*calm]
    two[45] += 80
    two[46] += 90
    (spell,) = spells(two)
    assert (spell.first, spell.last, spell.impacts) == (45, 46, (80.0, 90.0))
    assert spells([usd + 12 for usd in calm[:40]] + calm[40:]) == []  # less than before is no anomaly
    small = [*calm]
    small[50] += 30  # 30 % of what is expected
    assert spells(small) == []
    assert spells([0.0] * 30 + calm[:14]) == []  # a new account has no past to be compared with
