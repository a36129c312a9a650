"""Instances among many asked for. Oracle: EC2's documented limit of 200 values a filter, and the account's log."""

from course_lib.finops.aws import living_instances


def test_many_instances_are_asked_for_in_parts_and_those_that_are_gone_are_no_error(account):
    ec2 = account.client("ec2")
    made = ec2.run_instances(ImageId="ami-12c6146b", InstanceType="trn1.2xlarge", MinCount=3, MaxCount=3)["Instances"]
    ids = [one["InstanceId"] for one in made]
    ec2.terminate_instances(InstanceIds=ids[:1])
    among = [*ids[:2], *(f"i-{number:017x}" for number in range(399))]
    assert [one["InstanceId"] for one in living_instances(account, "us-east-1", among)] == ids[1:2]
    calls = [call["parameters"]["Filters"] for call in account.records() if call["operation"] == "DescribeInstances"]
    assert [len(filters[-1]["Values"]) for filters in calls] == [200, 200, 1]
    assert list(living_instances(account, "us-east-1", [])) == []
    assert len(account.records()) == 5
