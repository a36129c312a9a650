"""Schedules that fire. Oracle: boto3 against the running account; the rules are EventBridge Scheduler's guide."""

import json
from datetime import timedelta
from itertools import pairwise

import pytest

from course_lib.runtime import NotEmulatedError

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
    function = {"Arn": "arn:aws:lambda:us-east-1:123456789012:function:reap", "Input": "{}"}
    schedule(scheduler, at(account, 1), {**function, "RetryPolicy": {"MaximumRetryAttempts": 0}})
    account.advance(2 * MINUTE)
    (told,) = [record for record in account.records() if record["operation"] == "invoke"]
    assert told["error"] == "NotImplementedError"
    assert "can't invoke arn:aws:lambda" in told["parameters"]["what"]


def test_a_token_whose_request_was_refused_may_come_again(account, scheduler):
    asked = {"GroupName": "later", "ClientToken": "mine"}
    arn, _ = queue(account, "done")
    with pytest.raises(NotEmulatedError):  # moto fails where AWS refuses a group that is not there
        schedule(scheduler, at(account, 1), {"Arn": arn, "Input": "now"}, **asked)
    scheduler.create_schedule_group(Name="later")
    schedule(scheduler, at(account, 1), {"Arn": arn, "Input": "now"}, **asked)
    assert scheduler.get_schedule(Name="end", GroupName="later")["Name"] == "end"
