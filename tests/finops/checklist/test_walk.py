"""The checklist. Oracle: what the test itself made in the account with boto3, step by step, and AWS's denials."""

import json
from datetime import timedelta

import pytest

from course_lib.finops.aws import AwsError
from course_lib.finops.checklist import ITEMS, walk
from course_lib.finops.errors import FinopsError
from course_lib.finops.guardrails import PlannedLaunch

HERE = ["us-east-1"]
ME = "123456789012"
TRN = "L-2C3B7624"  # Running On-Demand Trn instances
ALERT = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80.0}


def state(account, item, **options):
    (step,) = walk(account, regions=HERE, items=[item], **options).steps
    assert bool(step.remedy) == (step.state != "done")
    return step.state


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def test_the_practice_account_has_somebody_signed_in_and_a_root_user_without_keys(account):
    assert state(account, "identity") == "done"
    assert state(account, "root-keys") == "done"


class Told:
    """An account in which one call of one service answers something else than AWS's stand-in does."""

    def __init__(self, account, service, call, answer):
        self._account, self._service, self._call, self._answer = account, service, call, answer

    def client(self, service, *, region=None):
        real = self._account.client(service, region=region)
        return _Client(real, self._call, self._answer) if service == self._service else real


class _Client:
    def __init__(self, real, call, answer):
        self._real = real
        setattr(self, call, lambda **_: {**getattr(real, call)(), **answer})

    def __getattr__(self, name):
        return getattr(self._real, name)


def test_the_root_user_is_seen_by_its_arn_and_by_the_summary(account):
    """The ARN as IAM's user guide writes it, and the field of GetAccountSummary."""
    root = Told(account, "sts", "get_caller_identity", {"Arn": f"arn:aws:iam::{ME}:root"})
    assert state(root, "identity") == "missing"
    keys = Told(account, "iam", "get_account_summary", {"SummaryMap": {"AccountAccessKeysPresent": 1}})
    assert state(keys, "root-keys") == "missing"


def test_a_long_lived_key_counts_until_it_is_inactive(account):
    iam = account.client("iam")
    iam.create_user(UserName="ada")
    assert state(account, "login-keys") == "done"
    key = iam.create_access_key(UserName="ada")["AccessKey"]["AccessKeyId"]
    found = walk(account, regions=HERE, items=["login-keys"])
    assert found.steps[0].state == "missing"
    assert "ada" in found.steps[0].evidence
    assert key not in str(found)
    iam.update_access_key(UserName="ada", AccessKeyId=key, Status="Inactive")
    assert state(account, "login-keys") == "done"


def test_a_budget_counts_when_it_tells_somebody(account):
    budgets = account.client("budgets")
    assert state(account, "budget") == "missing"
    month = {"BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": {"Amount": "500", "Unit": "USD"}}
    budgets.create_budget(AccountId=ME, Budget={"BudgetName": "silent", **month})
    assert state(account, "budget") == "missing"
    to = [{"SubscriptionType": "EMAIL", "Address": "ada@example.org"}]
    below = [{"Notification": {**ALERT, "ComparisonOperator": "LESS_THAN"}, "Subscribers": to}]
    budgets.create_budget(AccountId=ME, Budget={"BudgetName": "idle", **month}, NotificationsWithSubscribers=below)
    assert state(account, "budget") == "missing"
    told = [{"Notification": ALERT, "Subscribers": to}]
    budgets.create_budget(AccountId=ME, Budget={"BudgetName": "loud", **month}, NotificationsWithSubscribers=told)
    assert state(account, "budget") == "done"


def test_a_budget_of_usage_is_none_of_money(account):
    use = {"BudgetType": "USAGE", "TimeUnit": "MONTHLY", "BudgetLimit": {"Amount": "5", "Unit": "GB"}}
    to = [{"SubscriptionType": "EMAIL", "Address": "ada@example.org"}]
    told = [{"Notification": ALERT, "Subscribers": to}]
    account.client("budgets").create_budget(
        AccountId=ME, Budget={"BudgetName": "use", **use}, NotificationsWithSubscribers=told
    )
    assert state(account, "budget") == "missing"


@pytest.mark.parametrize(("vcpus", "count", "expected"), [(0, 1, "missing"), (8, 1, "done"), (8, 2, "missing")])
def test_the_quota_must_suffice_for_the_launch(account, vcpus, count, expected):
    """A trn1.2xlarge has 8 vCPUs, by EC2's DescribeInstanceTypes."""
    account.set_quota(TRN, vcpus)
    assert state(account, "quota", launch=PlannedLaunch("trn1.2xlarge", count, "us-east-1")) == expected


