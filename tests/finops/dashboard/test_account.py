"""What is collected, and what of it stands on the page. Oracles: Cost Explorer's own answers through plain boto3, the
catalog's prices times hours by hand, and BeautifulSoup for what the page says."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from bs4 import BeautifulSoup

from course_lib.catalog import instance
from course_lib.finops.aws import AwsError
from course_lib.finops.cloud import PracticeAccount
from course_lib.finops.dashboard import Unread, collect, render
from course_lib.finops.errors import FinopsError
from course_lib.finops.focus import apply_export, plan_export
from tests.finops.dashboard.pictures import EVIL, NUMBER

TRN1, INF2 = instance("trn1.2xlarge").usd_per_hour(), instance("inf2.xlarge").usd_per_hour()
REGION = ("us-east-1",)
BUDGET = {
    "BudgetName": "all",
    "BudgetType": "COST",
    "TimeUnit": "MONTHLY",
    "BudgetLimit": {"Amount": "900", "Unit": "USD"},
}


@pytest.fixture(scope="module")
def account():
    """bert runs an inf2.xlarge for 50 days; in the last four runs what somebody named with a script."""
    with PracticeAccount(start=datetime(2026, 10, 10, 0, tzinfo=UTC)) as running:
        launch(running, "inf2.xlarge", project="bert", owner="ada", **{"expires-at": "2026-12-01T00:00:00Z"})
        running.client("budgets").create_budget(AccountId=NUMBER, Budget=BUDGET)
        apply_export(running, plan_export(running, "bills"))
        running.advance(timedelta(days=46))
        launch(running, "trn1.2xlarge", project=EVIL, owner=EVIL)
        running.advance(timedelta(days=4, hours=9))
        yield running


@pytest.fixture(scope="module")
def data(account):
    return collect(account, days=50, regions=REGION, bills="bills/billing")


@pytest.fixture(scope="module")
def page(data):
    return BeautifulSoup(render(data), "html.parser")


def launch(account, kind, **tags):
    told = [{"Key": key, "Value": value} for key, value in tags.items()]
    account.client("ec2").run_instances(
        ImageId="ami-12c6146b",
        InstanceType=kind,
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": told}],
    )


def rows(page, caption):
    """The cells of the first table whose caption has these words."""
    table = next(one for one in page.find_all("table") if caption in one.caption.get_text())
    return [[cell.get_text() for cell in row.find_all(["th", "td"])] for row in table.tbody.find_all("tr")]


def number(text):
    return float(text.replace(",", "").removesuffix(" USD").removesuffix(" USD/h"))


def asked_of_ce(account, **changes):
    asked = {"TimePeriod": {"Start": "2026-10-11", "End": "2026-11-30"}, "Metrics": ["UnblendedCost"], **changes}
    return account.client("ce").get_cost_and_usage(**{"Granularity": "DAILY", **asked})["ResultsByTime"]


@pytest.mark.parametrize(
    ("kind", "key", "caption"),
    [
        ("TAG", "project", "by project"),
        ("TAG", "owner", "by owner"),
        ("DIMENSION", "SERVICE", "by service"),
        ("DIMENSION", "REGION", "by region"),
    ],
)
def test_sums_and_days_on_the_page_are_cost_explorers_own(account, page, kind, key, caption):
    sums, days = {}, {}
    for step in asked_of_ce(account, GroupBy=[{"Type": kind, "Key": key}]):
        for group in step["Groups"]:
            usd = float(group["Metrics"]["UnblendedCost"]["Amount"])
            name = group["Keys"][0].partition("$")[2] if kind == "TAG" else group["Keys"][0]
            sums[name or "untagged"] = sums.get(name or "untagged", 0.0) + usd
            days[step["TimePeriod"]["Start"]] = days.get(step["TimePeriod"]["Start"], 0.0) + usd
    shown = {name: number(usd) for name, usd, _ in rows(page, f"Sum of 2026-10-11 to 2026-11-29 {caption}")}
    assert shown == pytest.approx({name: usd for name, usd in sums.items() if usd}, abs=0.005)
    by_day = {row[0]: number(row[-1]) for row in rows(page, f"Spend {caption}")}
    assert {day: usd for day, usd in by_day.items() if usd} == pytest.approx(
        {day: usd for day, usd in days.items() if usd}, abs=0.005
    )


def test_the_key_figures_are_the_months_bill_the_budget_and_what_runs(account, data, page):
    tiles = [tile.find("b").get_text() for tile in page.select(".tiles li")]
    told = asked_of_ce(account, TimePeriod={"Start": "2026-11-01", "End": "2026-11-30"}, Granularity="MONTHLY")
    assert number(tiles[0]) == pytest.approx(float(told[0]["Total"]["UnblendedCost"]["Amount"]), abs=0.005)
    assert number(tiles[1]) == pytest.approx(30 * 24 * INF2 + 6 * 24 * TRN1, rel=0.01)  # TRN1 from the 25th on
    assert number(tiles[2]) == round(INF2 + TRN1, 2)
    assert data.budget.limit_usd == 900
    assert data.usd_of_reading == Decimal("0.04")  # one page of answers a group, a cent each
    assert "0.04 USD" in page.footer.get_text()


def test_leases_chargeback_and_budget_are_there(data, page):
    ends = {one.instance.instance_type: (one.ends, one.lack) for one in data.runs.leases}
    assert ends["inf2.xlarge"] == (datetime(2026, 12, 1, tzinfo=UTC), "")
    assert ends["trn1.2xlarge"] == (None, "no tag expires-at")
    shares = {row[0]: number(row[-2]) for row in rows(page, "EffectiveCost in USD")}
    assert shares["bert"] == pytest.approx(28 * 24 * INF2, abs=0.01)  # delivered at 08:00: until the 28th
    assert shares[EVIL] == pytest.approx(4 * 24 * TRN1, abs=0.01)
    assert rows(page, "Monthly cost budgets")[0][:3] == ["all", "whole account", "900.00"]


def test_an_anomaly_is_told_with_its_impact(page):
    ((where, kind, since, to, *_, impact, _),) = rows(page, "Anomalies")
    assert (kind, since, to) == ("new", "2026-11-25", "goes on")
    assert where in (f"project={EVIL}", f"owner={EVIL}")
    assert number(impact) == pytest.approx(3 * 24 * TRN1, rel=0.01)


def test_the_page_has_no_script_and_no_account_number_unless_asked(data, page):
    text = str(page)
    assert page.find("script") is None
    assert EVIL in page.get_text()
    assert NUMBER not in text
    assert f"********{NUMBER[-4:]}" in text
    assert NUMBER in render(data, show_account=True)
    assert "2026-11-29T09:00:00Z" in text  # when it was made
    assert "up to 24 hours late" in page.get_text()


def test_denied_parts_leave_the_others(account):
    try:
        account.inject("denied", "ce.GetCostAndUsage")
        account.inject("denied", "budgets.DescribeBudgets")
        data = collect(account, regions=REGION, bills="bills/billing")
    finally:
        account.heal()
    assert set(data.unread) == {
        *(f"spend by {name}" for name in ("service", "project", "owner", "region")),
        *("month", "forecast", "anomalies", "budgets"),
    }
    assert "ask for this permission" in data.month.reason
    assert data.runs.running.usd_per_hour == pytest.approx(INF2 + TRN1)
    assert data.calls == 0
    page = BeautifulSoup(render(data), "html.parser")
    assert page.get_text().count("ask for this permission") >= 6
    assert number(rows(page, "EffectiveCost in USD")[0][-2]) > 0


def test_one_denied_group_takes_away_only_itself(account):
    try:
        account.inject("denied", "ce.GetCostAndUsage", times=1)
        data = collect(account, regions=REGION)
    finally:
        account.heal()
    assert set(data.unread) == {"spend by service", "chargeback"}
    assert data.month.usd > 0
    render(data)


def test_bad_questions_are_one_line(account):
    for days, words in ((7, r"days=7 must be"), (900, r"days=900 is more than Cost Explorer keeps")):
        with pytest.raises(FinopsError, match=words):
            collect(account, days=days)
    data = collect(account, regions=REGION, bills="nowhere")
    assert isinstance(data.chargeback, Unread)
    assert "NoSuchBucket" in data.chargeback.reason
    assert "\n" not in data.chargeback.reason
    try:
        account.inject("denied", "sts.GetCallerIdentity")
        with pytest.raises(AwsError, match=r"whose account this is: .*ask for this permission"):
            collect(account)
    finally:
        account.heal()


def test_an_account_that_never_spent_anything_has_a_page():
    with PracticeAccount(start=datetime(2026, 12, 1, 0, 30, tzinfo=UTC)) as empty:
        data = collect(empty, regions=REGION)
    assert set(data.unread) == {"chargeback"}
    text = BeautifulSoup(render(data), "html.parser").get_text()
    assert "Nothing was spent in this time." in text
    assert "No instance runs." in text
    assert "Nothing out of the ordinary" in text
