"""`course cost`. Oracle: amounts by hand with Decimal, and a practice account found by environment."""

import csv
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from click.testing import CliRunner

from course_lib.cli import main
from course_lib.finops.cloud import PracticeAccount


def course(*words):
    return CliRunner().invoke(main, ["cost", *words])


def told(*words):
    result = course(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


@pytest.fixture(scope="module")
def running():
    with PracticeAccount(start=datetime(2026, 12, 1, 8, tzinfo=UTC)) as account:
        yield account


@pytest.fixture
def account(running, monkeypatch, tmp_path):
    """Nothing but the environment to find the account by."""
    running.reset()
    running.heal()
    environment = {
        "AWS_ENDPOINT_URL": running.url,
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
    return running


@pytest.mark.parametrize(
    "words",
    [
        ("llama3-8b", "1e12", "p5.48xlarge"),
        ("estimate", "llama3-8b", "1e12", "p5.48xlarge"),
        ("--mfu", "0.4", "llama3-8b", "1e12", "p5.48xlarge"),
    ],
)
def test_a_model_may_stand_first(words):
    (bill,) = told(*words)
    assert bill["usd"] == pytest.approx(6 * 8_030_261_248 * 1e12 / (8 * 0.4 * 989e12) / 3600 * 55.04)


def test_nothing_or_a_single_word_is_a_usage_error():
    assert course().exit_code == 2
    assert "Missing argument 'TOKENS'" in course("llama3-8b").output


@pytest.mark.parametrize(
    "words",
    [("estimate",), ("explain",), ("compare",), ("refresh",), ("break-even",)]
    + [("break-even", one) for one in ("spot", "commitment", "block", "night")],
)
def test_every_command_has_help_with_an_example(words):
    result = course(*words, "--help")
    assert result.exit_code == 0
    assert "course cost" in result.output.partition("Example")[2]


EXPLAIN = ("explain", "llama3-8b", "1e11", "p5.48xlarge", "--instances", "16")


def test_a_bill_in_parts_by_hand():
    bill = told(*EXPLAIN, "--idle-hours", "12", "--storage", "ebs-gp3:500:72", "--rate", "ebs-gp3=0.1")
    lines = {line["part"]: Decimal(line["usd"]) for line in bill["lines"]}
    hours = 6 * 8_030_261_248 * 1e11 / (16 * 8 * 0.4 * 989e12) / 3600 * 16
    assert float(lines["compute, useful"]) == pytest.approx(hours * 55.04, abs=0.01)
    assert lines["compute, idle"] == 12 * 16 * Decimal("55.04")
    assert lines["storage"] == 5
    assert sum(lines.values()) == Decimal(bill["usd"])
    assert bill["complete"]


def test_a_run_that_is_over_pays_for_what_it_did_not_do():
    given = ("--allocated-hours", "40", "--checkpoint-hours", "2", "--lost-hours", "3")
    lines = {line["part"]: Decimal(line["usd"]) for line in told(*EXPLAIN, *given)["lines"]}
    per_hour = 16 * Decimal("55.04")
    assert sum(lines.values()) == 40 * per_hour
    assert abs(lines["compute, lost to failures and restarts"] - 3 * per_hour) <= Decimal("0.01")
    assert abs(lines["compute, writing checkpoints"] - 2 * per_hour) <= Decimal("0.01")
    useful = 6 * 8_030_261_248 * 1e11 / (16 * 8 * 0.4 * 989e12) / 3600
    assert float(lines["compute, idle"]) == pytest.approx((35 - useful) * float(per_hour), abs=0.02)


def test_a_volume_has_the_catalogs_price_in_us_east_1_only():
    line = told(*EXPLAIN, "--storage", "ebs-gp3:1000:720")["lines"][-1]
    assert (line["usd"], line["date"]) == ("80.00", "2026-10-16")
    elsewhere = ("--usd-per-hour", "60", "--region", "eu-west-1", "--storage", "ebs-gp3:1000:720")
    assert told(*EXPLAIN, *elsewhere)["lines"][-1]["usd"] is None


def test_failures_by_rate_and_by_mean_time_are_the_same():
    """16 nodes at 31.25 failures per 1,000 node-days fail every 48 hours."""
    given = ("--checkpoint-seconds", "60", "--restart-seconds", "300")
    by_time = told(*EXPLAIN, *given, "--mtbf-hours", "48")
    by_rate = told(*EXPLAIN, *given, "--failures", "31.25")
    assert by_time == by_rate
    assert all(Decimal(line["usd"]) > 0 for line in by_time["lines"][:3])


def test_an_unknown_price_is_shown_as_unknown_and_left_out():
    result = course(*EXPLAIN, "--transfer", "internet-out:100")
    assert result.exit_code == 0
    assert "unknown: ask the Price List" in " ".join(result.output.split())
    assert "without 1 part(s) of unknown price" in result.output
    assert not told(*EXPLAIN, "--transfer", "internet-out:100")["complete"]


def test_live_prices_come_from_the_account(account):
    bill = told(*EXPLAIN, "--live", "--transfer", "internet-out:100")
    assert "AWS Price List at 127.0.0.1" in bill["lines"][0]["source"]
    assert bill["lines"][-1]["usd"] is None, "the practice account lists no transfer"
    spot = told(*EXPLAIN, "--live", "--purchase", "spot", "--region", "us-west-2")
    assert "DescribeSpotPriceHistory at 127.0.0.1, us-west-2" in spot["lines"][0]["source"]


def test_a_comparison_keeps_what_has_no_price():
    rows = told("compare", "llama3-8b", "1e12", "trn2.48xlarge", "p5.48xlarge", "--region", "us-east-1")["alternatives"]
    assert [(row["instance"], row["usd"] is None) for row in rows] == [("p5.48xlarge", False), ("trn2.48xlarge", True)]
    shown = course("compare", "llama3-8b", "1e12")
    assert shown.exit_code == 0
    assert "trn3-gen2-ultraserver" in shown.output


def test_each_instance_with_its_own_mfu():
    words = ("compare", "llama3-8b", "1e12", "p5.48xlarge", "trn1.32xlarge")
    own = told(*words, "--mfu", "P5 48xlarge=0.2", "--mfu", "trn1.32xlarge=0.4")["alternatives"]
    same = told(*words, "--mfu", "0.4")["alternatives"]
    ratio = {row["instance"]: row["hours"] for row in own}
    assert ratio["p5.48xlarge"] == pytest.approx(2 * next(r["hours"] for r in same if r["instance"] == "p5.48xlarge"))


def test_break_evens_by_hand():
    words = ("p5en.48xlarge", "--mtbf-hours", "4", "--checkpoint-seconds", "120", "--restart-seconds", "600")
    assert told("break-even", "spot", *words)["highest_spot_share"] == 0.84063  # published, see test_break_evens.py
    found = told("break-even", "spot", *words, "--simulate", "100", "--runs", "1000")
    assert found["highest_spot_share_simulated"] > found["highest_spot_share"], (
        "the first hour is free when EC2 takes it"
    )
    found = told("break-even", "commitment", "p5.48xlarge", "--hourly", "27.52", "--utilisation", "1")
    assert (found["break_even_utilisation"], found["saving_usd"]) == ("0.5000", f"{27.52 * 8760:.2f}")
    found = told("break-even", "block", "p4d.24xlarge", "--days", "1", "--price", "14.75", "--used-hours", "12")
    assert (found["upfront_usd"], found["stranded_usd"], found["idle_night_usd"]) == ("354.00", "177.00", "177.00")
    found = told("break-even", "night", "p5.48xlarge", "--idle-hours", "12", "--restart-minutes", "30")
    assert (found["keep_usd"], found["stop_usd"], found["cheaper"]) == ("660.48", "27.52", "stop")


def test_a_refresh_writes_a_file_that_others_read(account, tmp_path):
    path = tmp_path / "prices.csv"
    result = course("refresh", str(path), "p5.48xlarge", "trn2.48xlarge", "--purchase", "on_demand")
    assert result.exit_code == 1, result.output
    assert "unknown: on_demand price of trn2.48xlarge in us-east-1" in result.output
    assert "1 price, 1 unknown" in result.output
    rows = {row["instance"]: row for row in csv.DictReader(path.read_text().splitlines())}
    assert (rows["p5.48xlarge"]["usd_per_hour"], rows["trn2.48xlarge"]["usd_per_hour"]) == ("55.04", "")
    path.write_text(path.read_text().replace("55.04", "50"))
    bill = told(*EXPLAIN, "--prices", str(path), "--idle-hours", "1")
    assert bill["lines"][3]["usd"] == "800.00"
    result = course("refresh", str(path), "p5.48xlarge", "--region", "us-west-2", "--json")
    assert result.exit_code == 1
    listed = [(row["purchase"], row["usd_per_hour"] is None) for row in json.loads(result.output)]
    assert listed == [("on_demand", True), ("spot", False)]


def test_a_refresh_exits_with_0_only_when_every_price_was_found(account, tmp_path):
    path = tmp_path / "prices.csv"
    assert course("refresh", str(path), "p5.48xlarge").exit_code == 0
    mine = path.read_bytes()
    result = course("refresh", str(path), "trn2.48xlarge", "--purchase", "on_demand")
    assert result.exit_code == 1
    assert f"Nothing was written to {path}: 0 prices, 1 unknown." in " ".join(result.output.split())
    assert path.read_bytes() == mine
    assert "exits with 1" in " ".join(course("refresh", "--help").output.split())


def test_blocks_are_quoted_and_never_bought(account, tmp_path):
    path = tmp_path / "blocks.csv"
    words = ("p4d.24xlarge", "--purchase", "capacity_block", "--region", "us-east-2", "--days", "7")
    result = course("refresh", str(path), *words)
    assert result.exit_code == 0, result.output
    (row,) = csv.DictReader(path.read_text().splitlines())
    assert (row["usd_per_hour"], row["purchase"]) == ("14.75", "capacity_block")
    assert "1 x 168 h from 202" in row["note"]
    assert f"{Decimal('14.75') * 168:,.2f} USD at once" in row["note"]
    bill = told(*EXPLAIN[:3], "p4d.24xlarge", "--live", "--purchase", "capacity_block", "--region", "us-east-2")
    assert "DescribeCapacityBlockOfferings at 127.0.0.1" in bill["lines"][0]["source"]
    asked = {one["operation"] for one in account.records()}
    assert "DescribeCapacityBlockOfferings" in asked
    assert not {one for one in asked if one.startswith(("Purchase", "Create", "Run"))}


def test_a_denied_refresh_leaves_the_file_alone(account, tmp_path):
    path = tmp_path / "prices.csv"
    path.write_text("mine")
    account.inject("denied", "ec2.DescribeSpotPriceHistory")
    result = course("refresh", str(path), "p5.48xlarge")
    assert result.exit_code == 1
    assert "asking for spot prices of p5.48xlarge in us-east-1: UnauthorizedOperation" in result.output
    assert path.read_text() == "mine"


def test_a_refresh_without_credentials_says_how_to_get_some(account, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    result = course("refresh", str(tmp_path / "prices.csv"), "p5.48xlarge")
    assert (result.exit_code, list(tmp_path.iterdir())) == (1, [])
    assert "Unable to locate credentials. Remedy: log in first" in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*EXPLAIN[:3], "p5.48xlrage"), "Did you mean 'p5.48xlarge'"),
        ((*EXPLAIN[:3], "trn2.48xlarge", "--region", "us-east-1"), "unknown on_demand price of 'trn2.48xlarge'"),
        ((*EXPLAIN, "--region", "mars-1"), "unknown on_demand price of 'p5.48xlarge' in mars-1"),
        ((*EXPLAIN, "--usd-per-hour", "-1"), "usd_per_hour=-1.0"),
        ((*EXPLAIN, "--mtbf-hours", "nan"), "mtbf_seconds=nan"),
        ((*EXPLAIN, "--mtbf-hours", "5", "--failures", "5"), "says the same as --mtbf-hours"),
        ((*EXPLAIN, "--mtbf-hours", "5"), "gives no best interval"),
        ((*EXPLAIN, "--idle-hours", "-1"), "idle_seconds=-3600.0"),
        ((*EXPLAIN, "--allocated-hours", "1"), "allocated_seconds=3600.0 is less than"),
        ((*EXPLAIN, "--allocated-hours", "90", "--mtbf-hours", "5"), "mtbf_hours=5.0 belongs to a forecast"),
        (
            (*EXPLAIN, "--allocated-hours", "90", "--interval-seconds", "60"),
            "interval_seconds=60.0 belongs to a forecast",
        ),
        ((*EXPLAIN, "--lost-hours", "5"), "Remedy: add --allocated-hours"),
        ((*EXPLAIN, "--storage", "ebs-gp3"), "value='ebs-gp3' is no KIND:GB[:HOURS]"),
        ((*EXPLAIN, "--storage", "ebs-gp3:-5"), "gb=-5.0"),
        ((*EXPLAIN, "--rate", "ebs-gp3=cheap"), "value='ebs-gp3=cheap' is no KIND=USD"),
        (
            (*EXPLAIN, "--storage", "ebs-gp3:9", "--rate", "ebs-gp2=1"),
            "rate='ebs-gp2' is the price of nothing here: ebs",
        ),
        (("explain", "llama3-8b", "1e308", "p5.48xlarge"), "useful_seconds=inf"),
        (("explain", "llama3-8b", "1e25", "p5.48xlarge"), "must be a finite number from 0 to 1e15"),
        (("explain", "llama3-8b", "1e12", "p5.48xlarge", "--instances", "9" * 400), "Remedy: "),
        (("compare", "llama3-8b", "1e12", "p5.48xlarge", "--mfu", "much"), "mfu='much' is no share"),
        (("compare", "llama3-8b", "1e12", "--mfu", "0.4", "--mfu", "p5.48xlarge=0.4"), "mixes one share for all"),
        (("compare", "llama3-8b", "nan"), "tokens=nan"),
        (("break-even", "block", "p4d.24xlarge", "--days", "15"), "days=15 is no length that is sold"),
        (("break-even", "block", "trn2.48xlarge", "--days", "7"), "unknown capacity_block price of 'trn2.48xlarge'"),
        (("break-even", "commitment", "p5.48xlarge", "--years", "2", "--hourly", "3"), "years=2 is no term"),
        (("break-even", "night", "p5.48xlarge", "--idle-hours", "nan", "--restart-minutes", "5"), "idle_hours=nan"),
    ],
)
def test_bad_input_is_one_line_with_a_remedy(words, message):
    result = course(*words)
    assert result.exit_code == 1, result.output
    assert message in result.output
    assert "Remedy: " in result.output
    assert result.output.count("\n") == 1
    assert result.exception is None or isinstance(result.exception, SystemExit)
