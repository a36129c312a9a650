"""Instances that live in time. Oracle: boto3 against the running account; the rules are the EC2 guide's."""

from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

MINUTE = timedelta(minutes=1)
ENDS = "#!/bin/bash\nshutdown -h +30\n"


def test_a_shutdown_in_user_data_terminates_only_if_the_instance_says_so(account, launch, state):
    ends = launch(UserData=ENDS, InstanceInitiatedShutdownBehavior="terminate")
    stops, stays = launch(UserData=ENDS), launch()
    account.advance(30 * MINUTE)
    assert [state(one) for one in (ends, stops, stays)] == ["running"] * 3  # booting took a minute
    account.advance(2 * MINUTE)
    assert [state(one) for one in (ends, stops, stays)] == ["terminated", "stopped", "running"]


def test_protection_against_the_api_does_not_hold_a_shutdown_from_inside(account, launch, state, ec2):
    protected = launch(UserData=ENDS, InstanceInitiatedShutdownBehavior="terminate", DisableApiTermination=True)
    with pytest.raises(ClientError, match="OperationNotPermitted"):
        ec2.terminate_instances(InstanceIds=[protected])
    account.advance(timedelta(hours=1))
    assert state(protected) == "terminated"


@pytest.mark.parametrize("interrupt", ["stop_and_start", "reboot"])
def test_user_data_runs_once_so_an_interruption_loses_the_timer(account, launch, state, ec2, interrupt):
    instance = launch(UserData=ENDS, InstanceInitiatedShutdownBehavior="terminate")
    account.advance(5 * MINUTE)
    if interrupt == "reboot":
        ec2.reboot_instances(InstanceIds=[instance])
    else:
        ec2.stop_instances(InstanceIds=[instance])
        ec2.start_instances(InstanceIds=[instance])
    account.advance(timedelta(days=1))
    assert state(instance) == "running"


def test_the_behaviour_counts_that_holds_at_the_end(account, launch, state, ec2):
    instance = launch(UserData=ENDS, InstanceInitiatedShutdownBehavior="terminate")
    ec2.modify_instance_attribute(InstanceId=instance, InstanceInitiatedShutdownBehavior={"Value": "stop"})
    account.advance(timedelta(hours=1))
    assert state(instance) == "stopped"


def test_instances_are_launched_at_the_accounts_time_and_every_answer_tells_it(account, launch, ec2):
    account.advance(timedelta(days=3))
    launch()
    told = ec2.describe_instances()
    assert told["Reservations"][0]["Instances"][0]["LaunchTime"] == account.now()
    assert told["ResponseMetadata"]["HTTPHeaders"]["date"] == account.now().strftime("%a, %d %b %Y %H:%M:%S GMT")


def test_a_token_that_comes_again_launches_nothing_new(launch, ec2):
    first, again = launch(ClientToken="mine"), launch(ClientToken="mine")
    assert first == again
    assert len(ec2.describe_instances()["Reservations"]) == 1
    assert launch(ClientToken="another") != first


def test_a_token_with_another_request_is_a_mismatch(launch):
    launch(ClientToken="mine")
    with pytest.raises(ClientError, match=r"IdempotentParameterMismatch.*mine"):
        launch(ClientToken="mine", InstanceType="inf2.xlarge")


def test_a_token_whose_launch_failed_may_be_used_again(account, launch):
    account.inject("capacity", "ec2.RunInstances", times=5)
    with pytest.raises(ClientError, match="InsufficientInstanceCapacity"):
        launch(ClientToken="mine")
    account.heal()
    assert launch(ClientToken="mine")


def test_an_unknown_instance_type_is_refused(launch, ec2):
    with pytest.raises(ClientError, match=r"InvalidParameterValue.*Invalid value 'zzz9.bogus' for InstanceType"):
        launch(InstanceType="zzz9.bogus")
    assert ec2.describe_instances()["Reservations"] == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ImageId": "ami-0abc"}, r'InvalidAMIID.Malformed.*Invalid id: "ami-0abc"'),
        ({"ImageId": "debian"}, r"InvalidAMIID.Malformed"),
        ({"ImageId": "ami-0123456789abcdef0"}, r"InvalidAMIID.NotFound.*'\[ami-0123456789abcdef0\]' does not exist"),
        ({"IamInstanceProfile": {"Arn": "trainer"}}, r"InvalidParameterValue.*iamInstanceProfile.arn is invalid"),
        ({"IamInstanceProfile": {"Name": "nobody"}}, r"InvalidParameterValue.*\(nobody\).*iamInstanceProfile.name"),
        (
            {"IamInstanceProfile": {"Arn": "arn:aws:iam::210987654321:instance-profile/trainer"}},
            r"InvalidParameterValue.*iamInstanceProfile.arn is invalid",
        ),
    ],
)
def test_what_is_not_there_is_not_launched_and_a_dry_run_says_so(account, launch, ec2, options, said):
    account.client("iam").create_instance_profile(InstanceProfileName="trainer")
    for dry in (True, False):
        with pytest.raises(ClientError, match=said):
            launch(**options, DryRun=dry)
    assert ec2.describe_instances()["Reservations"] == []


def test_what_is_there_is_launched(account, launch, ec2):
    """Images: one's own, and the public one that AWS's parameter names in the region. Profiles: by ARN and by name."""
    iam = account.client("iam")
    profile = iam.create_instance_profile(InstanceProfileName="trainer")["InstanceProfile"]["Arn"]
    disk = {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8}}
    own = ec2.register_image(Name="own", RootDeviceName="/dev/xvda", BlockDeviceMappings=[disk])["ImageId"]
    name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
    public = account.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
    ireland = account.client("ssm", region="eu-west-1").get_parameter(Name=name)["Parameter"]["Value"]
    launch(ImageId=own, IamInstanceProfile={"Arn": profile})
    launch(ImageId=public, IamInstanceProfile={"Name": "trainer"})
    with pytest.raises(ClientError, match=r"InvalidAMIID.NotFound"):  # each region has images of its own
        launch(ImageId=ireland)
    assert len(ec2.describe_instances()["Reservations"]) == 2


def test_a_dry_run_after_the_launch_is_a_dry_run(launch):
    launch(ClientToken="mine")
    with pytest.raises(ClientError, match="DryRunOperation"):
        launch(ClientToken="mine", DryRun=True)
