"""Reading the bill. Oracle: boto3's own answers from the practice account summed by hand; the API's paging rules."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from course_lib.catalog import instance
from course_lib.finops.aws import AwsError
from course_lib.finops.errors import FinopsError
from course_lib.finops.usage import DAY, Usage, UsageError, UsageRow, daily, read_usage

TRN1, INF2 = instance("trn1.2xlarge").usd_per_hour(), instance("inf2.xlarge").usd_per_hour()


@pytest.fixture
def teams(account):
    """Three instances of two teams and of nobody in two regions, ten hours each, and then two days of nothing."""
    first = account.now().date()
    for team, name, region in (
        ("speech", "trn1.2xlarge", "us-east-1"),
        ("speech", "inf2.xlarge", "eu-west-1"),
        ("", "trn1.2xlarge", "us-east-1"),
    ):
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "project", "Value": team}]}] if team else []
        account.client("ec2", region=region).run_instances(
            ImageId="ami-12c6146b",
            InstanceType=name,
            MinCount=1,
            MaxCount=1,
            TagSpecifications=tags,
            UserData="#!/bin/bash\nshutdown -P +599\n",
            InstanceInitiatedShutdownBehavior="terminate",
        )
    account.advance(timedelta(days=3))
    return first


def test_groups_filters_and_missing_days(account, teams):
    end = teams + timedelta(days=4)
    whole = read_usage(account, teams, end)
    raw = account.client("ce").get_cost_and_usage(
        TimePeriod={"Start": teams.isoformat(), "End": end.isoformat()}, Granularity="DAILY", Metrics=["UnblendedCost"]
    )
    by_hand = [Decimal(step["Total"]["UnblendedCost"]["Amount"]) for step in raw["ResultsByTime"]]
    assert whole.total == sum(by_hand)
    assert whole.series().usd == tuple(float(one) for one in by_hand)
    assert len(whole.rows) < len(by_hand)  # days without spend have no row, and are zeros in the series
    by = read_usage(account, teams, end, by=["region", "tag:project"])
    totals = {keys: float(usd) for keys, usd in by.totals().items()}
    expected = {
        ("us-east-1", ""): 10 * TRN1,
        ("us-east-1", "speech"): 10 * TRN1,
        ("eu-west-1", "speech"): 10 * INF2,
    }
    assert totals == pytest.approx(expected, abs=1e-4)
    frame = by.frame()
    assert list(frame.columns) == ["date", "region", "tag:project", "usd", "estimated", "incomplete"]
    assert len(frame) == 4 * 3
    assert frame.usd.sum() == pytest.approx(float(by.total))
    only = read_usage(account, teams, end, where={"tag:project": ["", "nobody"], "region": ["us-east-1"]})
    assert float(only.total) == pytest.approx(10 * TRN1, abs=1e-4)
    assert "region=eu-west-1 tag:project=speech" in by.scopes()


def test_the_last_days_are_incomplete(account, teams):
    usage = read_usage(account, teams, teams + timedelta(days=4))
    # It is 08:00 of the fourth day: yesterday's end is 8 hours old, the day before's 32.
    assert usage.incomplete == 2
    assert usage.series().complete().usd == usage.series().usd[:2]
    assert list(usage.frame().incomplete) == [False, False, True, True]
    assert read_usage(account, teams, teams + timedelta(days=4), late=timedelta(hours=6)).incomplete == 1


def test_hours_add_up_to_the_day(account, teams):
    hourly = read_usage(account, teams, teams + timedelta(days=1), granularity="HOURLY")
    daily = read_usage(account, teams, teams + timedelta(days=1))
    assert len(hourly.series()) == 24
    assert float(hourly.total) == pytest.approx(float(daily.total), abs=1e-6)


def test_an_empty_account_gives_zeros_and_says_so(account):
    first = account.now().date()
    usage = read_usage(account, first, first + timedelta(days=1))
    assert usage.empty
    assert usage.total == 0
    assert usage.series().usd == (0.0,)
    assert "nothing was spent" in str(usage)
    assert list(read_usage(account, first, first + timedelta(days=1), by=["region"]).frame().columns)[1] == "region"


class Pages:
    """An account whose Cost Explorer answers with given pages; the practice account always has one."""

    def __init__(self, *pages):
        self.pages, self.asked = pages, []

    def client(self, service, *, region=None):
        return self

    def get_cost_and_usage(self, **asked):
        self.asked.append(asked)
        return self.pages[len(self.asked) - 1]


def page(day, groups, token=None, unit="USD"):
    told = [{"Keys": [key], "Metrics": {"UnblendedCost": {"Amount": usd, "Unit": unit}}} for key, usd in groups.items()]
    step = {"TimePeriod": {"Start": day, "End": "2026-12-09"}, "Groups": told, "Total": {}, "Estimated": True}
    return {"ResultsByTime": [step], **({"NextPageToken": token} if token else {})}


NOW = datetime(2026, 12, 10, tzinfo=UTC)
SPAN = (date(2026, 12, 1), date(2026, 12, 9))


def test_a_tags_value_may_hold_a_dollar_sign():
    account = Pages(page("2026-12-01", {"project$us$only": "1", "project$": "2"}))
    usage = read_usage(account, *SPAN, by=["tag:project"], now=NOW)
    assert usage.totals() == {("",): 2, ("us$only",): 1}  # the key ends at the first one: a key can hold none


def test_all_pages_are_read_added_exactly_and_counted():
    account = Pages(
        page("2026-12-01", {"project$a": "0.1", "project$b": "0.2"}, "next"),
        page("2026-12-01", {"project$": "0.0000000001"}, "last"),
        page("2026-12-02", {"project$a": "0.2"}),
    )
    usage = read_usage(account, *SPAN, by=["tag:project"], now=NOW)
    assert usage.total == Decimal("0.5000000001")  # 0.1 + 0.2 + 0.2 of floats would not be
    assert usage.totals()["a",] == Decimal("0.3")
    assert [asked.get("NextPageToken") for asked in account.asked] == [None, "next", "last"]
    assert (usage.calls, usage.usd_of_reading) == (3, Decimal("0.03"))
    assert "calls of Cost Explorer: 3, 0.03 USD" in str(usage)
    assert len(usage.series(("b",))) == 8
    assert usage.estimated == {datetime(2026, 12, 1, tzinfo=UTC), datetime(2026, 12, 2, tzinfo=UTC)}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"by": ["planet"]}, r"group='planet' is not known"),
        ({"by": ["region", "service", "tag:a"]}, r"is more than 2 groups"),
        ({"granularity": "WEEKLY"}, r"granularity='WEEKLY' is none of"),
        ({"where": {"region": "us-east-1"}}, r"where\['region'\]='us-east-1' must be a list"),
        ({"where": {"region": []}}, r"must be a list of at least one value"),
        ({"start": date(2025, 1, 1)}, r"is more than 434 days ago"),
        ({"start": date(2026, 11, 1), "granularity": "HOURLY"}, r"is more than 14 days ago"),
        ({"start": date(2026, 12, 9)}, r"end='2026-12-09' is not after the start"),
        ({"start": date(2027, 1, 1), "end": date(2027, 1, 2)}, r"lies after AWS's time"),
        ({"start": NOW}, r"must be a date in UTC"),
    ],
)
def test_a_wrong_question_is_refused_before_it_costs_anything(asked, said):
    account = Pages()
    given = {"start": SPAN[0], "end": SPAN[1], "now": NOW, **asked}
    with pytest.raises(UsageError, match=said):
        read_usage(account, given.pop("start"), given.pop("end"), **given)
    assert account.asked == []


@pytest.mark.parametrize(("usd", "unit", "said"), [("1", "EUR", r"is not USD"), ("much", "USD", r"is no number")])
def test_an_answer_that_is_no_money_is_refused(usd, unit, said):
    with pytest.raises(UsageError, match=said):
        read_usage(Pages(page("2026-12-01", {"a": usd}, unit=unit)), *SPAN, now=NOW)


def test_a_denied_call_is_one_line(account):
    account.inject("denied", "ce.GetCostAndUsage")
    first = account.now().date()
    with pytest.raises(AwsError, match=r"reading the bill from Cost Explorer: .*Remedy: ask for this permission"):
        read_usage(account, first, first + timedelta(days=1))


def test_a_thousand_tags_are_read_in_one_pass_and_say_what_each_series_says():
    start, keys = datetime(2026, 12, 1, tzinfo=UTC), [f"p{number}" for number in range(1000)]
    rows = CountedRows(
        UsageRow(start + day * DAY, (key,), Decimal(day * number))
        for day in range(3)
        for number, key in enumerate(keys)
    )
    usage = Usage(start, start + 3 * DAY, DAY, ("tag:project",), rows, start, 1)
    scopes = usage.scopes()
    assert rows.passes <= 2  # one for the totals, one for the series
    assert scopes["tag:project=p7"].usd == (0.0, 7.0, 14.0)
    assert sum(sum(series.usd) for series in scopes.values()) == sum(range(1000)) * 3
    assert scopes["tag:project=p999"] == usage.series(("p999",))


class CountedRows(tuple):
    passes = 0

    def __iter__(self):
        self.passes += 1
        return super().__iter__()


@pytest.mark.parametrize("usd", [float("nan"), float("inf")])
def test_a_series_holds_numbers(usd):
    with pytest.raises(FinopsError, match=r"usd\[1\]=(nan|inf) must be a finite number.*Remedy"):
        daily("total", date(2026, 12, 1), [1.0, usd])
