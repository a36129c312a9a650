"""What a fleet names is there before anything is made. Oracle: boto3's view of the account, AWS's documented rules.

Rules: "Using roles for AWS Batch" and "Amazon ECS instance role", AWS Batch User Guide.
"""

from dataclasses import replace

import pytest
from botocore.exceptions import ClientError

from course_lib.finops.batch import BatchError, apply_setup, plan_setup
from course_lib.finops.batch.fleet import DEFAULT
from course_lib.finops.batch.network import find_network
from course_lib.finops.batch.roles import POLICY, STANDARD

REGION = "us-east-1"
LINKED = "AWSServiceRoleForBatch"


def no_wait(seconds):
    raise AssertionError("moto settles at once")


def test_default_is_the_default_vpcs_subnets_and_group(account, fleet_for):
    ec2 = account.client("ec2")
    (vpc,) = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    here = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
    subnets = ec2.describe_subnets(Filters=here)["Subnets"]
    groups = ec2.describe_security_groups(Filters=here)["SecurityGroups"]
    found = find_network(account, fleet_for(subnets=DEFAULT, security_groups=DEFAULT), REGION)
    assert len(subnets) > 1
    assert set(found.subnets) == {one["SubnetId"] for one in subnets}
    assert list(found.security_groups) == [one["GroupId"] for one in groups if one["GroupName"] == "default"]
    again = find_network(account, fleet_for(subnets=DEFAULT, security_groups=DEFAULT), REGION)
    assert again.environment()["computeResources"] == found.environment()["computeResources"]


def test_the_default_group_is_that_of_the_subnets_own_vpc(account, fleet_for):
    fleet = fleet_for(security_groups=DEFAULT)
    ec2 = account.client("ec2")
    network = ec2.describe_subnets(SubnetIds=list(fleet.subnets))["Subnets"][0]["VpcId"]
    (group,) = find_network(account, fleet, REGION).security_groups
    assert ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["VpcId"] == network


def test_groups_of_another_vpc_and_subnets_of_two_are_refused(account, fleet_for, job_for):
    ec2, fleet = account.client("ec2"), fleet_for()
    other = ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"][0]["SubnetId"]
    for changed, says in (
        (replace(fleet, subnets=(other,)), r"security_groups=\['sg-\w+'\] are not in the subnets' VPC, vpc-"),
        (replace(fleet, subnets=(*fleet.subnets, other)), r"belong to several VPCs"),
    ):
        with pytest.raises(BatchError, match=says):
            plan_setup(account, changed, job_for(), REGION)


def test_a_region_without_a_default_vpc_is_one_line(account, fleet_for):
    ec2 = account.client("ec2", region="eu-west-1")
    for subnet in ec2.describe_subnets()["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    with pytest.raises(
        BatchError, match=r"subnets='default' finds no default VPC in eu-west-1. Remedy: .*describe-subnets"
    ):
        find_network(account, fleet_for(subnets=DEFAULT, security_groups=DEFAULT), "eu-west-1")


def test_batch_makes_its_own_role_when_none_is_named(account, fleet_for, job_for):
    iam, batch = account.client("iam"), account.client("batch")
    fleet = fleet_for(name="one", service_role="")
    for asked in (fleet, replace(fleet, name="two")):
        apply_setup(account, plan_setup(account, asked, job_for(), REGION), no_wait)
    linked = [one for one in iam.list_roles()["Roles"] if one["RoleName"] == LINKED]
    assert [one["Path"] for one in linked] == ["/aws-service-role/batch.amazonaws.com/"]
    roles = {one["serviceRole"] for one in batch.describe_compute_environments()["computeEnvironments"]}
    assert roles == {linked[0]["Arn"]}
    with pytest.raises(ClientError, match=r"already exists"):
        batch.create_compute_environment(**fleet.environment())
    with pytest.raises(ClientError, match=r"ServiceRole is required"):
        batch.create_compute_environment(computeEnvironmentName="own", type="UNMANAGED")


def test_the_standard_profile_is_made_once_tagged_and_with_the_agents_policy(account, fleet_for, job_for):
    iam, fleet = account.client("iam"), fleet_for(instance_role=STANDARD)
    plan = plan_setup(account, fleet, job_for(), REGION)
    assert plan.steps[0].kind == "instance profile"
    account.inject("denied", "iam.AddRoleToInstanceProfile", times=1)
    with pytest.raises(Exception, match=r"making the instance profile ecsInstanceRole: AccessDenied"):
        apply_setup(account, plan, no_wait)
    apply_setup(account, plan, no_wait)  # goes on from a profile without its role
    assert [one.kind for one in plan_setup(account, fleet, job_for(), REGION).changes] == []
    profile = iam.get_instance_profile(InstanceProfileName=STANDARD)["InstanceProfile"]
    assert [one["RoleName"] for one in profile["Roles"]] == [STANDARD]
    assert {one["Key"]: one["Value"] for one in profile["Tags"]} == {"owner": fleet.lease.owner, "project": "bert"}
    (attached,) = iam.list_attached_role_policies(RoleName=STANDARD)["AttachedPolicies"]
    assert attached["PolicyArn"] == POLICY
    version = iam.get_policy(PolicyArn=POLICY)["Policy"]["DefaultVersionId"]
    text = iam.get_policy_version(PolicyArn=POLICY, VersionId=version)["PolicyVersion"]["Document"]
    assert "ecs:RegisterContainerInstance" in text["Statement"][0]["Action"]


def test_who_may_not_look_into_iam_can_still_plan(account, fleet_for, job_for):
    fleet = fleet_for()
    account.inject("denied", "iam.GetInstanceProfile")
    account.inject("denied", "iam.GetRole")
    assert len(plan_setup(account, fleet, job_for(), REGION).changes) == 4


def test_a_policy_of_aws_is_attached_and_one_that_is_none_is_not(account):
    iam = account.client("iam")
    iam.create_user(UserName="ada")
    iam.attach_user_policy(UserName="ada", PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    assert iam.list_policies(Scope="Local")["Policies"] == []
    for name in ("NoSuchPolicyAtAll", "service-role/AmazonS3ReadOnlyAccess"):
        with pytest.raises(iam.exceptions.NoSuchEntityException):
            iam.attach_user_policy(UserName="ada", PolicyArn=f"arn:aws:iam::aws:policy/{name}")
