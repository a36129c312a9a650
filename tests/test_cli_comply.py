"""`course finops comply` and `course finops checklist`. Oracle: boto3's own view of a running practice account.

The commands find the account by the environment alone, as they find a real one.
"""

import json

import pytest
from click.testing import CliRunner

from course_lib.cli import main
from course_lib.finops.compliance import NO_ATTESTATION
from tests.finops.conftest import account, running  # noqa: F401 - the account's fixtures

HERE = ("--region", "us-east-1")


@pytest.fixture
def course(account, monkeypatch, tmp_path):  # noqa: F811
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
    return lambda *words: CliRunner().invoke(main, ["finops", *words])


def test_comply_names_what_fails_and_is_content_when_it_is_mended(account, course, tmp_path):  # noqa: F811
    s3 = account.client("s3")
    s3.create_bucket(Bucket="records")
    report = tmp_path / "report.md"
    only = ("--check", "bucket-private", "--check", "bucket-place", "--allowed", "us-east-1")
    found = course("comply", *HERE, *only, "--report", str(report))
    assert found.exit_code == 1
    assert "records" in found.output
    assert "1 failed, 0 not seen, 1 passed." in found.output
    assert NO_ATTESTATION in found.output
    assert NO_ATTESTATION in report.read_text()
    flags = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    s3.put_public_access_block(Bucket="records", PublicAccessBlockConfiguration=dict.fromkeys(flags, True))
    assert course("comply", *HERE, *only).exit_code == 0


def test_what_is_the_same_in_every_region_is_one_row(account, course):  # noqa: F811
    account.client("ec2").enable_ebs_encryption_by_default()
    found = course("comply", "--check", "ebs-default")
    assert found.output.count("EbsEncryptionByDefault is false") == 1
    assert "and 15 more" in found.output  # of 18 regions, one is encrypted and two are named
    assert "17 failed, 0 not seen, 1 passed." in found.output
    assert "--json and --report name each" in found.output
    assert "one row here" not in course("comply", *HERE, "--check", "bucket-tls").output


def test_comply_tells_other_programs_everything(account, course):  # noqa: F811
    account.inject("denied", "ec2.GetEbsEncryptionByDefault")
    found = course("comply", *HERE, "--check", "ebs-default", "--json")
    assert found.exit_code == 1
    told = json.loads(found.output)
    assert [one["status"] for one in told["results"]] == ["unseen"]
    assert told["notice"] == NO_ATTESTATION


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--check", "lawyer"), "checks='lawyer' is no check"),
        (("--log-days", "400", "365"), "has its bounds the wrong way round"),
        (("--key-days", "0"), "must be a whole number of at least 1"),
        (("--open-port", "70000"), "is no TCP port"),
    ],
)
def test_comply_refuses_limits_that_make_no_sense_in_one_line(course, options, words):
    found = course("comply", *options)
    assert found.exit_code == 1
    assert words in found.output
    assert len(found.output.strip().splitlines()) == 1


def test_checklist_shows_each_item_with_what_to_do(account, course):  # noqa: F811
    account.set_quota("L-2C3B7624", 0)
    found = course("checklist", *HERE)
    assert found.exit_code == 1
    assert "[x] The root user has no access keys" in found.output
    assert "[ ] The quota suffices" in found.output
    assert "course finops guard quota trn1.2xlarge 1 --region us-east-1 --apply" in found.output
    assert "Only you can tick these:" in found.output
    told = json.loads(course("checklist", *HERE, "--json").output)
    assert not told["complete"]
    assert {row["item"]: row["state"] for row in told["items"]}["quota"] == "missing"


def test_checklist_refuses_what_is_no_instance_type(course):
    found = course("checklist", "--type", "large")
    assert found.exit_code == 1
    assert "is no instance type" in found.output


@pytest.mark.parametrize("command", ["comply", "checklist"])
def test_help_has_an_example(course, command):
    found = course(command, "--help")
    assert found.exit_code == 0
    assert f"Example: course finops {command}" in found.output
