"""`course finops export`, from nothing to a bill that can be divided. Oracle: boto3's own view of the account.

The command finds the account by the environment alone, as it finds a real one.
"""

import json
from datetime import timedelta

import pytest
from click.testing import CliRunner

from course_lib.cli import main
from course_lib.finops.aws import practice_environment
from tests.finops.conftest import account, running  # noqa: F401 - the account's fixtures


@pytest.fixture
def course(account, monkeypatch):  # noqa: F811
    for name, value in practice_environment(account.url).items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return lambda *words: CliRunner().invoke(main, ["finops", *words])


def test_from_an_account_without_an_export_to_a_bill_by_owner(account, course):  # noqa: F811
    s3 = account.client("s3")
    shown = course("export", "bills")
    assert shown.exit_code == 0, shown.output
    assert "create bucket\n" in shown.output
    assert "Nothing was changed" in shown.output
    assert s3.list_buckets()["Buckets"] == []
    made = course("export", "bills", "--tag", "owner=ada@example.org", "--apply")
    assert made.exit_code == 0, made.output
    told = {tag["Key"]: tag["Value"] for tag in s3.get_bucket_tagging(Bucket="bills")["TagSet"]}
    assert told == {"purpose": "bill-export", "owner": "ada@example.org"}
    account.client("ec2").run_instances(
        ImageId="ami-12c6146b",
        InstanceType="trn1.2xlarge",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "owner", "Value": "ada"}]}],
    )
    account.advance(timedelta(days=1, hours=1))
    again = course("export", "bills", "--apply")
    assert "nothing to do" in again.output
    read = again.output.splitlines()[-1].partition("course finops ")[2].split()
    assert read == ["chargeback", "--bucket", "bills", "--prefix", "billing"]
    shares = json.loads(course(*read, "--by", "owner", "--json").output)["shares"]
    assert [one["name"] for one in shares if one["total"] > 0] == ["ada"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("bills", "--tag", "owner"), "--tag='owner' is no KEY=VALUE"),
        (("bills", "--region", "mars-1"), "region='mars-1' is none of"),
        (("Bills_of_ada",), "bucket='Bills_of_ada' is no name for a bucket"),
    ],
)
def test_mistakes_are_one_line_and_make_nothing(account, course, words, told):  # noqa: F811
    shown = course("export", *words, "--apply")
    assert shown.exit_code == 1
    assert told in shown.output
    assert "Remedy: " in shown.output
    assert len(shown.output.strip().splitlines()) == 1
    assert account.client("s3").list_buckets()["Buckets"] == []


def test_a_bucket_that_can_not_be_tagged_is_gone_again(account, course):  # noqa: F811
    account.inject("denied", "s3.PutBucketTagging")
    shown = course("export", "bills", "--apply")
    assert shown.exit_code == 1
    assert "put_bucket_tagging on bills: AccessDenied" in shown.output
    assert account.client("s3").list_buckets()["Buckets"] == []


def test_json_names_the_steps(course):
    told = json.loads(course("export", "bills", "--rows", "hourly", "--json").output)
    assert told == {
        "bucket": "bills",
        "name": "focus",
        "steps": ["bucket", "public access block", "bucket policy", "export"],
        "applied": False,
        "arn": "",
    }
