"""`course finops guard`. Oracle: boto3's own view of a running practice account, found by environment alone."""

import json

import pytest
from click.testing import CliRunner

from course_lib.cli import main
from tests.finops.conftest import account, running  # noqa: F401 - the account's fixtures

ME = "123456789012"
FILE = """
regions = ["us-east-1"]
instance_types = ["trn1.*"]
researchers = ["researchers"]

[[budget]]
name = "bert"
usd_per_month = 500
tags = {project = "bert"}

[[budget.alert]]
percent = 80
to = ["ada@example.org"]

[[budget.stop]]
percent = 100
groups = ["researchers"]
to = ["ada@example.org"]
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "guard.toml"
    path.write_text(FILE)
    return str(path)


@pytest.fixture
def course(account, monkeypatch, tmp_path):  # noqa: F811
    """Runs `course finops guard ...` with nothing but the environment to find the account by."""
    environment = {
        "AWS_ENDPOINT_URL": account.url,
        "AWS_ACCESS_KEY_ID": "practice",
        "AWS_SECRET_ACCESS_KEY": "practice",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return lambda *words, **given: CliRunner().invoke(main, ["finops", "guard", *words], **given)


def test_plan_then_apply_then_nothing_is_left(account, course, file):  # noqa: F811
    iam, budgets = account.client("iam"), account.client("budgets")
    iam.create_group(GroupName="researchers")
    planned = course("plan", file)
    assert planned.exit_code == 0, planned.output
    assert "19 to do, 0 for a person, 0 in place" in planned.output
    assert f"Nothing was changed. To do it: course finops guard apply {file}" in planned.output
    assert budgets.describe_budgets(AccountId=ME)["Budgets"] == []
    refused = course("apply", file, input="n\n")
    assert (refused.exit_code, budgets.describe_budgets(AccountId=ME)["Budgets"]) == (1, [])
    done = course("apply", file, input="y\n")
    assert done.exit_code == 0, done.output
    assert "done     create budget bert" in done.output
    assert [one["BudgetName"] for one in budgets.describe_budgets(AccountId=ME)["Budgets"]] == ["bert"]
    told = json.loads(course("plan", file, "--json").output)
    assert {line["change"] for line in told["lines"]} == {"nothing"}
    again = json.loads(course("apply", file, "--json").output)
    assert (again["done"], again["failed"], again["left"]) == ([], None, [])


def test_what_fails_and_what_needs_a_person_is_an_exit_code(account, course, file):  # noqa: F811
    planned = course("plan", file)
    assert planned.exit_code == 1
    assert "is not there: make it, and put the researchers" in planned.output
    account.inject("denied", "budgets.CreateBudget")
    failed = course("apply", file, "--yes", "--json")
    assert failed.exit_code == 1
    told = json.loads(failed.output)
    assert told["failed"]["name"] == "bert"
    assert "create budget bert: AccessDenied" in told["error"]
    assert [line["kind"] for line in told["left"]] == ["action"]


def test_a_file_that_is_wrong_is_one_line(course, tmp_path):
    path = tmp_path / "guard.toml"
    path.write_text(FILE.replace("= 500", "= -500"))
    result = course("plan", str(path))
    assert result.exit_code == 1
    assert "Error: guard.toml, budget 1: usd_per_month=-500 must be a finite number above 0" in result.output
    assert "Traceback" not in result.output


def test_the_audit_names_what_and_whom(account, course):  # noqa: F811
    assert course("audit", "--region", "us-east-1").exit_code == 0
    told = account.client("ec2").run_instances(
        ImageId="ami-12c6146b",
        InstanceType="trn1.2xlarge",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "owner", "Value": "ada"}]}],
    )
    one = told["Instances"][0]["InstanceId"]
    result = course("audit", "--region", "us-east-1", "--json")
    assert result.exit_code == 1
    found = json.loads(result.output)
    assert {(row["rule"], row["detail"]) for row in found["violations"] if row["resource"] == one} == {
        ("missing tag", "project"),
        ("missing tag", "expires-at"),
    }
    assert {row["owner"] for row in found["violations"]} == {"ada"}
    assert "1 instances and 1 volumes" in course("audit", "--region", "us-east-1").output
    assert course("audit", "--region", "us-east-1", "--tag", "owner").exit_code == 1  # the volume has none


def test_a_quota_is_asked_for_only_when_told(account, course):  # noqa: F811
    account.set_quota("L-2C3B7624", 8)
    assert course("quota", "trn1.2xlarge", "1").exit_code == 0
    short = course("quota", "trn1.32xlarge", "2")
    assert short.exit_code == 1
    assert "2 x trn1.32xlarge (on_demand) in us-east-1 lacks 248: 256 vCPUs beside 0 that run, of 8" in short.output
    assert "Nothing was asked for. To do it, add --apply." in short.output
    quotas = account.client("service-quotas")
    assert quotas.list_requested_service_quota_change_history(ServiceCode="ec2")["RequestedQuotas"] == []
    asked = json.loads(course("quota", "trn1.32xlarge", "2", "--apply", "--json").output)
    assert (asked["requested_now"], asked["short"], asked["fits"]) == (True, 248, False)
    (request,) = quotas.list_requested_service_quota_change_history(ServiceCode="ec2")["RequestedQuotas"]
    assert request["DesiredValue"] == 256
    assert "no instance type" in course("quota", "trn1", "2").output


def test_the_example_can_be_read_planned_and_applied_and_then_nothing_is_left(course, account, tmp_path):  # noqa: F811
    file = tmp_path / "guardrails.toml"
    file.write_text(course("example").output)
    account.client("iam").create_group(GroupName="researchers")
    applied = course("apply", str(file), "--yes")
    assert applied.exit_code == 0, applied.output
    told = course("plan", str(file))
    assert told.exit_code == 0, told.output
    assert told.output.startswith("account 123456789012: 0 to do, 0 for a person, ")
    assert len(told.output.strip().splitlines()) == 1


def test_what_lacks_points_to_the_example(course, tmp_path):
    empty = tmp_path / "guardrails.toml"
    empty.write_text("")
    for file in (empty, tmp_path / "none.toml"):
        assert "course finops guard example" in course("plan", str(file)).output
