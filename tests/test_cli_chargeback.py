"""`course finops chargeback` and `recommend`. Oracle: sums by hand, JSON as the json module reads it, AWS's behaviour
behind a practice account over HTTP."""

import json
from datetime import timedelta

import pytest
from click.testing import CliRunner

from course_lib.catalog import instance
from course_lib.cli import main
from course_lib.finops.cloud import PracticeAccount
from course_lib.finops.focus import apply_export, make_focus, plan_export, write_focus
from tests.finops.conftest import START
from tests.finops.focus.charges import charge


@pytest.fixture
def course():
    return lambda *words: CliRunner().invoke(main, ["finops", *words])


@pytest.fixture
def bill(tmp_path):
    path = tmp_path / "bill.csv.gz"
    rows = [charge(10, "bert"), charge(30, "llama"), charge(8, "platform"), charge(2), charge("-4", category="Credit")]
    write_focus(make_focus(rows), path)
    return str(path)


def test_the_table_adds_up(course, bill):
    shown = course("chargeback", "--file", bill, "--shared", "platform=even")
    assert shown.exit_code == 0, shown.output
    assert "44.16 allocated + 0.00 idle + 1.84 unallocated + 0.00 left of credits = 46.00 USD." in shown.output


def test_json_holds_the_same_figures(course, bill):
    shown = course("chargeback", "--file", bill, "--json", "--month", "2026-12", "--shared", "platform=bert:3,llama:1")
    told = json.loads(shown.output)
    assert told["bill"] == 46.0
    assert {one["name"]: one["shared"] for one in told["shares"]} == {"llama": 2.0, "bert": 6.0, "__untagged__": 0.0}
    assert sum(one["total"] for one in told["shares"]) == pytest.approx(46)


def test_a_statement_is_markdown(course, bill):
    shown = course("chargeback", "--file", bill, "--statement", "llama")
    assert shown.output.startswith("**project: llama**, 2026-12: 27.60 USD, shown")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "--file and --bucket: neither is given"),
        (["--file", "none.csv"], "can't be read"),
        (["--file", "BILL", "--month", "2025-01"], "has no rows; there are: 2026-12"),
        (["--file", "BILL", "--share-idle", "fair"], "is no way to split"),
        (["--file", "BILL", "--shared", "platform=bert:x"], "write even, proportional, or bert:2,llama:1"),
        (["--file", "BILL", "--statement", "gpt"], "has no charges"),
    ],
)
def test_mistakes_are_one_line(course, bill, words, told):
    shown = course("chargeback", *(bill if word == "BILL" else word for word in words))
    assert shown.exit_code == 1
    assert told in shown.output
    assert len(shown.output.strip().splitlines()) == 1


def test_both_commands_read_an_account(course, monkeypatch, tmp_path):
    with PracticeAccount(start=START) as account:
        for name, value in {
            "AWS_ENDPOINT_URL": account.url,
            "AWS_ACCESS_KEY_ID": "practice",
            "AWS_SECRET_ACCESS_KEY": "practice",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": str(tmp_path / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        apply_export(account, plan_export(account, "bills"))
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "owner", "Value": "ada"}]}]
        asked = {"ImageId": "ami-12c6146b", "InstanceType": "trn1.32xlarge", "MinCount": 1, "MaxCount": 1}
        account.client("ec2").run_instances(**asked, TagSpecifications=tags)
        account.client("ec2").allocate_address()
        account.advance(timedelta(days=1, hours=1))
        told = json.loads(course("chargeback", "--bucket", "bills", "--by", "owner", "--json").output)
        paid = {one["name"]: one["total"] for one in told["shares"]}
        assert paid == {"ada": instance("trn1.32xlarge").usd_per_hour() * 16, "__untagged__": 0.08}
        shown = course("recommend", "--region", "us-east-1", "--commands")
        assert shown.exit_code == 0, shown.output
        assert "aws ec2 release-address" in shown.output
        assert "no utilization in CloudWatch: i-" in shown.output
        assert "Nothing was changed." in shown.output
        account.inject("denied", "ec2.DescribeAddresses")
        refused = course("recommend", "--region", "us-east-1", "--json")
        assert refused.exit_code == 1
        assert json.loads(refused.output)["unseen"]["us-east-1"].startswith("listing addresses in us-east-1")


@pytest.mark.parametrize("command", ["chargeback", "recommend"])
def test_help_has_examples(course, command):
    shown = course(command, "--help")
    assert "Example: course finops " + command in shown.output
