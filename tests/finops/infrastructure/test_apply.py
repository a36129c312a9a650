"""Terraform against the practice account. Oracles: what boto3 reads back, and the boto3 code that makes the same.

One apply serves all tests of this module: it takes a minute, most of which the provider spends waiting for the bucket's
lifecycle rules to settle.
"""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from course_lib.finops.cloud import PracticeAccount
from course_lib.finops.ephemeral import LaunchRequest, Lease, launch
from course_lib.finops.guardrails import Alert, Budget, Guardrails, Stop, plan_guardrails
from course_lib.finops.infrastructure import (
    MODULES,
    CheckpointBucket,
    differences,
    look_bucket,
    look_instance,
    look_role,
    make_bucket,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ME = "123456789012"
OWNER = "ada@example.org"


@pytest.fixture(scope="module")
def account():
    # Terraform's clock is this machine's, so the account's must be, too.
    with PracticeAccount(start=datetime.now(UTC)) as running:
        yield running


@pytest.fixture(scope="module")
def image(account):
    ec2 = account.client("ec2")
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=30)["VolumeId"]
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    ec2.delete_volume(VolumeId=volume)
    disk = {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 30, "SnapshotId": snapshot}}
    return ec2.register_image(Name="lab", RootDeviceName="/dev/xvda", BlockDeviceMappings=[disk])["ImageId"]


@pytest.fixture(scope="module")
def applied(terraform, account, image):
    """What terraform apply made, and a way to run terraform there again."""
    more = {"AWS_ENDPOINT_URL": account.url, "TF_VAR_image_id": image}
    terraform.init("root")
    terraform.run("root", "apply", "-auto-approve", "-input=false", **more)

    def again(*arguments, good=(0,)):
        return terraform.run("root", *arguments, "-input=false", good=good, **more)

    again.outputs = terraform.outputs("root")
    return again


@pytest.fixture(scope="module")
def wanted():
    topic = f"arn:aws:sns:us-east-1:{ME}:guardrail-budget-bert"
    alerts = [Alert(percent, (OWNER, topic)) for percent in (50, 80, 100)]
    budget = Budget(
        "bert",
        100.0,
        {"project": "bert"},
        alerts=(*alerts, Alert(100, (OWNER, topic), "forecasted")),
        stops=(Stop(100, (topic,), roles=("course-researcher",)),),
    )
    return Guardrails(("us-east-1",), ("trn1.2xlarge",), (budget,))


def planned(text):
    """What a plan would do, by resource. The practice account keeps no tags of budget actions, so that is left out."""
    found = dict(re.findall(r"^  # (\S+) will be (\w+)", text, re.MULTILINE))
    return {name: what for name, what in found.items() if not name.endswith("aws_budgets_budget_action.stop[0]")}


def test_the_plan_in_the_book_is_terraforms(terraform, account):
    """If not: what the assertion shows on the left belongs into modules/aws/lab-box/plan.txt."""
    given = {
        "owner": "ada@example.org",
        "project": "bert",
        "ttl_hours": "4",
        "budget_usd": "10",
        "usd_per_hour": "1.34375",
        "starts_at": "2126-12-01T08:00:00Z",
        "instance_type": "trn1.2xlarge",
        "image_id": "ami-0123456789abcdef0",
        "subnet_id": "subnet-0123456789abcdef0",
        "security_group_ids": '["sg-0123456789abcdef0"]',
        "scheduler_role_arn": "arn:aws:iam::000000000000:role/ends-leases",
    }
    terraform.init("aws/lab-box")
    variables = [f"-var={name}={value}" for name, value in given.items()]
    more = {"AWS_ENDPOINT_URL": account.url, "AWS_REGION": "us-east-1"}
    told = terraform.run("aws/lab-box", "plan", "-input=false", *variables, **more).stdout
    start, end = told.index("Terraform will perform"), told.index("\n\nChanges to Outputs")
    told = re.sub(r'(\+ input  = )"[^"]*"', r'\1"(the time of the plan)"', told[start:end])
    assert told + "\n" == (MODULES / "aws/lab-box/plan.txt").read_text()


def test_the_guardrails_made_with_boto3_have_nothing_left_to_do(applied, account, wanted):
    plan = plan_guardrails(account, wanted)
    assert [str(line) for line in plan.lines if line.change != "nothing"] == []
    assert len(plan.lines) > 20


def test_the_bucket_is_the_one_that_boto3_makes(applied, account):
    make_bucket(account, CheckpointBucket("twin-checkpoints", OWNER, "bert"))
    ours, theirs = look_bucket(account, "bert-checkpoints"), look_bucket(account, "twin-checkpoints")
    as_text = json.dumps(theirs).replace("twin-checkpoints", "bert-checkpoints")
    assert differences(ours, json.loads(as_text)) == []
    assert len(ours["bucket lifecycle"]) == 2
    account.client("s3").delete_bucket(Bucket="twin-checkpoints")


