"""Whatever single layer fails, nothing outlives its lease by more than one period of the reaper.

Oracle: DescribeInstances, asked at every period over days of simulated time, against the leases that were granted.
"""

import contextlib
import random
from collections import Counter
from datetime import timedelta

import pytest

from course_lib.finops.aws import AwsError
from course_lib.finops.ephemeral import LaunchError, launch, read_lease, sweep
from tests.finops.ephemeral.conftest import REGIONS

PERIOD = timedelta(minutes=30)
HOUR = timedelta(hours=1)
ENDING = ("TerminateInstances", "StopInstances", "shutdown")
ALIVE = [{"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}]


def fail(account, layer, draw):
    """Take one layer away, or make it unreliable, for the next period."""
    account.heal()
    if layer == "inside":
        account.put_to_sleep(guests=True)
    elif layer == "scheduler":
        account.put_to_sleep(schedules=True)
    elif layer == "throttled":
        account.inject("throttling", "*", chance=0.15)
    elif layer == "api errors":
        account.inject(draw.choice(["internal", "unavailable"]), "*", chance=0.15)
    elif layer == "clock skew":
        account.inject("skew", "*", chance=0.15)
    elif layer == "no capacity":
        account.inject("capacity", "ec2.RunInstances", chance=0.5)
    elif layer == "a region is gone":
        account.inject("denied", "*", region=draw.choice(REGIONS))
    elif layer == "no new schedules":
        account.inject("denied", "scheduler.CreateSchedule", chance=0.5)


def live(account):
    """Instance → tags of everything that is not terminated."""
    return {
        one["InstanceId"]: {tag["Key"]: tag["Value"] for tag in one.get("Tags", [])}
        for region in REGIONS
        for page in account.client("ec2", region=region).get_paginator("describe_instances").paginate(Filters=ALIVE)
        for reservation in page["Reservations"]
        for one in reservation["Instances"]
    }


def days_of_work(account, request_for, plain, layers, *, launches, hours, longest, period=PERIOD, seed=0):
    """Launch at random moments while one of some layers fails, sweep each period.

    Gives the instance-days, the violations (what was found alive a period after the end in its own tags), the layers
    that failed, and how often each error was answered.
    """
    draw = random.Random(seed)
    protected = [plain({"protected": "true"}, region=region)[0] for region in REGIONS]
    begin, days, late, failed = account.now(), 0.0, [], Counter()
    starts = sorted(begin + draw.random() * (hours - longest - 1) * HOUR for _ in range(launches))
    while account.now() < begin + hours * HOUR:
        layer = draw.choice(layers)
        failed[layer] += 1
        fail(account, layer, draw)
        while starts and starts[0] <= account.now():
            starts.pop(0)
            life = draw.uniform(0.5, longest) * 60
            asked = request_for(life, region=draw.choice(REGIONS), budget_usd=1e6, tags={"run": str(len(starts))})
            with contextlib.suppress(AwsError, LaunchError):  # whatever is left of it must end all the same
                launch(account, asked)
        if layer != "reaper" and not (layer == "reaper killed" and draw.random() < 0.5):
            with contextlib.suppress(AwsError):  # a sweep that fails altogether is a killed reaper
                sweep(account, regions=REGIONS, apply=True, at_most=None)
        account.heal()
        now, alive = account.now(), live(account)
        days += (len(alive) - len(protected)) * (period / timedelta(days=1))
        late += [one for one in set(alive) - set(protected) if now >= read_lease(alive[one]).expires_at + period]
        assert set(protected) <= set(alive)
        fail(account, layer, draw)
        account.advance(period)
    account.heal()
    account.advance(period)
    sweep(account, regions=REGIONS, apply=True, at_most=None)
    assert set(live(account)) == set(protected)
    touched = [r for r in account.records() if r["operation"] in ENDING and set(protected) & ids(r)]
    assert touched == []  # nobody so much as asked to end a protected one
    errors = Counter(record["error"] for record in account.records() if record["actor"] == "caller")
    return days, late, failed, errors


def ids(record):
    return set(record["parameters"].get("InstanceIds", ()))


LAYERS = [
    "none",
    "inside",
    "scheduler",
    "reaper",
    "reaper killed",
    "throttled",
    "api errors",
    "clock skew",
    "no capacity",
    "a region is gone",
    "no new schedules",
]
# What the injected faults look like to the caller: each must have been met.
ERRORS = {
    "RequestLimitExceeded",
    "ThrottlingException",
    "InternalError",
    "ServiceUnavailable",
    "RequestExpired",
    "InsufficientInstanceCapacity",
    "UnauthorizedOperation",
    "AccessDeniedException",
}


SLOW = [pytest.param(layer, marks=() if layer == "reaper killed" else pytest.mark.slow) for layer in LAYERS]


@pytest.mark.parametrize("layer", SLOW)
def test_nothing_outlives_its_lease_by_more_than_a_period(account, request_for, plain, layer):
    days, late, _, _ = days_of_work(account, request_for, plain, [layer], launches=12, hours=9, longest=4)
    assert late == []
    assert days > 0.5


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_thousand_instance_days_with_another_layer_failing_in_each_period(account, request_for, plain):
    work = {"launches": 290, "hours": 24 * 20, "longest": 24 * 9, "period": 6 * HOUR}
    days, late, failed, errors = days_of_work(account, request_for, plain, LAYERS, **work)
    assert late == []
    assert days >= 1000
    assert set(failed) == set(LAYERS)
    assert min(failed.values()) >= 2
    assert set(errors) >= ERRORS
