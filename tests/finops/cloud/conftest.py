"""What the tests of the practice account do with boto3: launch, and look."""

import pytest


@pytest.fixture
def ec2(account):
    return account.client("ec2")


@pytest.fixture
def launch(ec2):
    """Launches one instance with boto3; returns its id."""

    def run(**options):
        options = {"ImageId": "ami-12c6146b", "InstanceType": "trn1.2xlarge", "MinCount": 1, "MaxCount": 1, **options}
        return ec2.run_instances(**options)["Instances"][0]["InstanceId"]

    return run


@pytest.fixture
def state(ec2):
    """The state of an instance, as boto3 tells it."""

    def read(instance):
        found = ec2.describe_instances(InstanceIds=[instance])
        return found["Reservations"][0]["Instances"][0]["State"]["Name"]

    return read
