"""Recall and precision. Oracle: traces labelled by their generator, of seeds that no threshold was chosen on (those
were 0 to 99), and two peers: the plain z-score and statsmodels' STL."""

from functools import reduce
from operator import add

import numpy as np
import pytest

from course_lib.finops.anomalies import (
    WARM,
    Event,
    Score,
    detect,
    make_trace,
    score,
    stl_reports,
    z_score_reports,
)

UNSEEN = range(7000, 7030)


def ours(series):
    return [(one.start - series.start).days for one in detect(series).anomalies]


def total(find, traces):
    return reduce(add, (score(find(trace.series), trace.events) for trace in traces))


@pytest.fixture(scope="module")
def traces():
    return [make_trace(seed) for seed in UNSEEN]


@pytest.fixture(scope="module")
def measured(traces):
    return total(ours, traces)


def test_recall_and_precision_on_unseen_traces(measured):
    assert sum(measured.events.values()) > 70
    assert measured.recall >= 0.9
    assert measured.precision >= 0.9
    assert all(measured.hits[kind] >= 0.8 * measured.events[kind] for kind in measured.events)


def test_a_quiet_account_is_left_in_peace():
    quiet = [make_trace(seed, kinds=()) for seed in range(7100, 7110)]
    assert total(ours, quiet).reports <= 10 * (180 - WARM) / 500  # one false alarm in 500 days at most


def test_more_is_found_than_by_the_plain_z_score(traces, measured):
    for z in (2.0, 3.0):
        peer = total(lambda series, z=z: z_score_reports(series, z), traces)
        assert measured.recall + measured.precision > peer.recall + peer.precision


def test_more_is_found_than_by_stl():
    few = [make_trace(seed, days=110) for seed in (7000, 7001)]
    mine, peer = total(ours, few), total(stl_reports, few)
    assert mine.recall + mine.precision > peer.recall + peer.precision


def test_a_trace_is_its_seeds_and_holds_what_its_label_says():
    one, again, other = make_trace(3), make_trace(3), make_trace(4)
    assert one == again
    assert one.series != other.series
    assert min(one.series.usd) >= 0
    kept = [make_trace(seed, kinds=("spike",), noise=0.0) for seed in range(20)]
    for trace in kept:
        for event in trace.events:
            days = trace.series.usd[event.first : event.last + 1]
            if 0 not in days:
                before = np.median(trace.series.usd[event.first - 14 : event.first])
                assert sum(days) > event.usd
                assert max(days) > 1.3 * before


EVENTS = (Event("spike", 50, 51, 10.0), Event("leak", 80, 110, 10.0))


@pytest.mark.parametrize(
    ("reports", "recall", "precision"),
    [
        ([50, 80], 1.0, 1.0),
        ([50, 101], 1.0, 1.0),  # the last day on which a leak may be told
        ([51, 80], 0.5, 0.5),  # a spike that is told a day late is missed
        ([50, 102], 0.5, 0.5),
        ([50, 50, 80], 1.0, 2 / 3),  # told twice
        ([10, 50, 80], 1.0, 1.0),  # in the days that don't count
        ([WARM, 50, 80], 1.0, 2 / 3),
        ([], 0.0, 1.0),
    ],
)
def test_what_counts_as_a_hit(reports, recall, precision):
    found = score(reports, EVENTS)
    assert (found.recall, found.precision) == (pytest.approx(recall), pytest.approx(precision))


def test_scores_add_up():
    both = score([50], EVENTS) + score([80], EVENTS)
    assert both == Score({"spike": 1, "leak": 1}, {"spike": 2, "leak": 2}, 2)