def test_the_box_is_the_one_that_boto3_launches(applied, account, image):
    end = datetime.fromisoformat(applied.outputs["expires_at"])
    lease = Lease(OWNER, "bert", end)
    request = LaunchRequest("trn1.2xlarge", "us-east-1", image, lease, 10.0, f"arn:aws:iam::{ME}:role/ends-leases")
    twin = launch(account, request).instances[0]
    ours = look_instance(account, applied.outputs["instance"], "us-east-1")
    assert differences(ours, look_instance(account, twin, "us-east-1")) == []
    assert ours["instance powers off to"] == "terminate"
    volumes = account.client("ec2").describe_volumes(
        Filters=[{"Name": "attachment.instance-id", "Values": [applied.outputs["instance"]]}]
    )["Volumes"]
    assert [one["Encrypted"] for one in volumes] == [True]
    assert {tag["Key"] for tag in volumes[0]["Tags"]} == {"owner", "project", "expires-at"}
    account.client("ec2").terminate_instances(InstanceIds=[twin])
    account.client("scheduler").delete_schedule(Name=f"lease-{twin}", GroupName="ephemeral")


def test_the_researcher_role_is_bound(applied, account):
    facts = look_role(account, "course-researcher")
    assert sorted(name for name in facts if " policy " in name) == [
        "role course-researcher policy guardrail-costs",
        "role course-researcher policy guardrail-launcher",
    ]
    assert facts["role course-researcher boundary"]["Statement"][0]["Sid"] == "Services"
    trust = facts["role course-researcher trusts"]["Statement"][0]
    assert trust["Condition"]["StringEquals"] == {"aws:RequestTag/owner": "${aws:PrincipalTag/owner}"}


def test_no_nat_gateway_and_no_open_port(applied, account):
    ec2 = account.client("ec2")
    assert ec2.describe_nat_gateways()["NatGateways"] == []
    assert [one["VpcEndpointType"] for one in ec2.describe_vpc_endpoints()["VpcEndpoints"]] == ["Gateway"]
    groups = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["bert-work"]}])["SecurityGroups"]
    assert [one["IpPermissions"] for one in groups] == [[]]


def test_changes_by_hand_show_in_the_plan_and_are_mended(applied, account):
    assert planned(applied("plan").stdout) == {}
    bucket_before = look_bucket(account, "bert-checkpoints")
    s3, budgets = account.client("s3"), account.client("budgets")
    s3.delete_public_access_block(Bucket="bert-checkpoints")
    # A policy beside those that the code names: the plan does not see it, `look_role` does.
    role_before, iam = look_role(account, "course-researcher"), account.client("iam")
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_role_policy(RoleName="course-researcher", PolicyName="more", PolicyDocument=json.dumps(allow))
    told = budgets.describe_budget(AccountId=ME, BudgetName="bert")["Budget"]
    told = {key: told[key] for key in ("BudgetName", "BudgetType", "TimeUnit", "CostFilters")}
    raised = {**told, "BudgetLimit": {"Amount": "100000", "Unit": "USD"}}
    budgets.update_budget(AccountId=ME, NewBudget=raised)

    assert planned(applied("plan").stdout) == {
        "module.account.module.storage.aws_s3_bucket_public_access_block.this": "created",
        "module.account.module.budget.aws_budgets_budget.month": "updated",
    }
    found = differences(bucket_before, look_bucket(account, "bert-checkpoints"))
    assert [line.split(":")[0] for line in found] == ["bucket public access"]

    added = differences(role_before, look_role(account, "course-researcher"))
    assert [line.partition(":")[0] for line in added] == ["role course-researcher policy more"]
    iam.delete_role_policy(RoleName="course-researcher", PolicyName="more")

    applied("apply", "-auto-approve")
    mended = budgets.describe_budget(AccountId=ME, BudgetName=told["BudgetName"])["Budget"]
    assert float(mended["BudgetLimit"]["Amount"]) == 100
    assert look_bucket(account, "bert-checkpoints") == bucket_before


def test_the_box_is_gone_when_its_lease_ends(applied, account):
    account.advance(timedelta(hours=4, minutes=5))
    facts = look_instance(account, applied.outputs["instance"], "us-east-1")
    assert facts["instance state"] == "terminated"


def test_destroy_leaves_nothing(applied, account):
    applied("destroy", "-auto-approve")
    iam, ec2 = account.client("iam"), account.client("ec2")
    assert account.client("s3").list_buckets()["Buckets"] == []
    assert [one["RoleName"] for one in iam.list_roles()["Roles"]] == []
    assert iam.list_policies(Scope="Local")["Policies"] == []
    assert account.client("budgets").describe_budgets(AccountId=ME).get("Budgets", []) == []
    assert account.client("sns").list_topics()["Topics"] == []
    assert account.client("scheduler").list_schedules()["Schedules"] == []
    assert [one for one in ec2.describe_vpcs()["Vpcs"] if not one["IsDefault"]] == []
    states = [one["State"]["Name"] for found in ec2.describe_instances()["Reservations"] for one in found["Instances"]]
    assert set(states) <= {"terminated"}
