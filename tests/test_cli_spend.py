"""`course finops spend`, `anomalies` and `forecast`. Oracle: the catalog's prices times hours by hand, on a running
practice account that is found by environment alone."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from course_lib.catalog import instance
from course_lib.cli import main
from course_lib.finops.cloud import PracticeAccount

TRN1, INF2 = instance("trn1.2xlarge").usd_per_hour(), instance("inf2.xlarge").usd_per_hour()
REGION = ("--region", "us-east-1")


@pytest.fixture(scope="module")
def account():
    """bert runs an inf2.xlarge for 50 days; in the last four somebody's trn1.2xlarge runs besides."""
    with PracticeAccount(start=datetime(2026, 10, 10, 0, tzinfo=UTC)) as running:
        launch(running, "inf2.xlarge", "bert", "ada")
        running.advance(timedelta(days=46))
        launch(running, "trn1.2xlarge", "gpt", "bob")
        running.advance(timedelta(days=4, hours=8))
        yield running


@pytest.fixture
def course(account, monkeypatch, tmp_path):
    return runner(account.url, monkeypatch, tmp_path)


def runner(url, monkeypatch, tmp_path):
    environment = {
        "AWS_ENDPOINT_URL": url,
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


def launch(account, name, project, owner):
    tags = [{"Key": "project", "Value": project}, {"Key": "owner", "Value": owner}]
    account.client("ec2").run_instances(
        ImageId="ami-12c6146b",
        InstanceType=name,
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )


def test_spend_says_who_spends_what_now_and_this_month(course):
    told = course("spend", *REGION)
    assert told.exit_code == 0, told.output
    assert f"{TRN1 + INF2:.2f} USD an hour for 2 instances" in told.output
    assert "calls of Cost Explorer: 1, 0.01 USD" in told.output
    found = json.loads(course("spend", "--by", "owner", *REGION, "--json").output)
    rows = {row["who"]: row for row in found["rows"]}
    assert rows["bob"]["usd_per_hour"] == pytest.approx(TRN1, abs=1e-4)
    assert rows["bob"]["usd_this_month"] == pytest.approx(96 * TRN1, abs=0.01)  # Cost Explorer is 8 hours behind
    assert rows["ada"]["usd_this_month"] == pytest.approx(28 * 24 * INF2, abs=0.01)
    assert found["usd_this_month"] == pytest.approx(96 * TRN1 + 28 * 24 * INF2, abs=0.01)


def test_spend_names_a_region_that_it_could_not_see(account, course):
    account.inject("denied", "ec2.DescribeInstances", region="us-east-1")
    told = course("spend", *REGION)
    account.heal()
    assert told.exit_code == 1
    assert "not seen: us-east-1" in told.output
    assert "Traceback" not in told.output


def test_anomalies_are_found_told_once_and_exit_with_1(course, tmp_path):
    told = course("anomalies", "--days", "60", "--json")
    assert told.exit_code == 1, told.output
    found = json.loads(told.output)
    assert found["reading_usd"] == 0.03
    (one,) = found["anomalies"]
    assert (one["scope"], one["kind"], one["from"], one["open"]) == ("tag:project=gpt", "new", "2026-11-25", True)
    # 26 to 28 November are complete on the 29th; the first day alone has the floor of something new.
    assert one["impact_usd"] == pytest.approx(3 * 24 * TRN1, rel=0.01)
    seen = str(tmp_path / "told.json")
    assert "project=gpt" in course("anomalies", "--days", "60", "--seen", seen).output
    again = course("anomalies", "--days", "60", "--seen", seen)
    assert again.exit_code == 0
    assert "No anomalies.\nCalls of Cost Explorer: 3, 0.03 USD." in again.output
    assert course("anomalies", "--days", "60", "--floor", "500").exit_code == 1  # a new key has a floor of its own


def test_forecast_gives_months_with_intervals(course):
    told = course("forecast", "--days", "60", "--json")
    assert told.exit_code == 0, told.output
    found = json.loads(told.output)
    assert [month["month"] for month in found["months"]] == ["2026-11", "2026-12"]
    december = found["months"][1]
    assert december["usd"] == pytest.approx(31 * 24 * (TRN1 + INF2), rel=0.05)
    assert december["lower_usd"] <= december["usd"] <= december["upper_usd"]
    assert "2 days are not complete on the bill and are forecast" in found["notes"]


def test_wrong_questions_are_one_line(course):
    for words, said in (
        (("forecast", "--level", "2"), "level=2.0 must lie between 0 and 1"),
        (("anomalies", "--floor", "-1"), "floor_usd=-1.0 must be a finite number, 0 or more"),
        (("forecast", "--days", "900"), "is more than 434 days ago"),
    ):
        told = course(*words)
        assert told.exit_code == 1
        assert said in told.output
        assert "Traceback" not in told.output


def test_an_empty_account_gets_a_clear_answer(monkeypatch, tmp_path):
    with PracticeAccount(start=datetime(2026, 12, 1, 8, tzinfo=UTC)) as empty:
        course = runner(empty.url, monkeypatch, tmp_path)
        spend = course("spend", *REGION)
        anomalies = course("anomalies")
        forecast = course("forecast", "--level", "0.9")
    assert [told.exit_code for told in (spend, anomalies, forecast)] == [0, 0, 0]
    assert "0.00 USD an hour for 0 instances" in spend.output
    assert "nothing was spent" in spend.output
    assert "No anomalies: nothing was spent" in anomalies.output
    assert "90% interval" in forecast.output
    assert "nothing was spent so far, and so nothing is forecast" in forecast.output


def test_without_credentials_it_says_how_to_get_some(course, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    told = course("spend")
    assert told.exit_code == 1
    assert "Remedy: log in first (aws sso login), or practise with `course cloud up`" in told.output


def test_a_project_whose_prices_nobody_knows_does_not_run_for_nothing(account, course):
    launch(account, "t3.micro", "cron", "eve")
    told = course("spend", *REGION)
    assert told.exit_code == 0, told.output
    assert [line.split()[1:5] for line in told.output.splitlines() if "cron" in line] == [["cron", "│", "unknown", "│"]]
    assert "Not in the sum, since nobody knows the price: t3.micro." in told.output
    rows = {row["who"]: row for row in json.loads(course("spend", *REGION, "--json").output)["rows"]}
    assert rows["cron"]["usd_per_hour"] is None
    assert rows["gpt"]["usd_per_hour"] == pytest.approx(TRN1, abs=1e-4)
