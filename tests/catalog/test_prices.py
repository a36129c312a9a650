"""Prices are dated observations: the newest wins, age is counted from a given day, and a gap says why it is one."""

import datetime

import pytest

from course_lib.catalog import CatalogError, Price, UnknownPriceError, instance
from course_lib.catalog.instances import price_rows
from course_lib.catalog.prices import newest


def observed(day: str, usd: float | None, region: str = "us-east-1") -> Price:
    return Price(
        instance="p5.48xlarge",
        region=region,
        purchase="on_demand",
        usd_per_hour=usd,
        source="a list",
        date=datetime.date.fromisoformat(day),
        note="" if usd else "not listed",
    )


@pytest.mark.parametrize(("name", "old", "new"), [("p4d.24xlarge", 32.7726, 21.957642), ("p5.48xlarge", 98.32, 55.04)])
def test_the_newest_price_wins_and_the_old_one_is_still_there(name: str, old: float, new: float) -> None:
    """Oracle: AWS's price tables of April 2025 and July 2026."""
    assert instance(name).usd_per_hour() == new
    history = {str(p.date): p.usd_per_hour for p in instance(name).prices() if p.purchase == "on_demand"}
    assert history["2025-04-28"] == old
    assert min(history) == "2025-04-28"


def test_the_order_of_the_rows_does_not_matter() -> None:
    """Oracle: the latest day, by hand."""
    rows = [observed("2026-01-01", 2), observed("2026-03-01", 3), observed("2025-01-01", 1)]
    for turn in (rows, rows[::-1], rows[1:] + rows[:1]):
        chosen = newest(turn, "us-east-1")
        assert chosen is not None
        assert chosen.usd_per_hour == 3


def test_a_newer_row_without_a_price_makes_the_price_unknown_again() -> None:
    """Oracle: the newest observation of the region says that it is no longer listed."""
    chosen = newest([observed("2025-11-30", 35.76), observed("2026-08-26", None)], "us-east-1")
    assert chosen is not None
    assert chosen.usd_per_hour is None


@pytest.mark.parametrize(
    ("rows", "region", "usd"),
    [
        ([("2026-01-01", 5.0, "us-east-1"), ("2026-06-01", 4.0, "eu-west-1")], "us-east-1", 5.0),
        ([("2026-01-01", None, "us-east-1"), ("2025-01-01", 4.0, "us-east-2")], "us-east-2", 4.0),
        ([("2026-01-01", 4.0, "us-east-2"), ("2026-02-01", 6.0, "us-west-2")], "us-west-2", 6.0),
        ([("2026-02-01", 7.0, "us-east-2"), ("2026-02-01", 6.0, "us-west-2")], "us-west-2", 6.0),
        ([("2026-01-01", None, "us-east-1")], "us-east-1", None),
    ],
    ids=["us-east-1 first", "known before unknown", "then the newest", "then the cheapest", "the reason at least"],
)
def test_without_a_region_the_preference_is_fixed(
    rows: list[tuple[str, float | None, str]], region: str, usd: float | None
) -> None:
    """Oracle: the rule in the docstring, applied by hand."""
    chosen = newest([observed(day, price, place) for day, price, place in rows], None)
    assert chosen is not None
    assert (chosen.region, chosen.usd_per_hour) == (region, usd)


def test_no_observation_is_none() -> None:
    """Oracle: nobody observed a price on Mars."""
    assert instance("p5.48xlarge").price(region="mars-1") is None
    assert newest([], None) is None


@pytest.mark.parametrize(
    ("name", "purchase", "region", "parts"),
    [
        ("trn3-gen1-ultraserver", "on_demand", None, ["no public hourly price of Trainium3", "Pricing API"]),
        ("trn2.48xlarge", "on_demand", "us-east-1", ["Capacity Blocks", "on_demand in us-east-2"]),
        ("trn1.32xlarge", "spot", None, ["no spot sample with a date", "DescribeSpotPriceHistory"]),
        ("p5.48xlarge", "on_demand", "mars-1", ["in mars-1", "no such observation", "on_demand in us-east-1"]),
    ],
)
def test_an_unknown_price_says_why_and_what_to_do(
    name: str, purchase: str, region: str | None, parts: list[str]
) -> None:
    """Oracle: the literal reasons; a guess instead of an error would fail here."""
    with pytest.raises(UnknownPriceError) as caught:
        instance(name).usd_per_hour(purchase, region)
    assert all(part in str(caught.value) for part in [repr(name), purchase, "Remedy: ", *parts])
    assert isinstance(caught.value, ValueError)


def test_a_way_of_purchase_that_does_not_exist_is_refused() -> None:
    """Oracle: the three that do."""
    with pytest.raises(CatalogError, match=r"'rent'.*on_demand, spot, capacity_block"):
        instance("p5.48xlarge").price("rent")


def test_age_is_counted_from_the_day_that_is_passed_in() -> None:
    """Oracle: 20 July to 20 August are 31 days."""
    price = instance("p5.48xlarge").price()
    assert price is not None
    assert price.age_days(datetime.date(2026, 8, 20)) == 31
    assert price.age_days(price.date) == 0


def test_a_spot_sample_costs_less_than_the_on_demand_price_of_its_time() -> None:
    """Oracle: AWS caps spot at the on-demand price."""
    spot = instance("p5en.48xlarge").usd_per_hour("spot")
    assert 0 < spot < instance("p5en.48xlarge").usd_per_hour()


def test_every_unknown_price_explains_itself() -> None:
    """Oracle: the rule; and there are unknown prices, so the loop is not idle."""
    unknown = [row for row in price_rows() if row.usd_per_hour is None]
    assert len(unknown) > 10
    assert all(len(row.note) > 20 for row in unknown)
