"""The bucket made with boto3, and changes by hand. Oracle: S3's own answers, asked without the code under test."""

import json

import pytest
from botocore.exceptions import ClientError

from course_lib.finops.aws import AwsError
from course_lib.finops.errors import FinopsError
from course_lib.finops.infrastructure import (
    CheckpointBucket,
    differences,
    look_bucket,
    look_budget,
    look_role,
    make_bucket,
    plan_bucket,
)

BUCKET = CheckpointBucket("bert-checkpoints", "ada@example.org", "bert")
ME = "123456789012"


def test_a_plan_changes_nothing_and_the_bucket_is_closed_encrypted_and_forgets(account):
    s3 = account.client("s3")
    assert plan_bucket(BUCKET)[0] == ("create_bucket", {"Bucket": "bert-checkpoints"})
    assert s3.list_buckets()["Buckets"] == []
    make_bucket(account, BUCKET)
    block = s3.get_public_access_block(Bucket=BUCKET.name)["PublicAccessBlockConfiguration"]
    assert len(block) == 4
    assert all(block.values())
    rules = s3.get_bucket_encryption(Bucket=BUCKET.name)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    life = {rule["ID"]: rule for rule in s3.get_bucket_lifecycle_configuration(Bucket=BUCKET.name)["Rules"]}
    assert life["old-checkpoints"]["Expiration"] == {"Days": 30}
    assert life["leftovers"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert s3.get_bucket_versioning(Bucket=BUCKET.name)["Status"] == "Enabled"
    policy = json.loads(s3.get_bucket_policy(Bucket=BUCKET.name)["Policy"])
    assert policy["Statement"][0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_elsewhere_the_bucket_is_where_it_was_asked_for(account):
    make_bucket(account, CheckpointBucket("west", "ada@example.org", "bert", region="us-west-2"))
    assert account.client("s3").get_bucket_location(Bucket="west")["LocationConstraint"] == "us-west-2"


def test_each_change_by_hand_is_seen_and_asking_again_mends_it(account):
    make_bucket(account, BUCKET)
    before, s3 = look_bucket(account, BUCKET.name), account.client("s3")
    changes = {
        "bucket lifecycle": lambda: s3.delete_bucket_lifecycle(Bucket=BUCKET.name),
        "bucket public access": lambda: s3.delete_public_access_block(Bucket=BUCKET.name),
        "bucket policy": lambda: s3.delete_bucket_policy(Bucket=BUCKET.name),
        "bucket tags": lambda: s3.delete_bucket_tagging(Bucket=BUCKET.name),
        "bucket encryption": lambda: s3.delete_bucket_encryption(Bucket=BUCKET.name),
        "bucket versions": lambda: s3.put_bucket_versioning(
            Bucket=BUCKET.name, VersioningConfiguration={"Status": "Suspended"}
        ),
    }
    for name, change in changes.items():
        change()
        assert [line.partition(":")[0] for line in differences(before, look_bucket(account, BUCKET.name))] == [name]
        make_bucket(account, BUCKET, adopt=name == "bucket tags")
        assert differences(before, look_bucket(account, BUCKET.name)) == []


@pytest.mark.parametrize("tags", [{}, {"team": "vision"}], ids=["untagged", "tagged"])
def test_a_bucket_that_was_there_keeps_what_it_has_unless_it_is_asked_for(account, tags):
    """Its new lifecycle would delete what it holds under checkpoints/."""
    s3 = account.client("s3")
    s3.create_bucket(Bucket=BUCKET.name)
    s3.put_object(Bucket=BUCKET.name, Key="checkpoints/of-a-year", Body=b"42")
    if tags:
        s3.put_bucket_tagging(Bucket=BUCKET.name, Tagging={"TagSet": [{"Key": "team", "Value": "vision"}]})
    before = look_bucket(account, BUCKET.name)
    with pytest.raises(FinopsError, match=r"name='bert-checkpoints'.*did not make.*Remedy: .*adopt=True"):
        make_bucket(account, BUCKET)
    assert look_bucket(account, BUCKET.name) == before
    make_bucket(account, BUCKET, adopt=True)
    assert look_bucket(account, BUCKET.name)["bucket tags"]["project"] == "bert"


def test_a_bucket_in_another_region_is_left_alone(account):
    make_bucket(account, BUCKET)
    before = look_bucket(account, BUCKET.name)
    elsewhere = CheckpointBucket("bert-checkpoints", "ada@example.org", "bert", region="eu-west-1", checkpoint_days=1)
    with pytest.raises(FinopsError, match=r"region='eu-west-1' is not where bert-checkpoints is, us-east-1.*Remedy: "):
        make_bucket(account, elsewhere)
    assert look_bucket(account, BUCKET.name) == before


def test_a_new_bucket_that_can_not_be_tagged_is_gone_again(account, monkeypatch):
    s3 = account.client("s3")
    denied = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutBucketTagging")

    def refuse(**_):
        raise denied

    monkeypatch.setattr(account.client("s3", region="us-east-1"), "put_bucket_tagging", refuse)
    with pytest.raises(AwsError, match=r"put_bucket_tagging on bert-checkpoints: AccessDenied.*Remedy: "):
        make_bucket(account, BUCKET)
    assert s3.list_buckets()["Buckets"] == []


def test_roles_and_budgets_show_what_was_added_to_them(account):
    iam, budgets = account.client("iam"), account.client("budgets")
    trust = {"Version": "2012-10-17", "Statement": []}
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(trust))
    budget = {"BudgetName": "b", "BudgetType": "COST", "TimeUnit": "MONTHLY"}
    limit = {"BudgetLimit": {"Amount": "5", "Unit": "USD"}}
    budgets.create_budget(AccountId=ME, Budget={**budget, **limit})
    before = {**look_role(account, "r"), **look_budget(account, "b")}
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_role_policy(RoleName="r", PolicyName="more", PolicyDocument=json.dumps(allow))
    budgets.update_budget(AccountId=ME, NewBudget={**budget, "BudgetLimit": {"Amount": "50", "Unit": "USD"}})
    after = {**look_role(account, "r"), **look_budget(account, "b")}
    told = differences(before, after)
    assert 'budget limit: "5.00 USD" -> "50.00 USD"' in told
    assert any(line.startswith("role r policy more: null -> ") for line in told)
    assert len(told) == 2
    assert look_role(account, "nobody") == {"role nobody": None}
    assert look_budget(account, "nothing") == {"budget": None}


@pytest.mark.parametrize(
    "given",
    [{"name": "Bert_1"}, {"owner": "ada"}, {"project": "B"}, {"checkpoint_days": 0}],
    ids=lambda given: next(iter(given)),
)
def test_what_the_terraform_module_refuses_is_refused(given):
    with pytest.raises(FinopsError, match=rf"{next(iter(given))}=.*"):
        CheckpointBucket(**{"name": "bert", "owner": "ada@example.org", "project": "bert", **given})
