"""Price histories and interruption logs. Oracle: boto3's parser, values read off by hand, cut-off random lives."""

import json
import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from course_lib.finops.spot import (
    SpotError,
    prices_from_history,
    read_interruptions,
    read_prices,
)
from course_lib.runtime import local_aws

HOUR = 3600
START = datetime(2026, 1, 1, tzinfo=UTC)


def row(hours, price, zone="us-east-1a", system="Linux/UNIX", kind="trn1.2xlarge"):
    return {
        "AvailabilityZone": zone,
        "InstanceType": kind,
        "ProductDescription": system,
        "SpotPrice": price,
        "Timestamp": START + timedelta(hours=hours),
    }


HISTORY = [row(5, "0.30"), row(2, "0.50"), row(0, "0.40"), row(1, "9.9", system="Windows"), row(3, "1.0", "us-east-1b")]


def test_a_history_newest_first_becomes_one_trace_for_each_pool():
    """Oracle: prices read off by hand."""
    traces = prices_from_history(HISTORY, until=START + timedelta(hours=8))
    assert sorted(traces) == [("trn1.2xlarge", "us-east-1a"), ("trn1.2xlarge", "us-east-1b")]
    trace = traces["trn1.2xlarge", "us-east-1a"]
    assert trace.at(np.array([0, 1.9, 2, 4.9, 5, 7.9]) * HOUR).tolist() == [0.4, 0.4, 0.5, 0.5, 0.3, 0.3]
    assert trace.mean_usd_per_hour == pytest.approx((2 * 0.4 + 3 * 0.5 + 3 * 0.3) / 8)
    assert (trace.start, trace.zone) == (START, "us-east-1a")


def test_the_answer_of_an_ec2_client_is_read_as_it_is():
    """Oracle: boto3's parser of DescribeSpotPriceHistory, talking to moto."""
    with local_aws() as aws:
        rows = aws.client("ec2").describe_spot_price_history(InstanceTypes=["trn1.2xlarge"])["SpotPriceHistory"]
    traces = prices_from_history(rows, until=datetime(2026, 11, 1, tzinfo=UTC))
    assert len(traces) == len({one["AvailabilityZone"] for one in rows}) > 0


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_files_of_both_kinds_say_the_same(tmp_path, kind):
    rows = [{**one, "Timestamp": one["Timestamp"].isoformat().replace("+00:00", "Z")} for one in HISTORY]
    path = tmp_path / f"history.{kind}"
    if kind == "json":
        path.write_text(json.dumps({"SpotPriceHistory": rows}))
    else:
        lines = [",".join(rows[0]), *(",".join(one.values()) for one in rows)]
        path.write_text("\n".join(lines))
    ours = read_prices(path, until=START + timedelta(hours=8))
    theirs = prices_from_history(HISTORY, until=START + timedelta(hours=8))
    assert ours.keys() == theirs.keys()
    for pool, trace in ours.items():
        np.testing.assert_array_equal(trace.usd_per_hour, theirs[pool].usd_per_hour)
        assert trace.source == str(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"SpotPrice": "free"}, "row 3: SpotPrice='free'"),
        ({"SpotPrice": "0"}, "above 0"),
        ({"Timestamp": datetime(2026, 1, 1)}, "row 3: Timestamp.*UTC"),
        ({"Timestamp": "yesterday"}, "is no moment"),
        ({"Timestamp": ""}, r"lacks \['Timestamp'\]"),
        ({"Timestamp": START + timedelta(hours=2)}, "contradicts 0.5"),
    ],
)
def test_a_bad_row_is_named(change, words):
    rows = [*HISTORY[:2], {**HISTORY[2], **change}]
    with pytest.raises(SpotError, match=words):
        prices_from_history(rows, until=START + timedelta(hours=8))


