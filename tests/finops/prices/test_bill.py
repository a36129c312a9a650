"""A run's bill. Oracle: Decimal sums written out by hand, AWS's published EBS example, hypothesis for the cents."""

import datetime
from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.finops.prices import (
    PriceError,
    RunTimes,
    StorageUse,
    TransferUse,
    explain_bill,
    flat_rate,
    given_price,
    price_of,
)

DAY = datetime.date(2026, 11, 1)
OWN = given_price("p5.48xlarge", 55.04, today=DAY)
GB_MONTH = flat_rate(0.1, "GB-Mo", source="an example", date=DAY)
PER_GB = flat_rate(Decimal("0.09"), "GB", source="an example", date=DAY)


def test_each_part_is_its_hours_times_the_price():
    bill = explain_bill(RunTimes(36_000, 1_800, 900, 7_200), OWN, instances=16)
    hours = {
        "compute, useful": Decimal(160),
        "compute, writing checkpoints": Decimal(8),
        "compute, lost to failures and restarts": Decimal(4),
        "compute, idle": Decimal(32),
    }
    assert {line.part: line.quantity for line in bill.lines} == hours
    assert {line.part: line.usd for line in bill.lines} == {
        part: (quantity * Decimal("55.04")).quantize(Decimal("0.01")) for part, quantity in hours.items()
    }
    assert bill.usd == Decimal("11228.16")


def test_a_volume_costs_what_awss_example_says():
    """https://aws.eu/ebs/pricing: 2,000 GB for 12 hours at 0.09394 a GB-month is 3.13133 (read 2026-11-26)."""
    rate = flat_rate(Decimal("0.09394"), "GB-Mo", source="aws.eu/ebs/pricing", date=datetime.date(2026, 11, 26))
    bill = explain_bill(RunTimes(0), OWN, storage=[StorageUse("ebs-gp3", 2000, 12, rate)])
    assert bill.lines[-1].exact_usd == pytest.approx(Decimal("3.13133"), abs=Decimal("0.00001"))


def test_storage_for_each_instance_and_transfer_are_lines_with_their_source():
    storage = [StorageUse("ebs-gp3", 500, 72, GB_MONTH, count=16)]
    bill = explain_bill(RunTimes(3600), OWN, storage=storage, transfer=[TransferUse("internet-out", 150, PER_GB)])
    assert bill.of("storage") == Decimal("80.00")  # 16 x 500 GB x 72 h / 720 h x 0.1
    assert bill.of("transfer") == Decimal("13.50")
    assert bill.usd == Decimal("55.04") + Decimal("80.00") + Decimal("13.50")
    assert all(line.source and line.date == DAY for line in bill.lines)


def test_an_unknown_price_is_a_line_without_an_amount():
    bill = explain_bill(RunTimes(3600), OWN, transfer=[TransferUse("internet-out", 150, None)])
    (unknown,) = bill.unknown
    assert (unknown.what, unknown.usd, unknown.date) == ("internet-out", None, None)
    assert "unknown" in unknown.source
    assert bill.usd == Decimal("55.04")
    assert bill.as_dict()["complete"] is False


def test_the_age_of_the_price_is_a_warning_of_the_bill():
    old = price_of("p5.48xlarge", today=datetime.date(2027, 11, 1))
    assert explain_bill(RunTimes(3600), old).warnings == (old.warning,)


SECONDS = st.floats(0, 1e7)


@settings(max_examples=150, deadline=None)
@given(
    st.tuples(SECONDS, SECONDS, SECONDS, SECONDS),
    st.decimals("0.0001", "120", places=6),
    st.integers(1, 4000),
    st.lists(st.floats(0.001, 1e6), max_size=4),
)
def test_the_parts_add_up_to_the_total_to_the_cent(times, usd, instances, sizes):
    storage = [StorageUse("ebs-gp3", size, 7.3, GB_MONTH) for size in sizes]
    bill = explain_bill(
        RunTimes(*times), given_price("p5.48xlarge", usd, today=DAY), instances=instances, storage=storage
    )
    whole = sum(
        (Decimal(str(part)) * instances * usd / 3600 for part in times),
        sum((Decimal(str(size)) * Decimal("7.3") / 720 * Decimal("0.1") for size in sizes), Decimal()),
    )
    assert sum(line.usd for line in bill.lines) == bill.usd
    # Rounding of the 28th digit aside, the total is the exact sum's, rounded once.
    assert abs(bill.usd - whole) <= Decimal("0.005") + Decimal("1e-12")
    assert all(abs(line.usd - line.exact_usd) < Decimal("0.01") for line in bill.lines)
    assert bill.usd == sum(line.exact_usd for line in bill.lines).quantize(Decimal("0.01"), ROUND_HALF_UP)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"instances": 0}, r"instances=0 must be a whole number"),
        ({"instances": 10**400}, r"instances=.* is more than 1,000,000"),
        ({"storage": [StorageUse("x", -1, 1, GB_MONTH)]}, r"gb=-1"),
        ({"storage": [StorageUse("x", 1, float("nan"), GB_MONTH)]}, r"hours=nan"),
        ({"storage": [StorageUse("x", 1, 1, GB_MONTH, count=0)]}, r"count=0"),
        ({"storage": [StorageUse("x", 1, 1, PER_GB)]}, r"unit='GB' is not GB-Mo, in which storage is counted"),
        ({"transfer": [TransferUse("x", 0, PER_GB)]}, r"gb=0 must be above 0"),
    ],
)
def test_bad_quantities_are_refused(given, told):
    with pytest.raises(PriceError, match=told):
        explain_bill(RunTimes(1), OWN, **given)


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "an hour"])
def test_times_below_zero_are_refused(seconds):
    with pytest.raises(PriceError, match=r"lost_seconds="):
        RunTimes(1, lost_seconds=seconds)
