"""What the emergency's tests share: a launch template, and a group that keeps instances running from it."""

import pytest


@pytest.fixture
def template(account):
    made = account.client("ec2").create_launch_template(
        LaunchTemplateName="node", LaunchTemplateData={"ImageId": "ami-12c6146b", "InstanceType": "trn1.2xlarge"}
    )
    return made["LaunchTemplate"]["LaunchTemplateId"]


@pytest.fixture
def group(account, template):
    """An Auto Scaling group that keeps two instances running."""
    groups = account.client("autoscaling")
    groups.create_auto_scaling_group(
        AutoScalingGroupName="nodes",
        MinSize=2,
        MaxSize=4,
        LaunchTemplate={"LaunchTemplateId": template, "Version": "$Latest"},
        AvailabilityZones=["us-east-1a"],
    )
    return groups
