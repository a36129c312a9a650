"""`course finops dashboard`. Oracle: the file and the bucket afterwards, read without this course's code."""

from datetime import UTC, datetime, timedelta

import pytest
from bs4 import BeautifulSoup
from click.testing import CliRunner

from course_lib.catalog import instance
from course_lib.cli import main
from course_lib.finops.cloud import PracticeAccount

ONE = ("--region", "us-east-1")


@pytest.fixture(scope="module")
def account():
    with PracticeAccount(start=datetime(2026, 12, 1, 8, tzinfo=UTC)) as running:
        running.client("s3").create_bucket(Bucket="pages")
        running.client("ec2").run_instances(ImageId="ami-12c6146b", InstanceType="trn1.2xlarge", MinCount=1, MaxCount=1)
        running.advance(timedelta(days=2))
        yield running


@pytest.fixture
def course(account, monkeypatch, tmp_path):
    for name, value in {
        "AWS_ENDPOINT_URL": account.url,
        "AWS_ACCESS_KEY_ID": "practice",
        "AWS_SECRET_ACCESS_KEY": "practice",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return lambda *words: CliRunner().invoke(main, ["finops", "dashboard", *words])


def test_write_makes_one_file(course, tmp_path):
    path = tmp_path / "spend.html"
    told = course("write", str(path), "--title", "Money <b>", *ONE)
    assert told.exit_code == 0, told.output
    assert "Cost Explorer was asked 4 times: 0.04 USD." in told.output
    page = BeautifulSoup(path.read_text(), "html.parser")
    assert page.h1.get_text() == page.title.get_text() == "Money <b>"
    assert f"{instance('trn1.2xlarge').usd_per_hour():.2f} USD/h" in page.get_text()
    assert [one.name for one in tmp_path.iterdir()] == ["spend.html"]


def test_publish_plans_first(account, course):
    s3 = account.client("s3")
    told = course("publish", "pages", "--prefix", "spend", *ONE)
    assert told.exit_code == 0, told.output
    assert "create s3://pages/spend/index.html" in told.output
    assert "Nothing was changed. To do it, add --apply." in told.output
    assert s3.list_objects_v2(Bucket="pages")["KeyCount"] == 0
    told = course("publish", "pages", "--prefix", "spend", "--apply", *ONE)
    assert "Written: spend/2026/12/03/" in told.output
    assert s3.head_object(Bucket="pages", Key="spend/index.html")["ContentType"] == "text/html; charset=utf-8"


def test_a_part_that_was_not_read_is_told_and_exits_with_1(account, course, tmp_path):
    account.inject("denied", "ce.GetCostAndUsage")
    told = course("write", str(tmp_path / "spend.html"), "--bills", "nowhere", *ONE)
    account.heal()
    assert told.exit_code == 1
    assert "not read: month: reading the bill from Cost Explorer: AccessDeniedException" in told.output
    assert "not read: chargeback: " in told.output
    assert (tmp_path / "spend.html").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("write", "/nowhere/spend.html"), "can't be written: No such file or directory"),
        (("write", "spend.html", "--days", "3"), "days=3 must be"),
        (("publish", "missing", *ONE), "looking at bucket missing"),
    ],
)
def test_mistakes_are_one_line(course, words, said):
    told = course(*words)
    assert told.exit_code == 1
    assert said in told.output
    assert len(told.output.strip().splitlines()) == 1


@pytest.mark.parametrize("command", ["write", "publish"])
def test_help_has_examples(course, command):
    assert f"Example: course finops dashboard {command}" in course(command, "--help").output
