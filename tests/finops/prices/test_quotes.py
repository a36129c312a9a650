"""Prices with date and source. Oracle: the catalog's CSV read by the csv module, and the calendar of datetime."""

import csv
import datetime
from decimal import Decimal
from pathlib import Path

import pytest

import course_lib.catalog
from course_lib.catalog import Price
from course_lib.finops.prices import (
    PriceError,
    PriceUnknownError,
    given_price,
    price_files,
    price_of,
    read_price_file,
    warnings_of,
    write_price_file,
)

CATALOG = Path(course_lib.catalog.__file__).parent / "data" / "prices.csv"
ROWS = list(csv.DictReader(CATALOG.read_text().splitlines()))
DAY = datetime.date(2026, 8, 1)


@pytest.mark.parametrize("name", ["trn1.32xlarge", "p5.48xlarge", "p4d.24xlarge", "inf2.xlarge", "g6e.xlarge"])
def test_the_newest_row_of_the_catalog_with_its_source_and_date(name):
    rows = [row for row in ROWS if (row["instance"], row["purchase"]) == (name, "on_demand") and row["usd_per_hour"]]
    newest = max(rows, key=lambda row: row["date"])
    quote = price_of(name, region="us-east-1", today=DAY)
    assert quote.usd_per_hour == Decimal(newest["usd_per_hour"])
    assert (quote.source, quote.date.isoformat()) == (newest["source"], newest["date"])


def test_p5_is_not_the_price_that_old_blogs_print():
    assert price_of("p5.48xlarge", today=DAY).usd_per_hour == Decimal("55.04")


def test_an_old_price_carries_a_warning_as_data():
    read = datetime.date(2026, 7, 20)
    fresh = price_of("p5.48xlarge", today=read + datetime.timedelta(days=90), stale_after_days=90)
    old = price_of("p5.48xlarge", today=read + datetime.timedelta(days=91), stale_after_days=90)
    assert (fresh.age_days, fresh.warning) == (90, "")
    assert old.age_days == 91
    assert "is 91 days old, more than 90" in old.warning
    assert warnings_of([old, None, fresh, old]) == [old.warning]


def test_a_price_from_the_future_says_that_the_clock_is_wrong():
    quote = price_of("p5.48xlarge", today=datetime.date(2026, 1, 1))
    assert quote.age_days < 0
    assert "look at the clock" in quote.warning


def test_trn2_on_demand_in_us_east_1_stays_unknown():
    with pytest.raises(PriceUnknownError, match=r"unknown on_demand price of 'trn2.48xlarge' in us-east-1.*Remedy: "):
        price_of("trn2.48xlarge", region="us-east-1")


def test_an_old_capacity_block_price_says_where_to_ask():
    assert "DescribeCapacityBlockOfferings" in price_of("p4d.24xlarge", purchase="capacity_block", today=DAY).warning


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"name": "p5.48xlrage"}, r"Did you mean 'p5.48xlarge'"),
        ({"name": 5}, r"instance=5 is no name"),
        ({"name": "p5.48xlarge", "purchase": "stolen"}, r"purchase 'stolen' is not known"),
        ({"name": "p5.48xlarge", "region": "mars-1"}, r"unknown on_demand price of 'p5.48xlarge' in mars-1"),
        ({"name": "p5.48xlarge", "stale_after_days": -1}, r"stale_after_days=-1 must be a whole number"),
    ],
)
def test_bad_questions_get_one_line_with_a_remedy(asked, told):
    name = asked.pop("name")
    with pytest.raises(PriceError, match=told) as caught:
        price_of(name, **asked)
    assert "Remedy: " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("usd", [0, -1, float("nan"), float("inf")])
def test_a_price_of_your_own_must_be_above_zero(usd):
    with pytest.raises(PriceError, match=r"usd_per_hour="):
        given_price("p5.48xlarge", usd)


def row(usd=1.5, date=DAY, **other):
    return Price("p5.48xlarge", "eu-west-1", "on_demand", "a test", date, usd, **other)


