"""Schedules that fire. Oracle: boto3 against the running account; the rules are EventBridge Scheduler's guide."""

import json
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from botocore.exceptions import ClientError

MINUTE = timedelta(minutes=1)
ROLE = "arn:aws:iam::123456789012:role/scheduler"


@pytest.fixture
def scheduler(account):
    return account.client("scheduler")


def schedule(scheduler, expression, target, **options):
    scheduler.create_schedule(
        Name="end",
        ScheduleExpression=expression,
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"RoleArn": ROLE, **target},
        **options,
    )


def terminate(instance):
    asked = {"InstanceIds": [instance]}
    return {"Arn": "arn:aws:scheduler:::aws-sdk:ec2:terminateInstances", "Input": json.dumps(asked)}


def queue(account, name):
    sqs = account.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def messages():
        return [m["Body"] for m in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])]

    return arn, messages


def at(account, minutes):
    return (account.now() + minutes * MINUTE).strftime("at(%Y-%m-%dT%H:%M:%S)")


def test_a_one_time_schedule_ends_an_instance_and_itself(account, scheduler, launch, state):
    instance = launch()
    schedule(scheduler, at(account, 10), terminate(instance), ActionAfterCompletion="DELETE")
    account.advance(9 * MINUTE)
    assert state(instance) == "running"
    account.advance(2 * MINUTE)
    assert state(instance) == "terminated"
    assert scheduler.list_schedules()["Schedules"] == []


def test_without_delete_it_stays_and_does_not_fire_again(account, scheduler):
    arn, messages = queue(account, "done")
    schedule(scheduler, at(account, 1), {"Arn": arn, "Input": "now"})
    account.advance(timedelta(days=2))
    assert messages() == ["now"]
    assert [found["Name"] for found in scheduler.list_schedules()["Schedules"]] == ["end"]


def test_a_local_time_is_the_zones(account, scheduler, launch, state):
    instance = launch()
    local = account.now() + timedelta(hours=1, minutes=10)  # Berlin in December is an hour ahead of UTC
    expression = local.strftime("at(%Y-%m-%dT%H:%M:%S)")
    schedule(scheduler, expression, terminate(instance), ScheduleExpressionTimezone="Europe/Berlin")
    account.advance(9 * MINUTE)
    assert state(instance) == "running"
    account.advance(2 * MINUTE)
    assert state(instance) == "terminated"


def test_a_rate_fires_again_and_again(account, scheduler):
    arn, messages = queue(account, "tick")
    schedule(scheduler, "rate(5 minutes)", {"Arn": arn, "Input": "tick"})
    account.advance(16 * MINUTE)
    assert len(messages()) == 4  # at once, and after 5, 10 and 15 minutes


def fired(account):
    return [record["time"][:16] for record in account.records() if record["operation"] == "invoke"]


def test_a_cron_expression_fires_at_its_zones_hours(account, scheduler):
    arn, _ = queue(account, "nightly")
    schedule(scheduler, "cron(30 9 ? * MON-FRI *)", {"Arn": arn, "Input": "x"}, ScheduleExpressionTimezone="Asia/Tokyo")
    account.advance(timedelta(days=7))
    days = [time[:10] for time in fired(account)]
    assert {time[11:] for time in fired(account)} == {"00:30"}  # Tokyo is nine hours ahead, all year
    assert len(days) == 5
    assert all(datetime.fromisoformat(day).weekday() < 5 for day in days)


def test_a_flexible_window_delays_within_it_and_keeps_the_rhythm(account, scheduler):
    arn, _ = queue(account, "tick")
    window = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}
    asked = {"Name": "end", "FlexibleTimeWindow": window, "Target": {"Arn": arn, "RoleArn": ROLE, "Input": "tick"}}
    begin = account.now()
    scheduler.create_schedule(ScheduleExpression="rate(1 hour)", **asked)
    account.advance(timedelta(hours=8, minutes=16))
    late = [
        datetime.fromisoformat(record["time"]) - begin - number * timedelta(hours=1)
        for number, record in enumerate(r for r in account.records() if r["operation"] == "invoke")
    ]
    assert len(late) == 9
    assert all(timedelta() <= one <= 15 * MINUTE for one in late)
    assert len(set(late)) > 3


