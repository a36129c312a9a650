"""Alarms that are looked at. Oracle: boto3 against the running account; the rules are CloudWatch's guide."""

import json
from datetime import timedelta

import pytest

from course_lib.finops.cloud.alarms import judge

MINUTE = timedelta(minutes=1)


@pytest.fixture
def watch(account):
    return account.client("cloudwatch")


@pytest.fixture
def alarm(watch, account):
    """Puts an alarm on the mean of a metric of five minutes."""

    def put(**options):
        watch.put_metric_alarm(
            **{
                "AlarmName": "idle",
                "Namespace": "lab",
                "MetricName": "use",
                "Statistic": "Average",
                "Period": 300,
                "EvaluationPeriods": 2,
                "Threshold": 5.0,
                "ComparisonOperator": "LessThanThreshold",
                **options,
            }
        )

    return put


def state(watch):
    return watch.describe_alarms(AlarmNames=["idle"])["MetricAlarms"][0]["StateValue"]


def report(account, watch, *values, dimensions=()):
    """One value for each five minutes from now on."""
    for value in values:
        data = {"MetricName": "use", "Value": value, "Timestamp": account.now(), "Dimensions": list(dimensions)}
        watch.put_metric_data(Namespace="lab", MetricData=[data])
        account.advance(5 * MINUTE)


def test_a_new_alarm_has_no_data(account, watch, alarm):
    alarm()
    account.advance(30 * MINUTE)
    assert state(watch) == "INSUFFICIENT_DATA"


def test_so_many_periods_in_a_row_and_then_back(account, watch, alarm):
    alarm()
    report(account, watch, 1.0, 1.0, 1.0)
    assert state(watch) == "ALARM"
    report(account, watch, 90.0, 90.0, 90.0)
    assert state(watch) == "OK"


def test_a_single_low_value_is_no_alarm(account, watch, alarm):
    alarm()
    for value in (90.0, 1.0, 90.0, 1.0, 90.0):
        report(account, watch, value)
        assert state(watch) != "ALARM"


def test_m_of_n(account, watch, alarm):
    alarm(EvaluationPeriods=3, DatapointsToAlarm=2)
    report(account, watch, 1.0, 90.0, 1.0, 90.0)
    assert "ALARM" in [r["parameters"]["to"] for r in account.records() if r["operation"] == "alarm"]


@pytest.mark.parametrize(
    ("treat", "expected"),
    [("missing", "INSUFFICIENT_DATA"), ("breaching", "ALARM"), ("notBreaching", "OK"), ("ignore", "ALARM")],
)
def test_missing_data_count_as_was_said(account, watch, alarm, treat, expected):
    alarm(TreatMissingData=treat)
    report(account, watch, 1.0, 1.0, 1.0)
    assert state(watch) == "ALARM"
    account.advance(60 * MINUTE)
    assert state(watch) == expected


@pytest.mark.parametrize(
    ("points", "lacking", "expected"),  # missing, ignore, breaching, notBreaching
    [
        ("0-X-X", 0, ("OK", "OK", "OK", "OK")),
        ("----0", 2, ("OK", "OK", "OK", "OK")),
        ("-----", 3, ("INSUFFICIENT_DATA", "as it was", "ALARM", "OK")),
        ("0XX-X", 0, ("ALARM", "ALARM", "ALARM", "ALARM")),
        ("--X--", 2, ("ALARM", "as it was", "ALARM", "OK")),
    ],
)
def test_the_guides_table_of_three_datapoints_of_three(points, lacking, expected):
    """Oracle: the first table of the guide's page on missing data."""
    breaches = [point == "X" for point in points if point != "-"][-3:]
    assert 3 - len(breaches) == lacking
    kinds = ("missing", "ignore", "breaching", "notBreaching")
    assert tuple(judge(breaches, 3, 3, treat, "as it was") for treat in kinds) == expected


def test_an_idle_instance_is_ended(account, watch, alarm, launch):
    one, ec2 = launch(), account.client("ec2")
    dimensions = [{"Name": "InstanceId", "Value": one}]
    alarm(Dimensions=dimensions, AlarmActions=["arn:aws:automate:us-east-1:ec2:terminate"])
    report(account, watch, 90.0, 90.0, dimensions=dimensions)
    read = ec2.describe_instances
    assert read(InstanceIds=[one])["Reservations"][0]["Instances"][0]["State"]["Name"] == "running"
    report(account, watch, 1.0, 1.0, 1.0, dimensions=dimensions)
    assert read(InstanceIds=[one])["Reservations"][0]["Instances"][0]["State"]["Name"] == "terminated"


def test_a_topic_is_told_once(account, watch, alarm):
    sns, sqs = account.client("sns"), account.client("sqs")
    topic = sns.create_topic(Name="ops")["TopicArn"]
    url = sqs.create_queue(QueueName="ops")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    alarm(AlarmActions=[topic])
    report(account, watch, 1.0, 1.0, 1.0, 1.0, 1.0)
    (message,) = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    told = json.loads(json.loads(message["Body"])["Message"])
    assert (told["AlarmName"], told["OldStateValue"], told["NewStateValue"]) == ("idle", "INSUFFICIENT_DATA", "ALARM")


def test_disabled_actions_do_nothing_and_an_impossible_one_is_told(account, watch, alarm):
    lambda_arn = "arn:aws:lambda:us-east-1:123456789012:function:stop"
    alarm(AlarmActions=[lambda_arn], ActionsEnabled=False)
    report(account, watch, 1.0, 1.0, 1.0)
    assert not [r for r in account.records() if r["operation"] == "action"]
    alarm(AlarmActions=[lambda_arn])
    report(account, watch, 1.0, 1.0, 1.0)
    (told,) = [r for r in account.records() if r["operation"] == "action"]
    assert told["error"] == "NotImplementedError"
