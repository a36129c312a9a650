"""Parts of the page without an account. Oracle: an XML parser that reads heights, rows and words back from the markup;
dollars to heights by the rule of three."""

import re
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from xml.etree import ElementTree

import pytest

from course_lib.finops.chargeback import Share
from course_lib.finops.dashboard import Leased, RunsNow, charts, render
from course_lib.finops.dashboard.collect import _budget
from course_lib.finops.dashboard.holdings import chargeback_part, runs_part
from course_lib.finops.errors import FinopsError
from tests.finops.dashboard.pictures import NOW, picture

DAYS = [date(2026, 12, 1) + timedelta(days=number) for number in range(3)]
BAR = re.compile(r"M[\d.]+ ([\d.-]+)h[\d.]+V([\d.-]+)h")


def tree(markup):
    return ElementTree.fromstring(f"<div>{markup}</div>")


def texts(part, tag):
    return ["".join(one.itertext()) for one in part.iter(tag)]


def test_a_refund_does_not_push_the_bars_out_of_the_chart():
    picture = tree(charts.bars("spend", DAYS, [[100.0, 40.0, 60.0], [-90.0, 0.0, 20.0]]))
    bars = [(float(low), float(high)) for path in picture.iter("path") for low, high in BAR.findall(path.get("d"))]
    ticks = [float(word.replace(",", "")) for word in texts(picture, "text") if word[0].isdigit() and " " not in word]
    assert ticks == [0, 25, 50, 75, 100]
    assert all(0 <= high < low <= charts.HEIGHT for low, high in bars)
    heights = [low - high for low, high in bars]
    assert heights == pytest.approx([heights[0] * usd / 100 for usd in (100, 40, 60, 20)], abs=0.2)


def test_an_owner_whose_prices_nobody_knows_does_not_seem_to_run_for_nothing():
    runs = picture().runs
    known, unknown = runs.running.instances
    unknown = replace(unknown, owner="bob")
    running = replace(runs.running, instances=(known, unknown))
    found = tree(runs_part(picture(runs=RunsNow(running, (Leased(known, NOW), Leased(unknown, None))))))
    rows = {cells[0]: cells[1:4] for cells in ([*texts(row, "th"), *texts(row, "td")] for row in found.iter("tr"))}
    assert rows["ada"] == ["1", "1.34", "32.25"]
    assert rows["bob"] == ["1", "unknown", "unknown"]


def test_thousands_of_teams_leave_a_page_that_can_be_published():
    teams = tuple(Share(f"team-{number}", usage=Decimal("1.00")) for number in range(3000))
    data = picture()
    data = replace(data, chargeback=replace(data.chargeback, bill=Decimal("3020.00"), teams=teams))
    assert "Who pays" in render(data)
    part = tree(chargeback_part(data))
    heads = texts(part, "th")
    assert "team-299" in heads
    assert "team-300" not in heads
    assert any(head.startswith("untagged") for head in heads)
    assert "2700 more are not shown." in texts(part, "p")
    assert any("3,000.00 allocated" in words for words in texts(part, "p"))


def test_a_budget_in_another_currency_is_not_shown_as_dollars():
    told = {"BudgetName": "all", "BudgetLimit": {"Amount": "1000", "Unit": "CNY"}}
    with pytest.raises(FinopsError, match=r"budget all='CNY' is not USD.*Remedy"):
        _budget(told)
