"""Files and buckets. Oracle: pandas, which reads what we write; gzip and csv; S3 behind moto, page by page."""

import gzip
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.finops.focus import (
    FocusError,
    make_focus,
    read_bytes,
    read_focus,
    read_focus_s3,
    to_bytes,
    validate_focus,
    write_focus,
)
from tests.finops.focus.charges import charge

BILL = make_focus([charge("10.25", "bert"), charge("3.5", 'llama, "large"'), charge("-1", category="Credit")])


@pytest.mark.parametrize("name", ["bill.csv", "bill.csv.gz"])
def test_pandas_reads_what_is_written_and_so_do_we(tmp_path, name):
    write_focus(BILL, tmp_path / name)
    seen = pd.read_csv(tmp_path / name)
    assert list(seen.columns) == list(BILL.columns)
    assert seen["EffectiveCost"].sum() == pytest.approx(12.75)
    assert read_focus(tmp_path / name).rows == BILL.rows
    assert validate_focus(tmp_path / name) == []


def test_the_same_rows_give_the_same_bytes():
    assert to_bytes(BILL, compressed=True) == to_bytes(BILL, compressed=True)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.decimals(-1_000_000, 1_000_000, places=10),
            st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3),
            st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12),
        ),
        max_size=5,
    )
)
def test_any_rows_survive_a_file(rows):
    made = make_focus(
        charge(usd, Tags=tags or None, ChargeDescription=f"[{text}]", ChargeClass="Correction")
        for usd, tags, text in rows
    )
    again = read_bytes(to_bytes(made, compressed=True), "here", strict=True)
    assert again.rows == made.rows
    assert again.total() == sum((usd for usd, _, _ in rows), Decimal(0))


def test_the_frame_holds_floats_times_and_tags():
    frame = BILL.frame()
    assert frame["BilledCost"].sum() == pytest.approx(12.75)
    assert str(frame["ChargePeriodStart"].dt.tz) == "UTC"
    assert frame["Tags"][0] == {"project": "bert"}


def test_a_month_that_is_not_there_names_those_that_are():
    with pytest.raises(FocusError, match=r"month='2026-11' has no rows; there are: 2026-12"):
        BILL.month("2026-11")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"\x1f\x8bbroken", "is no CSV"),
        (gzip.compress(b"Cost\n1\n" * 99, mtime=0)[:12] + b"\xff\xff\xff", "is no CSV"),
        (b"\xff\xfe\x00", "is no CSV"),
        (b"Cost\n1\n", "is missing"),
    ],
)
def test_a_file_that_is_none_is_one_line(tmp_path, content, told):
    path = tmp_path / "bill.csv"
    path.write_bytes(content)
    with pytest.raises(FocusError, match=rf"{told}.*Remedy: ") as caught:
        read_focus(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(FocusError, match=r"can't be read: No such file"):
        read_focus(tmp_path / "none.csv")


def test_two_currencies_are_not_added_up():
    with pytest.raises(FocusError, match=r"EUR, USD"):
        _ = make_focus([charge(), charge(BillingCurrency="EUR")]).currency


def put(s3, key, *rows):
    s3.put_object(Bucket="bills", Key=key, Body=to_bytes(make_focus(rows), compressed=key.endswith("gz")))


def test_all_pages_of_a_prefix_are_read_and_other_files_left(account):
    s3 = account.client("s3")
    s3.create_bucket(Bucket="bills")
    for number in range(5):
        put(s3, f"b/focus/data/BILLING_PERIOD=2026-12/focus-{number:05}.csv.gz", charge(1, "bert"))
    put(s3, "b/focus/data/BILLING_PERIOD=2026-11/focus-00001.csv", charge(100))
    put(s3, "other/BILLING_PERIOD=2026-12/x.csv", charge(1000))
    s3.put_object(Bucket="bills", Key="b/focus/metadata/BILLING_PERIOD=2026-12/focus-Manifest.json", Body=b"{}")
    pages = []

    def small(params, **_):
        pages.append(params.get("ContinuationToken"))
        return {**params, "MaxKeys": 2}

    s3.meta.events.register("provide-client-params.s3.ListObjectsV2", small, unique_id="small")
    try:
        assert read_focus_s3(account, "bills", "b/", month="2026-12").total() == 5
        assert len(pages) == 4
        assert read_focus_s3(account, "bills", "b/").total() == 105
    finally:
        s3.meta.events.unregister("provide-client-params.s3.ListObjectsV2", unique_id="small")
    with pytest.raises(FocusError, match=r"holds no CSV of 2026-10"):
        read_focus_s3(account, "bills", "b/", month="2026-10")


def test_of_several_executions_of_a_month_only_the_newest_counts(account):
    s3 = account.client("s3")
    s3.create_bucket(Bucket="bills")
    for day, usd in (("02", 1), ("03", 3)):
        put(s3, f"b/focus/data/BILLING_PERIOD=2026-12/2026-12-{day}T08:00:00.000Z-ab/focus-00001.csv.gz", charge(usd))
    assert read_focus_s3(account, "bills", "b").total() == 3


def test_two_exports_of_one_bill_are_not_added_up(account):
    s3 = account.client("s3")
    s3.create_bucket(Bucket="bills")
    for name, usd in (("focus", 1), ("focus-hourly", 1)):
        put(s3, f"b/{name}/data/BILLING_PERIOD=2026-12/focus-00001.csv.gz", charge(usd))
    with pytest.raises(FocusError, match=r"of 123456789012 for 2026-12 twice, in b/focus-hourly/data and .*Remedy"):
        read_focus_s3(account, "bills", "b/focus")
    assert read_focus_s3(account, "bills", "b/focus/").total() == 1
    other = "b/others/data/BILLING_PERIOD=2026-12/focus-00001.csv.gz"
    put(s3, other, charge(5, BillingAccountId="210987654321"))
    s3.delete_object(Bucket="bills", Key="b/focus-hourly/data/BILLING_PERIOD=2026-12/focus-00001.csv.gz")
    assert read_focus_s3(account, "bills", "b/").total() == 6


def test_a_file_of_the_specifications_byte_order_mark_and_gzip_is_read(tmp_path):
    path = tmp_path / "bom.csv.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + to_bytes(BILL, compressed=False)))
    assert read_focus(path).columns == BILL.columns
