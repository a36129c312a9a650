"""A layer that is put to sleep stays asleep while others act. Oracle: the account's ledger, read as who did what."""

from datetime import timedelta


def doings(account, since):
    """Who ended instances, in order, from a point of the ledger on."""
    ends = {"shutdown", "TerminateInstances"}
    return [row["actor"] for row in account.records(since) if row["operation"] in ends]


def test_a_hung_guest_does_nothing_at_the_moment_at_which_a_schedule_fires(account, launch):
    one = launch(UserData="#!/bin/sh\nshutdown +59\n", InstanceInitiatedShutdownBehavior="terminate")
    account.client("scheduler").create_schedule(
        Name="end",
        ScheduleExpression=(account.now() + timedelta(hours=1)).strftime("at(%Y-%m-%dT%H:%M:%S)"),
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": "arn:aws:scheduler:::aws-sdk:ec2:terminateInstances",
            "RoleArn": "arn:aws:iam::123456789012:role/ends",
            "Input": f'{{"InstanceIds": ["{one}"]}}',
        },
    )
    since = len(account.records())
    account.put_to_sleep(guests=True)
    account.advance(timedelta(hours=2))
    assert doings(account, since) == ["scheduler"]


def test_a_sleeping_scheduler_does_nothing_at_the_moment_at_which_a_guest_ends(account, launch, state):
    one = launch(UserData="#!/bin/sh\nshutdown +89\n", InstanceInitiatedShutdownBehavior="terminate")
    other = launch()
    account.client("scheduler").create_schedule(
        Name="end",
        ScheduleExpression=(account.now() + timedelta(hours=1)).strftime("at(%Y-%m-%dT%H:%M:%S)"),
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": "arn:aws:scheduler:::aws-sdk:ec2:terminateInstances",
            "RoleArn": "arn:aws:iam::123456789012:role/ends",
            "Input": f'{{"InstanceIds": ["{other}"]}}',
        },
    )
    since = len(account.records())
    account.put_to_sleep(schedules=True)
    account.advance(timedelta(hours=2))
    assert doings(account, since) == ["guest"]
    assert (state(one), state(other)) == ("terminated", "running")
    account.heal()
    account.advance(timedelta(minutes=1))  # awake again, it does what it had missed
    assert state(other) == "terminated"
