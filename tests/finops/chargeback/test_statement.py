"""A team's statement. Oracle: the csv module, pandas and markdown-it read it back; its lines add up to what the team
pays."""

import csv
import dataclasses
import io
from decimal import Decimal

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from course_lib.finops.chargeback import ChargebackError, Shared, Split, allocate, statement
from course_lib.finops.focus import make_focus
from tests.finops.focus.charges import charge

BILL = make_focus(
    [
        charge("10.005", "bert", ChargeDescription="trn1.32xlarge"),
        charge("20.005", "bert", ChargeDescription="trn1.32xlarge"),
        charge("3.333", "bert", ChargeDescription="=HYPERLINK(1)|x", ServiceName="Amazon Elastic Block Store"),
        charge("50", "llama"),
        charge("7", "platform"),
        charge("-2", "bert", "Credit"),
    ]
)
FOUND = allocate(BILL, shared=[Shared("platform", Split("even"))])


def test_the_lines_add_up_to_the_cent():
    made = statement(FOUND, "bert")
    assert sum(line[4] for line in made.lines()) == made.share.total == Decimal("34.84")
    assert made.lines()[1][:4] == ("Amazon Elastic Compute Cloud", "trn1.32xlarge", 2.0, "Hours")
    assert made.of_bill == pytest.approx(34.84 / 88.34, abs=1e-3)


def test_csv_is_read_back_and_runs_no_formula():
    made = statement(FOUND, "bert")
    rows = list(csv.DictReader(io.StringIO(made.csv())))
    assert sum(Decimal(row["amount_usd"]) for row in rows[:-1]) == Decimal(rows[-1]["amount_usd"])
    assert rows[0]["what"] == "'=HYPERLINK(1)|x"
    assert pd.read_csv(io.StringIO(made.csv()))["amount_usd"].iloc[-1] == pytest.approx(34.84)
    assert made.frame()["amount"].iloc[-1] == pytest.approx(34.84)


def test_markdown_is_one_table_with_its_bars_escaped():
    lines = statement(FOUND, "bert", "chargeback").markdown().splitlines()
    assert lines[0].startswith("**project: bert**, 2026-12: 34.84 USD, booked on the team's account (39.4% of")
    table = lines[2:]
    assert all(line.replace("\\|", "").count("|") == 6 for line in table)
    assert table[-1] == "|  | total |  |  | 34.84 |"


def test_a_team_without_charges_is_told_who_has_some():
    with pytest.raises(ChargebackError, match=r"project='gpt' has no charges; there are: llama, bert"):
        statement(FOUND, "gpt")


def test_a_tag_cannot_put_anything_but_text_into_markdown():
    nasty = "<img src=x onerror=alert(1)> [pay](javascript:pay) `a\r\n# head\u2028b"
    owner = dataclasses.replace(FOUND.teams[0], name=nasty)
    found = dataclasses.replace(FOUND, teams=(owner, *FOUND.teams[1:]))
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(statement(found, nasty).markdown())
    assert "<img" not in html
    assert "<a " not in html
    assert "<h1" not in html
    assert "<code" not in html
    assert html.count("<table>") == 1
    assert "&lt;img src=x onerror=alert(1)&gt; [pay](javascript:pay) `a # head b" in html