def test_a_price_file_is_read_instead_of_the_catalog(tmp_path):
    day = datetime.timedelta(days=1)
    rows = [row(8.25, DAY - day), row(9.5, DAY), row(7.5, DAY - 2 * day), row(None, DAY + day, note="no answer")]
    file = write_price_file(tmp_path / "mine.csv", rows)
    assert price_of("p5.48xlarge", prices=file, today=DAY).usd_per_hour == Decimal("9.5")
    home = Price("p5.48xlarge", "us-east-1", "on_demand", "a test", DAY - 9 * day, 6.5)
    file = write_price_file(tmp_path / "more.csv", [*rows, home])
    assert price_of("p5.48xlarge", prices=file, today=DAY).region == "us-east-1"
    assert price_of("p5.48xlarge", prices=file, region="eu-west-1", today=DAY).usd_per_hour == Decimal("9.5")
    with pytest.raises(
        PriceUnknownError, match=r"the file holds no such row.*known: p5.48xlarge on_demand in eu-west-1"
    ):
        price_of("trn1.32xlarge", prices=file)


def test_an_unknown_price_in_a_file_stays_unknown(tmp_path):
    file = write_price_file(tmp_path / "mine.csv", [row(None, note="AWS does not list it")])
    with pytest.raises(PriceUnknownError, match=r"AWS does not list it"):
        price_of("p5.48xlarge", prices=file)


def test_what_is_written_reads_back_and_has_the_catalogs_columns(tmp_path):
    rows = [row(0.123456, note='a "quoted", note'), row(None, DAY - datetime.timedelta(days=9), note="none")]
    write_price_file(tmp_path / "mine.csv", rows)
    told = list(csv.DictReader((tmp_path / "mine.csv").read_text().splitlines()))
    assert list(told[0]) == list(ROWS[0])
    assert [one["usd_per_hour"] for one in told] == ["0.123456", ""]
    assert read_price_file(tmp_path / "mine.csv").rows == tuple(rows)


def test_the_catalog_itself_reads_as_a_price_file():
    rows = read_price_file(CATALOG).rows
    assert [(one.instance, one.purchase, one.date.isoformat()) for one in rows] == [
        (one["instance"], one["purchase"], one["date"]) for one in ROWS
    ]


def test_the_catalog_is_never_written(tmp_path, monkeypatch):
    """A copy takes its place, so that not even a broken guard could hurt the catalog."""
    assert CATALOG.parent.parent == price_files.CATALOG
    (tmp_path / "catalog" / "data").mkdir(parents=True)
    copy = tmp_path / "catalog" / "data" / "prices.csv"
    copy.write_bytes(CATALOG.read_bytes())
    link = tmp_path / "innocent"
    link.symlink_to(copy.parent)
    monkeypatch.setattr(price_files, "CATALOG", tmp_path / "catalog")
    for path in (copy, link / "prices.csv"):
        with pytest.raises(PriceError, match=r"lies in the catalog"):
            write_price_file(path, [row()])
    assert copy.read_bytes() == CATALOG.read_bytes()


def test_a_write_that_fails_leaves_the_old_file_and_no_scratch(tmp_path, monkeypatch):
    path = tmp_path / "mine.csv"
    write_price_file(path, [row(1.0)])
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(PriceError, match=r"cannot be written \(No space left on device\)"):
        write_price_file(path, [row(2.0)])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("1.5", "-1.5", r"line 2, field 'usd_per_hour': '-1.5'"),
        ("1.5", "nan", r"line 2, field 'usd_per_hour': 'nan'"),
        ("1.5", "", r"line 2, field 'note'"),
        ("2026-08-01", "2026-02-31", r"line 2, field 'date': '2026-02-31'"),
        ("on_demand", "gift", r"line 2, field 'purchase': 'gift'"),
        ("instance,region", "type,region", r"columns=.* are not a price file's"),
        ("a test", '"a test', r"is not valid CSV"),
    ],
)
def test_a_broken_price_file_names_its_line(tmp_path, old, new, told):
    path = tmp_path / "mine.csv"
    write_price_file(path, [row()])
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(PriceError, match=told) as caught:
        read_price_file(path)
    assert "\n" not in str(caught.value)


def test_a_missing_price_file_says_how_to_make_one(tmp_path):
    with pytest.raises(PriceError, match=r"cannot be read \(No such file or directory\)\. Remedy: course cost refresh"):
        read_price_file(tmp_path / "none.csv")
    with pytest.raises(PriceError, match=r"cannot be written \(No such file or directory\)"):
        write_price_file(tmp_path / "nowhere" / "x.csv", [row()])
