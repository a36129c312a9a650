"""Faults on demand. Oracle: boto3's own retries and exceptions, and the codes that AWS documents."""

from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from course_lib.finops.cloud import Fault
from course_lib.finops.errors import FinopsError


def calls(account, operation):
    return [record["error"] for record in account.records() if record["operation"] == operation]


def test_boto3_rides_out_two_throttled_calls(account, ec2):
    account.inject("throttling", "ec2.Describe*", times=2)
    assert ec2.describe_instances()["ResponseMetadata"]["RetryAttempts"] == 2
    assert calls(account, "DescribeInstances") == ["RequestLimitExceeded", "RequestLimitExceeded", ""]


@pytest.mark.parametrize(
    ("service", "operation", "kind", "code"),
    [
        ("ec2", "describe_vpcs", "denied", "UnauthorizedOperation"),
        ("s3", "list_buckets", "denied", "AccessDenied"),
        ("sqs", "list_queues", "denied", "AccessDeniedException"),
        ("budgets", "describe_budgets", "denied", "AccessDeniedException"),
        ("batch", "describe_job_queues", "denied", "AccessDeniedException"),
        ("iam", "list_roles", "denied", "AccessDeniedException"),
        ("s3", "list_buckets", "skew", "RequestTimeTooSkewed"),
        ("ec2", "describe_vpcs", "skew", "RequestExpired"),
    ],
)
def test_each_wire_format_brings_the_code_to_boto3(account, service, operation, kind, code):
    account.inject(kind, f"{service}.*")
    client = account.client(service)
    asked = {"AccountId": "123456789012"} if service == "budgets" else {}
    with pytest.raises(ClientError) as caught:
        getattr(client, operation)(**asked)
    assert caught.value.response["Error"]["Code"] == code


def test_no_capacity_leaves_nothing_half_made(account, ec2, launch):
    account.inject("capacity", "ec2.RunInstances")
    with pytest.raises(ClientError, match="InsufficientInstanceCapacity"):
        launch()
    account.heal()
    assert ec2.describe_instances()["Reservations"] == []


def test_a_rule_may_let_some_calls_pass_and_speak_of_one_region(account):
    account.inject("denied", "ec2.*", region="eu-west-1", skip=1, times=1)
    europe, america = account.client("ec2", region="eu-west-1"), account.client("ec2")
    europe.describe_vpcs()
    america.describe_vpcs()
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        europe.describe_vpcs()
    europe.describe_vpcs()


def test_chance_is_repeatable(account, ec2):
    def pattern():
        account.reset()
        account.inject("denied", "ec2.*", chance=0.5)
        seen = []
        for _ in range(12):
            try:
                ec2.describe_vpcs()
                seen.append(True)
            except ClientError:
                seen.append(False)
        return seen

    first = pattern()
    assert pattern() == first
    assert {True, False} == set(first)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "earthquake"}, "kind='earthquake' is no kind of fault.*throttling"),
        ({"kind": "denied", "chance": 1.5}, "chance=1.5 must be a probability"),
        ({"kind": "denied", "times": 0}, "times=0 must be a whole number of at least 1"),
        ({"kind": "denied", "skip": -1}, "skip=-1 must be"),
    ],
)
def test_a_fault_that_is_none_is_refused_where_it_is_written(account, given, said):
    with pytest.raises(FinopsError, match=said):
        Fault(**given)
    with pytest.raises(FinopsError, match=said):
        account.inject(**given)


def test_time_does_not_run_backward(account):
    with pytest.raises(FinopsError, match=r"advance_seconds=-60.0 must be 0 or more"):
        account.advance(timedelta(minutes=-1))
