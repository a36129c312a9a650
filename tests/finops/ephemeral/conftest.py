"""Requests to launch in the practice account, and what runs there."""

from datetime import timedelta

import pytest

from course_lib.finops.ephemeral import LaunchRequest, Lease

REGIONS = ("eu-west-1", "us-east-1", "us-west-2")


@pytest.fixture
def request_for(account):
    """Makes a request whose lease ends so many minutes from the account's time."""

    def make(minutes=60, **options):
        lease = Lease("ada@example.org", "bert", account.now() + timedelta(minutes=minutes))
        given = {"instance_type": "trn1.2xlarge", "region": "us-east-1", "image": "ami-12c6146b", "budget_usd": 100.0}
        role = "arn:aws:iam::123456789012:role/ends-leases"
        return LaunchRequest(**{**given, "lease": lease, "scheduler_role": role, **options})

    return make


@pytest.fixture
def states(account):
    """Every instance's state in some regions, as boto3 tells it."""

    def read(*regions):
        found = {}
        for region in regions or REGIONS:
            for page in account.client("ec2", region=region).get_paginator("describe_instances").paginate():
                for reservation in page["Reservations"]:
                    found |= {one["InstanceId"]: one["State"]["Name"] for one in reservation["Instances"]}
        return found

    return read


@pytest.fixture
def plain(account):
    """Launches with boto3 alone, with any tags."""

    def run(tags=None, region="us-east-1", count=1, **options):
        specification = [
            {"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in (tags or {}).items()]}
        ]
        told = account.client("ec2", region=region).run_instances(
            ImageId="ami-12c6146b",
            InstanceType="trn1.2xlarge",
            MinCount=count,
            MaxCount=count,
            **({"TagSpecifications": specification} if tags else {}),
            **options,
        )
        return [one["InstanceId"] for one in told["Instances"]]

    return run