@pytest.mark.parametrize(
    ("rows", "until", "words"),
    [
        ([], None, "no price of Linux"),
        ([row(0, "1")], None, "one price"),
        (HISTORY[:3], START, "is not after"),
        (HISTORY[:3], datetime(2026, 2, 1), "UTC"),
    ],
)
def test_a_history_without_a_use_says_why(rows, until, words):
    with pytest.raises(SpotError, match=words):
        prices_from_history(rows, until=until)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.txt", "", "neither .csv nor .json"),
        ("a.json", "{", "is not JSON"),
        ("a.json", '{"Prices": []}', "no list 'SpotPriceHistory'"),
        ("a.csv", "SpotPrice,Timestamp\n1,2026-01-01T00:00:00Z\n", "lacks"),
        ("a.csv", "SpotPrice,Timestamp\n\xff,2026-01-01T00:00:00Z\n", "is not CSV .*invalid start byte.*Remedy"),
        ("a.csv", "SpotPrice,Timestamp\n" + "1" * 200_000, "is not CSV .*field limit.*Remedy"),
        ("a.json", '{"SpotPriceHistory": "\xff"}', "is not JSON .*invalid start byte.*Remedy"),
    ],
)
def test_a_file_of_another_kind_says_why(tmp_path, name, text, words):
    (tmp_path / name).write_text(text, encoding="latin-1")
    with pytest.raises(SpotError, match=words):
        read_prices(tmp_path / name)


LOG = """launched_at,ended_at,interrupted
2026-01-01T10:00:00Z,2026-01-01T12:00:00Z,true
2026-01-01T00:00:00Z,2026-01-01T09:00:00Z,true
2026-01-01T12:30:00Z,2026-01-02T01:30:00Z,false
"""


def test_a_log_counts_the_survivors_too(tmp_path):
    """Oracle: 24 hours of uptime and 2 interruptions, by hand; 5.5 h would be the mean of the interrupted ones."""
    path = tmp_path / "log.csv"
    path.write_text(LOG)
    log = read_interruptions(path)
    mean = log.mean_seconds_between_interruptions()
    assert mean.value == 12 * HOUR
    assert mean.standard_error == pytest.approx(12 * HOUR / math.sqrt(2))
    assert log.waits_seconds == (HOUR, HOUR / 2)
    assert log.trace().seconds.tolist() == [9 * HOUR, 12 * HOUR]


def test_the_estimate_from_cut_off_lives_is_unbiased(tmp_path):
    """Oracle: 4,000 exponential lives of 5 h that a time limit of 3 h cuts off."""
    lives = np.random.default_rng(2).exponential(5 * HOUR, 4000)
    rows = [
        {
            "launched_at": (START + timedelta(days=number)).isoformat(),
            "ended_at": (START + timedelta(days=number, seconds=float(min(life, 3 * HOUR)))).isoformat(),
            "interrupted": str(bool(life < 3 * HOUR)),
        }
        for number, life in enumerate(lives)
    ]
    path = tmp_path / "log.json"
    path.write_text(json.dumps(rows))
    mean = read_interruptions(path).mean_seconds_between_interruptions()
    assert mean.value == pytest.approx(5 * HOUR, abs=3 * mean.standard_error)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("true", "yes", "neither true nor false"),
        ("T09:00:00Z", "T09:00:00", "UTC"),
        ("2026-01-01T12:00:00Z", "2026-01-01T10:00:00Z", "row 1: ended_at.*not after"),
        (LOG[LOG.index("\n") :], "", "no session"),
    ],
)
def test_a_bad_log_is_refused(tmp_path, old, new, words):
    path = tmp_path / "log.csv"
    path.write_text(LOG.replace(old, new))
    with pytest.raises(SpotError, match=words):
        read_interruptions(path)


def test_a_log_without_interruptions_gives_only_a_bound(tmp_path):
    """Oracle: the rule of three: a third of 24 h."""
    path = tmp_path / "log.csv"
    path.write_text(LOG.replace("true", "false"))
    with pytest.raises(SpotError, match=r"above 2\.88e\+04 s"):
        read_interruptions(path).mean_seconds_between_interruptions()
