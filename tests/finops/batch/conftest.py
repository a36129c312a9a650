"""A fleet and a job in the practice account, with the roles and the network that Batch asks for."""

from datetime import timedelta

import pytest

from course_lib.finops.batch import Fleet, Job, RetryStrategy
from course_lib.finops.ephemeral import Lease

BUCKET = "batch-tests"
TRUST = '{"Version":"2012-10-17","Statement":[]}'


@pytest.fixture
def lease(account):
    return Lease("ada@example.org", "bert", account.now() + timedelta(hours=24))


@pytest.fixture
def bucket(account):
    account.client("s3").create_bucket(Bucket=BUCKET)
    return BUCKET


@pytest.fixture
def fleet_for(account, lease):
    """Makes a fleet whose roles, subnet and security group are there."""
    ec2, iam = account.client("ec2"), account.client("iam")
    network = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=network, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="batch", Description="batch", VpcId=network)["GroupId"]
    role = iam.create_role(RoleName="batch-service", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    profile = iam.create_instance_profile(InstanceProfileName="ecs")["InstanceProfile"]["Arn"]

    def make(**options):
        given = {"name": "bert-trn1", "instance_types": ("trn1.2xlarge",), "max_vcpus": 32, "subnets": (subnet,)}
        given |= {"security_groups": (group,), "instance_role": profile, "service_role": role, "lease": lease}
        return Fleet(**{**given, **options})

    return make


def job(lease, *command, **options):
    """A job for a trn1.2xlarge."""
    given = {"name": "shards", "image": "python:3.11-slim", "command": command or ("true",)}
    given |= {"instance_type": "trn1.2xlarge", "timeout": timedelta(hours=1), "budget_usd": 1000.0, "lease": lease}
    return Job(**{**given, "retry": RetryStrategy(3), **options})


@pytest.fixture
def job_for(lease):
    """Makes a job with the lease of this test."""
    return lambda *command, **options: job(lease, *command, **options)
