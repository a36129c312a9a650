"""Who may do everything. Oracle: AWS's own managed policies, whose names say what they are, and IAM's written rules."""

import json

import boto3
import pytest
from botocore.stub import Stubber
from moto.iam.aws_managed_policies import aws_managed_policies_data

from course_lib.finops.compliance import Settings, look, may_do_everything
from course_lib.finops.iam import Policies
from tests.finops.compliance import faults

HERE = ["us-east-1"]
ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}
TRUST = faults.policy({"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"})
ADA, ME = "arn:aws:iam::123456789012:user/ada", "123456789012"


def everything(*statements, **others):
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    return may_do_everything(Policies(identity=[document], **others), ADA, ME)


@pytest.mark.parametrize(
    ("managed", "failed"),
    [
        ("AdministratorAccess", True),
        ("PowerUserAccess", False),  # everything but IAM, by NotAction
        ("IAMFullAccess", False),
        ("ReadOnlyAccess", False),
        ("AmazonEC2FullAccess", False),
    ],
)
def test_aws_own_policies(account, managed, failed):
    document = json.loads(aws_managed_policies_data)[managed]["Document"]
    iam = account.client("iam")
    iam.create_role(RoleName="work", AssumeRolePolicyDocument=TRUST)
    iam.put_role_policy(RoleName="work", PolicyName="as-aws-has-it", PolicyDocument=json.dumps(document))
    found = look(account, regions=HERE, checks=["administrators"])
    assert [(one.resource, one.status) for one in found.results] == [("role work", "failed" if failed else "passed")]


def test_a_user_is_an_administrator_through_a_group_and_both_are_named(account):
    iam = account.client("iam")
    faults.user(account)
    iam.create_group(GroupName="admins")
    iam.add_user_to_group(GroupName="admins", UserName="ada")
    own = iam.create_policy(PolicyName="all", PolicyDocument=faults.policy(ALL))["Policy"]["Arn"]
    iam.attach_group_policy(GroupName="admins", PolicyArn=own)
    found = look(account, regions=HERE, checks=["administrators"])
    assert {one.resource for one in found.of("failed")} == {"user ada", "group admins"}
    decided = Settings(administrators=("ada", "admins"))
    assert look(account, decided, regions=HERE, checks=["administrators"]).clean


class OnlyIam:
    """An account whose IAM answers what a `Stubber` of botocore was told; the stubber checks it against AWS's model.

    moto lists no boundaries in GetAccountAuthorizationDetails, and has none of AWS's own policies unless it is told to.
    """

    def __init__(self, account, managed=ALL, **user):
        self._account = account
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
        self._iam = boto3.client("iam", region_name="us-east-1", **keys)
        stub = Stubber(self._iam)
        detail = {"Path": "/", "UserName": "ada", "UserId": "AIDA0123456789012345", "Arn": ADA, "GroupList": [], **user}
        stub.add_response("get_account_authorization_details", {"UserDetailList": [detail]})
        arn = "arn:aws:iam::aws:policy/AdministratorAccess"
        stub.add_response("get_policy", {"Policy": {"Arn": arn, "DefaultVersionId": "v1"}}, {"PolicyArn": arn})
        version = {"Document": faults.policy(managed), "VersionId": "v1"}
        asked = {"PolicyArn": arn, "VersionId": "v1"}
        stub.add_response("get_policy_version", {"PolicyVersion": version}, asked)
        stub.activate()

    def client(self, service, *, region=None):
        return self._iam if service == "iam" else self._account.client(service, region=region)


def test_the_documents_of_aws_own_policies_are_fetched_once(account):
    attached = [{"PolicyName": "AdministratorAccess", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}]
    there = OnlyIam(account, AttachedManagedPolicies=attached)
    assert [one.resource for one in look(there, regions=HERE, checks=["administrators"]).of("failed")] == ["user ada"]


def test_a_boundary_that_forbids_is_part_of_the_answer(account):
    """IAM: the effective permissions are the intersection of the identity policies and the boundary."""
    arn = "arn:aws:iam::aws:policy/AdministratorAccess"
    fence = {"PermissionsBoundaryType": "PermissionsBoundaryPolicy", "PermissionsBoundaryArn": arn}
    for managed, status in ((ALL, "failed"), ({**ALL, "Action": "s3:*"}, "passed")):
        inline = [{"PolicyName": "all", "PolicyDocument": faults.policy(ALL)}]  # botocore decodes it in place
        there = OnlyIam(account, managed, UserPolicyList=inline, PermissionsBoundary=fence)
        assert look(there, regions=HERE, checks=["administrators"]).status_of("administrators") == status


def test_a_policy_with_stars_only_in_some_places_is_none():
    assert everything(ALL)
    assert everything({"Effect": "Allow", "NotAction": "sns:Publish", "Resource": "*"})
    assert not everything({**ALL, "Action": ["s3:*", "ec2:*", "iam:*", "cloudtrail:*"]})
    assert not everything(ALL, {"Effect": "Deny", "Action": "iam:*", "Resource": "*"})
    assert not everything({**ALL, "Condition": {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}})
    assert not everything({**ALL, "Resource": "arn:aws:s3:::*"})


def test_an_administrator_with_a_second_factor_is_one():
    """Oracle: IAM's user guide, where everything is denied to those who are signed in without MFA."""
    without = {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}
    assert everything(ALL, {"Effect": "Deny", "NotAction": "sts:*", "Resource": "*", "Condition": without})
    assert everything({**ALL, "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}})
    assert everything({**ALL, "Condition": {"NumericLessThan": {"aws:MultiFactorAuthAge": "3600"}}})
    assert not everything({**ALL, "Action": "s3:*", "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}})


def test_a_document_that_our_parser_refuses_is_unseen_and_not_passed(account):
    odd = {**ALL, "Condition": {"StringEquls": {"aws:x": "y"}}}
    there = OnlyIam(account, UserPolicyList=[{"PolicyName": "odd", "PolicyDocument": faults.policy(odd)}])
    found = look(there, regions=HERE, checks=["administrators"])
    assert [(one.resource, one.status) for one in found.results] == [("user ada", "unseen")]
    assert "StringEquls" in found.results[0].evidence
