"""`course finops`. Oracle: boto3's own view of a running practice account, found by environment alone."""

import json
import re
from datetime import timedelta

import pytest
from click.testing import CliRunner

from course_lib.cli import main

ROLE = "arn:aws:iam::123456789012:role/ends-leases"
LEASE = ("--for", "2h", "--owner", "ada", "--project", "bert", "--role", ROLE)


@pytest.fixture
def course(account, monkeypatch, tmp_path):
    """Runs `course finops ...` with nothing but the environment to find the account by."""
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
    return lambda *words, **given: CliRunner().invoke(main, ["finops", *words], **given)


def states(account):
    told = account.client("ec2").describe_instances()["Reservations"]
    return {one["InstanceId"]: one["State"]["Name"] for reservation in told for one in reservation["Instances"]}


def test_launch_shows_first_and_does_it_when_told(account, course):
    shown = course("launch", "trn1.2xlarge", "ami-12c6146b", *LEASE, "--budget", "10")
    assert shown.exit_code == 0, shown.output
    assert "1 x trn1.2xlarge (on_demand) in us-east-1 for ada" in shown.output
    assert "Nothing was changed" in shown.output
    assert states(account) == {}
    done = course("launch", "trn1.2xlarge", "ami-12c6146b", *LEASE, "--budget", "10", "--apply")
    (one,) = states(account)
    assert f"Launched: {one}" in done.output
    account.advance(timedelta(hours=3))
    assert states(account) == {one: "terminated"}


def test_a_launch_above_its_budget_is_one_line(account, course):
    refused = course("launch", "trn1.2xlarge", "ami-12c6146b", *LEASE, "--budget", "1", "--apply")
    assert refused.exit_code == 1
    assert "budget_usd=1.0 is less than the 2.69 USD" in refused.output
    assert states(account) == {}


def test_reap_shows_first_and_ends_when_told(account, course):
    tags = [{"Key": key, "Value": value} for key, value in {"owner": "ada", "project": "bert"}.items()]
    tags.append({"Key": "expires-at", "Value": (account.now() + timedelta(hours=1)).isoformat()})
    told = account.client("ec2").run_instances(
        ImageId="ami-12c6146b",
        InstanceType="trn1.2xlarge",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )
    one = told["Instances"][0]["InstanceId"]
    account.advance(timedelta(hours=2))
    shown = course("reap", "--region", "us-east-1")
    assert "1 to end, 0 failed. Nothing was changed." in shown.output
    assert states(account) == {one: "running"}
    done = json.loads(course("reap", "--region", "us-east-1", "--apply", "--json").output)
    assert [(row["instance"], row["owner"], row["action"]) for row in done["instances"]] == [(one, "ada", "terminate")]
    assert states(account) == {one: "terminated"}


def test_a_reap_that_could_not_see_a_region_fails(account, course):
    account.inject("denied", "ec2.DescribeInstances")
    result = course("reap", "--region", "us-east-1")
    assert result.exit_code == 1
    assert "not seen: us-east-1: listing instances in us-east-1: UnauthorizedOperation" in result.output


def test_an_emergency_needs_its_phrase(account, course, tmp_path):
    account.client("ec2").run_instances(ImageId="ami-12c6146b", InstanceType="p5.48xlarge", MinCount=2, MaxCount=2)
    path = str(tmp_path / "stop.json")
    planned = course("emergency", "plan", path, "--region", "us-east-1")
    assert "110.08 USD an hour to be saved" in planned.output
    assert "Nothing was changed" in planned.output
    refused = course("emergency", "apply", path, input="yes\n")
    assert refused.exit_code == 1
    assert "typed='yes' does not confirm this plan" in refused.output
    assert set(states(account).values()) == {"running"}
    done = course("emergency", "apply", path, input="end 2 instances in 123456789012\n")
    assert done.exit_code == 0, done.output
    assert "Saved: 110.08 USD an hour. 0 failed." in done.output
    assert set(states(account).values()) == {"terminated"}


def test_without_credentials_it_says_how_to_get_some(course, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    result = course("reap")
    assert result.exit_code == 1
    assert "Unable to locate credentials. Remedy: log in first (aws sso login), or practise" in result.output
    assert "Traceback" not in result.output


def test_a_wrong_region_says_so(course, monkeypatch):
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    result = course("launch", "trn1.2xlarge", "ami-12c6146b", *LEASE, "--budget", "10", "--region", "us_east_1!")
    assert result.exit_code == 1
    assert "Remedy: set AWS_DEFAULT_REGION, or give a region" in result.output


def test_retyped_with_its_end_a_launch_is_the_same_launch(account, course):
    words = ("launch", "trn1.2xlarge", "ami-12c6146b", *LEASE[2:], "--budget", "10")
    shown = course(*words, "--for", "2h")
    (end,) = re.findall(r"--until (\S+) instead of --for", shown.output)
    assert end == "2026-12-01T10:00:00Z"
    assert course(*words, "--until", end, "--apply").exit_code == 0
    account.advance(timedelta(minutes=20))
    again = course(*words, "--until", "2026-12-01T11:00:00+01:00", "--apply")  # the same moment in another zone
    (one,) = states(account)
    assert f"Launched: {one}" in again.output
    course(*words, "--for", "2h", "--apply")  # counted from now, it is another launch
    assert len(states(account)) == 2


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--for", "2h", "--until", "2026-12-01T10:00:00Z"), "are both given. Remedy: give one of the two."),
        ((), "the lease has no end. Remedy: add --for 4h, or --until"),
        (("--until", "2026-12-01T10:00:00"), "until='2026-12-01T10:00:00' names no time zone"),
        (("--until", "soon"), "until='soon' is no moment"),
        (("--until", "2026-12-01T07:00:00Z"), "is -1.00 h after AWS's time"),
        (("--until", "2027-12-01T08:00:00Z"), "is 8760.00 h after AWS's time; a lease has 0.17 h to 336.00 h"),
        (("--for", "2h", "--region", "us-esat-1"), "region='us-esat-1' is none of "),
        (
            ("--for", "2h", "--role", ROLE.replace("1234", "9999")),
            "belongs to account 999956789012, and this is account",
        ),
        (("--for", "2h", "--role", "ends-leases"), "scheduler_role='ends-leases' is no ARN such as belongs here"),
    ],
)
def test_what_a_dry_run_of_a_launch_refuses(account, course, more, said):
    found = course("launch", "trn1.2xlarge", "ami-12c6146b", *LEASE[2:], "--budget", "10", *more)
    assert found.exit_code == 1
    assert said in found.output
    assert sum(line.startswith("Error: ") for line in found.output.splitlines()) == 1
    assert "Nothing was changed" not in found.output
    assert states(account) == {}


def test_a_dry_run_asks_whether_aws_would_take_the_launch(account, course):
    words = ("launch", "trn1.2xlarge", "ami-0123456789abcdef0", *LEASE, "--budget", "10")
    assert "InvalidAMIID.NotFound: The image id '[ami-0123456789abcdef0]' does not exist" in course(*words).output
    account.inject("denied", "ec2.RunInstances")
    found = course(*words)
    assert found.exit_code == 1
    assert "trying to launch 1 x trn1.2xlarge in us-east-1: UnauthorizedOperation" in found.output
