"""The same work on several instances. Oracle: Llama 3's published GPU-hours, and 6ND over peak by hand."""

import datetime
from decimal import Decimal

import pytest

from course_lib.catalog import Price, instances
from course_lib.finops.prices import PriceError, compare_instances, write_price_file

DAY = datetime.date(2026, 8, 1)


def test_llama_3_405b_costs_its_published_hours_at_the_list_price():
    """The model card: 30.84M H100-hours, at 34.6 % of 989 TFLOP/s; p5.48xlarge has 8 H100 and cost 55.04 USD."""
    (row,) = compare_instances("llama3-405b", 15.6e12, ["p5.48xlarge"], count=1000, mfu=0.346, today=DAY)
    assert float(row.usd) == pytest.approx(30.84e6 / 8 * 55.04, rel=0.01)
    assert float(row.usd_per_million_tokens) == pytest.approx(float(row.usd) / 15.6e6)


def test_the_cheapest_comes_first_and_an_unknown_price_stays_a_row():
    names = ["p3.2xlarge", "trn3-gen1-ultraserver", "trn1.32xlarge", "p4d.24xlarge", "trn2.48xlarge", "p5.48xlarge"]
    rows = compare_instances("llama3-8b", 1e12, names, region="us-east-1", today=DAY)
    dollars = {  # USD per bf16 PFLOP/s-hour at the same MFU: price over chips times peak in TFLOP/s
        "p5.48xlarge": 55.04 / (8 * 989),
        "trn1.32xlarge": 21.5 / (16 * 190),
        "p4d.24xlarge": 21.957642 / (8 * 312),
    }
    assert [row.instance for row in rows[:3]] == sorted(dollars, key=dollars.__getitem__)
    assert [row.usd is None for row in rows] == [False] * 3 + [True] * 3
    assert rows[3].hours < rows[4].hours, "the fastest of those without a price comes first"
    assert "us-east-1" in next(row for row in rows if row.instance == "trn2.48xlarge").why_not
    assert (rows[5].instance, rows[5].hours, rows[5].why_not) == ("p3.2xlarge", None, "v100-16gb has no bf16 peak")


def test_without_names_the_whole_catalog_is_there():
    assert sorted(row.instance for row in compare_instances("llama3-8b", 1e12)) == sorted(instances()["name"])


def test_each_instance_may_have_its_own_mfu():
    rows = compare_instances("llama3-8b", 1e12, ["p5.48xlarge", "trn1.32xlarge"], mfu=0.4, today=DAY)
    own = {"p5.48xlarge": 0.4, "trn1.32xlarge": 0.2}
    halved = compare_instances("llama3-8b", 1e12, ["p5.48xlarge", "trn1.32xlarge"], mfu=own, today=DAY)
    before, after = ({row.instance: row.usd for row in found} for found in (rows, halved))
    assert after["p5.48xlarge"] == before["p5.48xlarge"]
    assert float(after["trn1.32xlarge"]) == pytest.approx(2 * float(before["trn1.32xlarge"]))


def test_the_prices_can_come_from_a_file(tmp_path):
    price = Price("p5.48xlarge", "us-east-1", "on_demand", "a contract", DAY, 50.0)
    file = write_price_file(tmp_path / "mine.csv", [price])
    listed = compare_instances("llama3-8b", 1e12, ["p5.48xlarge"], today=DAY)
    row, other = compare_instances("llama3-8b", 1e12, ["trn1.32xlarge", "p5.48xlarge"], prices=file, today=DAY)
    assert row.usd / listed[0].usd == pytest.approx(Decimal(50) / Decimal("55.04"))
    assert (other.instance, other.usd) == ("trn1.32xlarge", None)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"names": []}, r"names=\[\] is empty"),
        ({"names": ["p5.48xlrage"]}, r"Did you mean 'p5.48xlarge'"),
        ({"names": ["p5.48xlarge"], "mfu": {"trn1.32xlarge": 0.4}}, r"mfu=.* says nothing of p5.48xlarge"),
        ({"names": ["p5.48xlarge"], "mfu": 40}, r"mfu=40 must be a fraction"),
        ({"names": ["p5.48xlarge"], "count": 0}, r"instances=0 must be a whole number"),
        ({"names": ["p5.48xlarge"], "count": 10**9}, r"is more than 1,000,000"),
        ({"names": ["p5.48xlarge"], "purchase": "gift"}, r"purchase 'gift' is not known"),
        ({"tokens": -1}, r"tokens=-1"),
        ({"tokens": float("nan")}, r"tokens=nan"),
    ],
)
def test_bad_questions_are_refused(asked, told):
    tokens = asked.pop("tokens", 1e12)
    with pytest.raises(ValueError, match=told):
        compare_instances("llama3-8b", tokens, **asked)


def test_an_unknown_way_of_purchase_is_this_rooms_error():
    with pytest.raises(PriceError):
        compare_instances("llama3-8b", 1e12, ["p5.48xlarge"], purchase="gift")