def test_a_launch_policy_counts_when_it_is_attached_and_refuses_what_has_no_tags(account):
    iam = account.client("iam")
    iam.create_group(GroupName="researchers")
    wide = policy({"Effect": "Allow", "Action": "ec2:*", "Resource": "*"})
    arn = iam.create_policy(PolicyName="guardrail-researcher", PolicyDocument=wide)["Policy"]["Arn"]
    iam.attach_group_policy(GroupName="researchers", PolicyArn=arn)
    assert state(account, "launch-policy") == "missing"
    tagged = {"Effect": "Allow", "Action": "ec2:RunInstances", "Resource": "*"}
    tagged["Condition"] = {"Null": {"aws:RequestTag/expires-at": "false"}}
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy(tagged), SetAsDefault=True)
    assert state(account, "launch-policy") == "done"
    run, made = (
        {"Effect": "Allow", "Action": "ec2:RunInstances"},
        ["arn:aws:ec2:*:*:instance/*", "arn:aws:ec2:*:*:volume/*"],
    )
    owned = {**run, "Resource": made, "Condition": {"Null": {"aws:RequestTag/owner": "false"}}}
    tags = {**run, "Action": "ec2:CreateTags", "Resource": "*"}
    endless = policy(owned, {**run, "NotResource": made}, tags)
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=endless, SetAsDefault=True)
    (step,) = walk(account, regions=HERE, items=["launch-policy"]).steps
    assert (step.state, step.evidence) == ("missing", "guardrail-researcher allows a launch without an end")
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy(tagged), SetAsDefault=True)
    iam.detach_group_policy(GroupName="researchers", PolicyArn=arn)
    assert state(account, "launch-policy") == "missing"


def test_the_group_of_schedules_and_the_roles_are_asked_for_one_by_one(account):
    trust = policy({"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"})
    missing = []
    for make in (
        lambda: None,
        lambda: account.client("scheduler").create_schedule_group(Name="ephemeral"),
        lambda: account.client("iam").create_role(RoleName="ends-leases", AssumeRolePolicyDocument=trust),
        lambda: account.client("iam").create_role(RoleName="guardrail-reaper", AssumeRolePolicyDocument=trust),
    ):
        make()
        (step,) = walk(account, items=["ends"]).steps
        missing.append([name for name in ("ephemeral", "ends-leases", "reaper") if name in step.evidence])
    assert missing[:3] == [["ephemeral", "ends-leases", "reaper"], ["ends-leases", "reaper"], ["reaper"]]
    assert step.state == "done"


def test_a_bucket_counts_in_the_region_of_the_launch_and_when_it_forgets(account):
    s3 = account.client("s3")
    assert state(account, "bucket") == "missing"
    rule = {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 30}}
    place = {"LocationConstraint": "eu-west-1"}
    s3.create_bucket(Bucket="far", CreateBucketConfiguration=place)
    s3.create_bucket(Bucket="near")
    for name in ("far", "near"):
        assert state(account, "bucket") == "missing"
        s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [rule]})
    assert state(account, "bucket") == "done"
    assert state(account, "bucket", launch=PlannedLaunch("trn1.2xlarge", 1, "us-west-2")) == "missing"


def test_instances_need_a_lease_that_holds(account):
    kind = {"ImageId": "ami-12c6146b", "InstanceType": "trn1.2xlarge", "MinCount": 1, "MaxCount": 1}
    assert state(account, "leases") == "done"
    end = (account.now() + timedelta(hours=2)).isoformat()
    tags = {"owner": "ada", "project": "bert", "expires-at": end}
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    ec2 = account.client("ec2")
    ec2.run_instances(**kind, TagSpecifications=[{"ResourceType": "instance", "Tags": listed}])
    assert state(account, "leases") == "done"
    account.advance(timedelta(hours=3))
    assert state(account, "leases") == "missing"
    account.reset()
    one = ec2.run_instances(**kind)["Instances"][0]["InstanceId"]
    (step,) = walk(account, regions=HERE, items=["leases"]).steps
    assert step.state == "missing"
    assert one in step.evidence


def test_a_loose_volume_and_an_idle_address_are_leftovers(account):
    ec2 = account.client("ec2")
    assert state(account, "leftovers") == "done"
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    assert state(account, "leftovers") == "missing"
    ec2.delete_volume(VolumeId=volume)
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    assert state(account, "leftovers") == "missing"
    ec2.release_address(AllocationId=address)
    assert state(account, "leftovers") == "done"


def test_what_is_denied_is_unseen_and_the_list_is_not_complete(account):
    for service in ("iam", "budgets", "service-quotas", "scheduler", "s3", "ec2"):
        account.inject("denied", f"{service}.*")
    found = walk(account, regions=HERE)
    assert [(step.item.name, step.state) for step in found.steps] == [
        (item.name, "done" if item.name == "identity" else "unseen") for item in ITEMS
    ]
    assert not found.complete
    assert str(found).count("[?]") == len(ITEMS) - 1


def test_nothing_is_changed(account):
    """Oracle: the words with which AWS begins the names of calls that only read."""
    account.forget_records()
    walk(account, regions=HERE)
    calls = {record["operation"] for record in account.records()}
    assert {call for call in calls if not call.startswith(("Describe", "Get", "List"))} == set()


def test_an_item_that_is_not_on_the_list_is_refused(account):
    with pytest.raises(FinopsError, match=r"items='lawyer' is not on the list"):
        walk(account, items=["lawyer"])


@pytest.mark.parametrize("empty", ["regions", "items"])
def test_nothing_is_complete_where_nothing_was_looked_at(account, empty):
    with pytest.raises(FinopsError, match=rf"{empty}=\[\] is empty"):
        walk(account, **{empty: []})


def test_nobody_signed_in_is_one_line(account):
    account.inject("denied", "sts.*")
    with pytest.raises(AwsError, match=r"asking AWS whose account this is: "):
        walk(account)
