"""What the account writes down. Oracle: the calls that boto3 was asked to make."""

import json
from datetime import timedelta

import pytest

from course_lib.runtime import NotEmulatedError


def test_every_call_is_written_down_with_what_was_asked(account, launch, ec2):
    instance = launch(UserData="#!/bin/bash\nshutdown +1\n", InstanceInitiatedShutdownBehavior="terminate")
    ec2.create_tags(Resources=[instance], Tags=[{"Key": "owner", "Value": "ada"}])
    account.advance(timedelta(minutes=5))
    run, tag, end = account.records()
    assert (run["service"], run["operation"], run["region"]) == ("ec2", "RunInstances", "us-east-1")
    assert run["parameters"]["InstanceType"] == "trn1.2xlarge"
    assert tag["parameters"] == {"Resources": [instance], "Tags": [{"Key": "owner", "Value": "ada"}]}
    assert (end["actor"], end["parameters"]) == ("guest", {"InstanceId": instance, "became": "terminated"})
    assert account.records(since=2) == [end]


def test_secrets_are_not_written_down(account):
    account.client("secretsmanager").create_secret(Name="key", SecretString="hunter2")
    account.client("iam").create_user(UserName="ada")
    account.client("iam").create_login_profile(UserName="ada", Password="hunter2")
    text = json.dumps(account.records())
    assert "hunter2" not in text
    assert text.count("(hidden)") == 2


def test_a_call_that_moto_lacks_is_told_and_written_down(account):
    with pytest.raises(NotEmulatedError, match=r"ec2\.GetSpotPlacementScores"):
        account.client("ec2").get_spot_placement_scores(TargetCapacity=1, InstanceTypes=["trn1.2xlarge"])
    assert account.records()[-1]["status"] == 501


def test_a_reset_empties_the_account(account, launch, ec2):
    launch(ClientToken="mine")
    account.client("s3").create_bucket(Bucket="kept")
    account.reset()
    assert ec2.describe_instances()["Reservations"] == []
    assert account.client("s3").list_buckets()["Buckets"] == []
    assert [record["operation"] for record in account.records()] == ["DescribeInstances", "ListBuckets"]