@pytest.mark.parametrize(
    ("expression", "options", "said"),
    [
        ("cron(0 8 * * * *)", {}, r"Invalid Schedule Expression cron\(0 8 \* \* \* \*\)"),
        ("every(5 minutes)", {}, r"is none of at\(\), rate\(\) and cron\(\)"),
        ("at(2026-13-01T00:00:00)", {}, "Invalid Schedule Expression"),
        ("rate(1 hour)", {"ScheduleExpressionTimezone": "Mars/Olympus"}, "ScheduleExpressionTimezone is not valid"),
        ("rate(1 hour)", {"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}}, "MaximumWindowInMinutes None must be from 1 to"),
    ],
)
def test_what_is_no_schedule_is_refused(scheduler, expression, options, said):
    given = {"Name": "end", "FlexibleTimeWindow": {"Mode": "OFF"}, "Target": {"RoleArn": ROLE, **terminate("i-0")}}
    with pytest.raises(ClientError, match=said) as caught:
        scheduler.create_schedule(ScheduleExpression=expression, **{**given, **options})
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert scheduler.list_schedules()["Schedules"] == []


def test_a_disabled_schedule_and_a_sleeping_scheduler_fire_nothing(account, scheduler, launch, state):
    instance = launch()
    schedule(scheduler, at(account, 10), terminate(instance), State="DISABLED")
    account.advance(timedelta(hours=1))
    assert state(instance) == "running"
    scheduler.delete_schedule(Name="end")
    schedule(scheduler, at(account, 10), terminate(instance))
    account.put_to_sleep(schedules=True)
    account.advance(timedelta(hours=1))
    assert state(instance) == "running"
    account.heal()
    account.advance(timedelta())
    assert state(instance) == "terminated"


def test_a_target_that_fails_is_tried_again(account, scheduler, launch, state):
    instance = launch()
    schedule(scheduler, at(account, 10), terminate(instance))
    account.inject("unavailable", "ec2.TerminateInstances", times=2, actor="scheduler")
    account.advance(11 * MINUTE)
    assert state(instance) == "running"
    account.advance(2 * MINUTE)
    assert state(instance) == "terminated"
    minutes = [r["time"][14:16] for r in account.records() if r["operation"] == "invoke"]
    assert [(int(b) - int(a)) % 60 for a, b in pairwise(minutes)] == [1, 2]  # each pause twice the last
    told = [(r["error"], r["parameters"]["what"][:5]) for r in account.records() if r["operation"] == "invoke"]
    assert [error for error, _ in told] == ["ServiceUnavailable", "ServiceUnavailable", ""]


def test_what_stays_undeliverable_goes_to_the_dead_letter_queue(account, scheduler):
    dead, messages = queue(account, "dead")
    target = terminate("i-0123456789abcdef0")
    limits = {"RetryPolicy": {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 3600}}
    schedule(scheduler, at(account, 1), {**target, **limits, "DeadLetterConfig": {"Arn": dead}})
    account.advance(timedelta(hours=2))
    (message,) = messages()
    assert json.loads(json.loads(message)["input"]) == {"InstanceIds": ["i-0123456789abcdef0"]}
    assert sum(record["operation"] == "TerminateInstances" for record in account.records()) == 3


def test_what_the_account_cannot_do_is_told_in_the_ledger(account, scheduler):
    machine = {"Arn": "arn:aws:states:us-east-1:123456789012:stateMachine:reap", "Input": "{}"}
    schedule(scheduler, at(account, 1), {**machine, "RetryPolicy": {"MaximumRetryAttempts": 0}})
    account.advance(2 * MINUTE)
    (told,) = [record for record in account.records() if record["operation"] == "invoke"]
    assert told["error"] == "NotImplementedError"
    assert "can't invoke arn:aws:states" in told["parameters"]["what"]


def test_a_token_whose_request_was_refused_may_come_again(account, scheduler):
    asked = {"GroupName": "later", "ClientToken": "mine"}
    arn, _ = queue(account, "done")
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        schedule(scheduler, at(account, 1), {"Arn": arn, "Input": "now"}, **asked)
    scheduler.create_schedule_group(Name="later")
    schedule(scheduler, at(account, 1), {"Arn": arn, "Input": "now"}, **asked)
    assert scheduler.get_schedule(Name="end", GroupName="later")["Name"] == "end"


def test_a_group_is_not_made_twice(account, scheduler):
    """moto would put an empty group in its place, and the schedules would be gone."""
    scheduler.create_schedule_group(Name="ephemeral")
    arn, _ = queue(account, "done")
    schedule(scheduler, at(account, 1), {"Arn": arn, "Input": "now"}, GroupName="ephemeral")
    with pytest.raises(ClientError, match="ConflictException"):
        scheduler.create_schedule_group(Name="ephemeral")
    assert len(scheduler.list_schedules(GroupName="ephemeral")["Schedules"]) == 1


@pytest.mark.parametrize(
    ("role", "said"),
    [
        ("ends-leases", r"ValidationException.*'ends-leases' at 'target.roleArn' failed to satisfy constraint"),
        ("arn:aws:iam::210987654321:role/ends", r"AccessDeniedException.*iam:PassRole on resource: arn:aws:iam::2109"),
    ],
)
def test_a_role_that_is_none_or_anothers_is_refused(account, role, said):
    target = {"RoleArn": role, "Arn": "arn:aws:scheduler:::aws-sdk:ec2:terminateInstances", "Input": "{}"}
    given = {"FlexibleTimeWindow": {"Mode": "OFF"}, "ScheduleExpression": "rate(1 hour)", "Target": target}
    with pytest.raises(ClientError, match=said):
        account.client("scheduler").create_schedule(Name="end", **given)
