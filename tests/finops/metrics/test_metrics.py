"""Metrics and alarms. Oracle: boto3's view of the practice account, which evaluates alarms by CloudWatch's rules; the
request's size as botocore's own serializer writes it; the API's documented limits."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from course_lib.catalog import instance
from course_lib.finops.aws import AwsError
from course_lib.finops.metrics import (
    NAMESPACE,
    Datum,
    MetricError,
    TrainingBeat,
    Watch,
    apply_alarms,
    batches,
    plan_alarms,
    send,
    spend_data,
    training_data,
)
from course_lib.finops.metrics.data import wire_size
from course_lib.finops.usage import Running, RunningInstance, running_now

NOW = datetime(2026, 12, 1, 8, tzinfo=UTC)
MINUTES = timedelta(minutes=1)


@pytest.fixture
def machine(account):
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "project", "Value": "bert"}]}]
    told = account.client("ec2").run_instances(
        ImageId="ami-12c6146b", InstanceType="trn1.2xlarge", MinCount=1, MaxCount=1, TagSpecifications=tags
    )
    return told["Instances"][0]["InstanceId"]


def state(account, machine):
    told = account.client("ec2").describe_instances(InstanceIds=[machine])
    return told["Reservations"][0]["Instances"][0]["State"]["Name"]


def train(account, machine, minutes, use):
    """A beat every five minutes."""
    for _ in range(minutes // 5):
        beat = TrainingBeat(account.now(), machine, 21000.0, 0.4, use, 1.34375)
        send(account, training_data(beat))
        account.advance(5 * MINUTES)


def test_a_beat_arrives_as_it_was_sent(account, machine):
    beat = TrainingBeat(account.now(), machine, 21000.0, 0.4, 0.93, 1.34375)
    assert send(account, training_data(beat)).data == 5
    account.advance(MINUTES)
    told = {}
    for name in ("Heartbeat", "TokensPerSecond", "MFU", "AcceleratorUse", "UsdPerHour"):
        (point,) = account.client("cloudwatch").get_metric_statistics(
            Namespace=NAMESPACE,
            MetricName=name,
            Dimensions=[{"Name": "InstanceId", "Value": machine}],
            StartTime=beat.time - MINUTES,
            EndTime=beat.time + 5 * MINUTES,
            Period=60,
            Statistics=["Average"],
        )["Datapoints"]
        told[name] = (point["Average"], point["Unit"])
    assert told == {
        "Heartbeat": (1.0, "Count"),
        "TokensPerSecond": (21000.0, "Count/Second"),
        "MFU": (40.0, "Percent"),
        "AcceleratorUse": (93.0, "Percent"),
        "UsdPerHour": (1.34375, "None"),
    }
    assert [datum.name for datum in training_data(TrainingBeat(NOW, "i-1"))] == ["Heartbeat"]


def test_batches_keep_to_the_limits_of_a_request(account):
    data = [Datum("loss", float(number), "None", NOW, {"rank": str(number)}) for number in range(2500)]
    assert [len(batch) for batch in batches(data)] == [1000, 1000, 500]
    assert [datum for batch in batches(data) for datum in batch] == data
    wide = [
        Datum("loss", 1 / 3, "None", NOW, {f"name-{one:02} of it": "&" * 400 for one in range(30)}) for _ in range(100)
    ]
    parts = list(batches(wide))
    assert all(sum(map(wire_size, part)) <= 1_000_000 for part in parts)
    assert len(parts) > 1
    asked, events = [], account.client("cloudwatch").meta.events
    watch = ("before-parameter-build.cloudwatch.PutMetricData", lambda params, **_: asked.append(params["MetricData"]))
    events.register(*watch)
    sent = send(account, data[:1500], namespace="limits")
    events.unregister(*watch)
    assert (sent.data, sent.requests) == (1500, 2)
    assert [len(one) for one in asked] == [1000, 500]


def test_the_size_is_not_less_than_botocores():
    from urllib.parse import urlencode

    from botocore.serialize import create_serializer
    from botocore.session import get_session

    model = get_session().get_service_model("cloudwatch").operation_model("PutMetricData")
    data = [
        Datum("loss of the run", 1 / 3, "Count/Second", NOW, {f"n{one}": "& b" * one for one in range(1, 9)}, 1)
        for _ in range(50)
    ]
    for protocol in ("query", "json"):
        asked = {"Namespace": "x", "MetricData": [datum.asked() for datum in data]}
        body = create_serializer(protocol).serialize_to_request(asked, model)["body"]
        size = len(urlencode(body)) if isinstance(body, dict) else len(body)
        assert size <= sum(map(wire_size, data)) + 100, protocol


def test_an_idle_instance_ends_and_a_busy_one_stays(account, machine):
    other = account.client("ec2").run_instances(
        ImageId="ami-12c6146b", InstanceType="trn1.2xlarge", MinCount=1, MaxCount=1
    )["Instances"][0]["InstanceId"]
    for one in (machine, other):
        plan = plan_alarms(account, Watch(one, "us-east-1", "bert"))
        assert [change.action for change in plan.changes] == ["create", "create"]
        apply_alarms(account, plan)
    for _ in range(3):
        train_both(account, {machine: 0.9, other: 0.9})
    assert (state(account, machine), state(account, other)) == ("running", "running")
    for _ in range(9):
        train_both(account, {machine: 0.01, other: 0.9})
    assert (state(account, machine), state(account, other)) == ("terminated", "running")


def train_both(account, uses):
    for machine, use in uses.items():
        send(account, training_data(TrainingBeat(account.now(), machine, use=use)))
    account.advance(5 * MINUTES)


def test_a_silent_instance_stops_but_may_boot_first(account, machine):
    apply_alarms(account, plan_alarms(account, Watch(machine, "us-east-1", "bert", end="stop")))
    account.advance(10 * MINUTES)
    assert state(account, machine) == "running"  # without the first beat it would have been stopped at once
    train(account, machine, 30, use=0.8)
    assert state(account, machine) == "running"
    account.advance(40 * MINUTES)
    assert state(account, machine) == "stopped"


def test_a_project_that_spends_too_much_is_told_of(account, machine):
    sns, sqs = account.client("sns"), account.client("sqs")
    topic = sns.create_topic(Name="ops")["TopicArn"]
    url = sqs.create_queue(QueueName="ops")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    watch = Watch(machine, "us-east-1", "bert", usd_per_hour=1.0, topic=topic)
    apply_alarms(account, plan_alarms(account, watch))
    for _ in range(3):
        data = spend_data(running_now(account, ["us-east-1"]))
        assert [(one.value, dict(one.dimensions)) for one in data] == [
            (pytest.approx(instance("trn1.2xlarge").usd_per_hour()), {"project": "bert"})
        ]
        send(account, data)
        account.advance(5 * MINUTES)
    bodies = [one["Body"] for one in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]]
    assert any("training-spend-bert" in body for body in bodies)


def test_a_plan_writes_nothing_and_a_second_one_changes_nothing(account, machine):
    watch = Watch(machine, "us-east-1", "bert")
    plan = plan_alarms(account, watch)
    cloudwatch = account.client("cloudwatch")
    assert cloudwatch.describe_alarms()["MetricAlarms"] == []
    assert "create training-idle-" in str(plan)
    assert "Maximum AcceleratorUse < 5 for 30 min, no data: missing -> terminate" in str(plan)
    left = apply_alarms(account, plan)
    assert {change.action for change in left.changes} == {"keep"}
    wrote = len([one for one in account.records() if one["operation"] == "PutMetricAlarm"])
    apply_alarms(account, left)
    assert len([one for one in account.records() if one["operation"] == "PutMetricAlarm"]) == wrote == 2
    changed = plan_alarms(account, Watch(machine, "us-east-1", "bert", idle_below=0.1))
    assert [(change.action, change.differs) for change in changed.changes] == [("change", ("Threshold",)), ("keep", ())]
    apply_alarms(account, changed)
    (idle,) = cloudwatch.describe_alarms(AlarmNames=[f"training-idle-{machine}"])["MetricAlarms"]
    assert idle["Threshold"] == 10.0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"period": 45}, r"period=45 must be 10, 30 or a multiple of 60"),
        ({"idle_below": 5}, r"idle_below=5 must be a fraction"),
        ({"idle_for": timedelta(minutes=7)}, r"idle_for='0:07:00' must be a multiple of 300 s"),
        ({"silent_for": timedelta(days=2)}, r"up to a day"),
        ({"usd_per_hour": 5.0}, r"topic=None is missing"),
        ({"usd_per_hour": -5.0, "topic": "arn"}, r"usd_per_hour=-5.0 must be a finite number above 0"),
        ({"end": "reboot"}, r"end='reboot' is none of terminate, stop"),
    ],
)
def test_an_alarm_that_could_not_work_is_refused(given, said):
    with pytest.raises(MetricError, match=said):
        plan_alarms(None, Watch("i-1", "us-east-1", "bert", **given))  # before any call


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"value": float("nan")}, r"loss=nan must be a finite number"),
        ({"unit": "Dollars"}, r"unit='Dollars' is not known"),
        ({"time": datetime(2026, 12, 1)}, r"names no time zone"),
        ({"dimensions": {str(one): "x" for one in range(31)}}, r"must be at most 30"),
        ({"dimensions": {"project": ""}}, r"none of them empty"),
        ({"dimensions": {"project": "Gr\u00f6\u00dfe"}}, r"dimension project='Gr\u00f6\u00dfe' must be ASCII"),
        ({"dimensions": {"project": " "}}, r"dimension project=' ' must be ASCII"),
        ({"dimensions": {"project": "x" * 1025}}, r"at most 1024"),
        ({"resolution": 5}, r"resolution=5 must be 1 or 60"),
        ({"name": ""}, r"name='' must have 1 to 255 characters"),
    ],
)
def test_a_metric_that_would_be_refused_is_refused_here(given, said):
    with pytest.raises(MetricError, match=said):
        Datum(**{"name": "loss", "value": 1.0, "unit": "None", "time": NOW, **given})


def test_percentages_are_fractions_and_a_denied_call_is_one_line(account):
    with pytest.raises(MetricError, match=r"use=93 must be a fraction from 0 to 1. Remedy: divide a percentage by 100"):
        training_data(TrainingBeat(NOW, "i-1", use=93))
    account.inject("denied", "cloudwatch.PutMetricData")
    with pytest.raises(AwsError, match=r"sending 1 metrics to CloudWatch: .*Remedy"):
        send(account, training_data(TrainingBeat(NOW, "i-1")))


def test_one_odd_tag_or_unknown_price_does_not_silence_the_other_projects(account):
    one = RunningInstance("i-1", "us-east-1", "us-east-1a", "trn1.2xlarge", "ada", "bert", "on_demand", NOW, 1.5)
    odd = [replace(one, project=name) for name in ("Gr\u00f6\u00dfe", "  ", "tab\there", "x" * 2000)]
    data = spend_data(Running(NOW, (one, *odd, replace(one, project="gpt", usd_per_hour=None)), {}))
    told = {datum.dimensions["project"]: datum.value for datum in data}
    assert told == dict.fromkeys([r"Gr\xf6\xdfe", "(none)", "tab?here", "x" * 1024, "bert"], 1.5)  # no gpt: not 0
    assert send(account, data).data == 5
    for value in told:  # the API's rule for a dimension's value
        assert value.isascii()
        assert value.isprintable()
        assert 1 <= len(value.strip()) <= 1024
    watch = Watch("i-1", "us-east-1", "Gr\u00f6\u00dfe", usd_per_hour=1.0, topic="arn:aws:sns:us-east-1:1:ops")
    spend = plan_alarms(account, watch).changes[-1].asked
    assert spend["Dimensions"] == [{"Name": "project", "Value": r"Gr\xf6\xdfe"}]  # where the metric is
