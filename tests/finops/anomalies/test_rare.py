"""Spend on few days. Oracle: labels of the generator (seeds 31000 on; thresholds were chosen on 0 to 99), hand-made
runs whose truth is known, and two peers: the plain z-score and statsmodels' STL."""

from dataclasses import replace
from datetime import date
from functools import reduce
from operator import add

import numpy as np
import pytest

from course_lib.finops.anomalies import (
    WARM,
    Rule,
    detect,
    make_rare_trace,
    make_trace,
    score,
    stl_reports,
    z_score_reports,
)
from course_lib.finops.usage import daily

DAYS = 140


def once_a_week(cost=200.0, day=2):
    usd = np.zeros(DAYS)
    usd[day::7] = cost * np.exp(np.random.default_rng(0).normal(0, 0.03, len(usd[day::7])))
    return usd


def found(usd, rule=None):
    series = daily("project", date(2026, 1, 1), list(usd))
    return [
        ((one.start - series.start).days, (one.last - series.start).days, one) for one in detect(series, rule).anomalies
    ]


@pytest.fixture(scope="module")
def traces():
    return [make_rare_trace(seed) for seed in range(31000, 31030)]


def total(find, traces):
    return reduce(add, (score(find(trace.series), trace.events) for trace in traces))


def ours(series):
    return [(one.start - series.start).days for one in detect(series).anomalies]


def test_recall_precision_and_ends_on_unseen_traces(traces):
    measured = total(ours, traces)
    assert measured.recall >= 0.9
    assert measured.precision >= 0.85
    for z in (2.0, 3.0, 4.0):
        peer = total(lambda series, z=z: z_score_reports(series, z), traces)
        assert measured.recall + measured.precision > peer.recall + peer.precision
    few = traces[:2]
    mine, peer = total(ours, few), total(stl_reports, few)
    assert mine.recall + mine.precision > peer.recall + peer.precision
    right = []
    for trace in traces:
        told = {(one.start - trace.series.start).days: one for one in detect(trace.series).anomalies}
        assert all((one.last - one.start).days <= 28 for one in told.values())  # nothing goes on for weeks
        for event in trace.events:
            hit = [one for day, one in told.items() if event.first <= day <= event.until]
            if hit and event.kind != "shift":
                right.append(abs((hit[0].last - trace.series.start).days - event.last) <= 3)
    assert np.mean(right) >= 0.95


def test_a_project_that_runs_once_a_week_is_left_in_peace(traces):
    assert found(once_a_week()) == []
    quiet = [make_rare_trace(seed, kinds=()) for seed in range(31100, 31110)]
    assert total(ours, quiet).reports <= 10 * (240 - WARM) / 500


def test_a_machine_left_on_ends_when_it_was_stopped():
    usd = once_a_week()
    usd[73:83] = 600.0
    ((first, last, one),) = found(usd)
    assert (first, last) == (73, 82)
    assert not one.open
    assert one.impact_usd == pytest.approx(10 * 600 - 200, rel=0.1)  # its weekly run lay within


def test_as_dear_as_ever_but_every_day():
    usd = once_a_week()
    usd[73:83] = 200.0
    ((first, last, _),) = found(usd)
    assert 73 <= first <= 75
    assert last == 82


def test_dearer_runs_are_one_anomaly_and_then_the_level():
    usd = once_a_week()
    usd[70:] *= 2
    ((first, last, _),) = found(usd)
    assert first == 72
    assert last <= 100
    usd[121] *= 3
    assert [start for start, _, _ in found(usd)] == [72, 121]


def test_from_rare_to_daily_and_back_nothing_goes_on():
    usd = once_a_week()
    usd[70:] = 200.0
    ((first, last, one),) = found(usd)
    assert 70 <= first <= 75
    assert last - first <= 15
    assert not one.open


def test_days_without_a_run_are_no_gaps():
    told = detect(daily("project", date(2026, 1, 1), list(once_a_week())))
    assert told.clean[28:] == pytest.approx(once_a_week()[28:])


def test_a_rare_day_is_judged_by_its_own_past_only():
    trace = make_rare_trace(2)
    whole = detect(trace.series)
    for end in (60, 110, 170, 231):
        part = detect(replace(trace.series, usd=trace.series.usd[:end]))
        assert np.array_equal(part.expected, whole.expected[:end])
        assert np.array_equal(part.upper, whole.upper[:end])


def test_a_daily_series_is_judged_as_without_this_rule():
    for seed in (7000, 7001, 7002):
        series = make_trace(seed).series
        assert detect(series).anomalies == detect(series, Rule(few=0)).anomalies


def test_a_trace_is_its_seeds_and_runs_on_few_days():
    assert make_rare_trace(3) == make_rare_trace(3)
    for seed in range(5):
        usd = np.array(make_rare_trace(seed, kinds=()).series.usd)
        assert 0.05 < np.mean(usd > 0.1 * usd.max()) < 0.35
