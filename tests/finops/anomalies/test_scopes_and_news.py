"""Layers, and telling once. Oracle: hand-made scopes whose truth is known, and a file read back with json."""

import json
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from course_lib.finops.anomalies import detect, find_anomalies, load_seen, news, save_seen
from course_lib.finops.errors import FinopsError
from course_lib.finops.usage import daily

FIRST = date(2026, 9, 7)
DAYS = 70


def quiet(level, seed):
    return level + np.random.default_rng(seed).normal(0, 0.02 * level, DAYS)


def scopes(**usd):
    """Series by name; "total" is the sum of the regions."""
    found = {
        name.replace("__", "="): daily(name.replace("__", "="), FIRST, list(values)) for name, values in usd.items()
    }
    regions = [np.array(one.usd) for name, one in found.items() if name.startswith("region")]
    return {"total": daily("total", FIRST, list(sum(regions))), **found}


def test_opposite_changes_hide_in_the_total_and_not_in_their_scopes():
    east, west = quiet(500, 1), quiet(500, 2)
    east[50:] += 250
    west[50:] -= 250
    given = scopes(region__east=east, region__west=west)
    assert detect(given["total"]).anomalies == ()
    (found,) = find_anomalies(given)
    assert (found.scope, found.kind) == ("region=east", "jump")


def test_the_same_money_is_one_anomaly_of_the_narrowest_scope():
    east, bert = quiet(500, 1), quiet(100, 3)
    bert[50:53] += 300
    east[50:53] += 300
    given = scopes(region__east=east, region__west=quiet(300, 2), project__bert=bert)
    (found,) = find_anomalies(given)
    assert found.scope == "project=bert"
    assert set(found.also) == {"region=east", "total"}
    assert found.impact_usd == pytest.approx(900, rel=0.1)


def test_two_regions_are_never_the_same_money():
    east, west = quiet(500, 1), quiet(400, 2)
    east[50] += 400
    west[50] += 400
    found = find_anomalies(scopes(region__east=east, region__west=west))
    # The total's jump is the sum of theirs, and none of its own.
    assert {one.scope: one.also for one in found} == {"region=east": ("total",), "region=west": ("total",)}


def test_a_region_that_nobody_used_is_news_from_a_dollar_on():
    west = np.zeros(DAYS)
    west[60:] = 5.0  # under the floor of 20 USD, and 1 % of the total
    (found,) = find_anomalies(scopes(region__east=quiet(500, 1), region__west=west))
    assert (found.scope, found.kind, found.expected_usd) == ("region=west", "new", 0.0)
    assert found.start.date() == FIRST + timedelta(days=60)
    west[60:] = 0.4
    assert find_anomalies(scopes(region__east=quiet(500, 1), region__west=west)) == ()


def test_scopes_of_different_intervals_are_refused():
    given = {"total": daily("total", FIRST, [1.0]), "region=a": daily("region=a", FIRST, [1.0, 2.0])}
    with pytest.raises(FinopsError, match=r"must cover one interval in equal steps"):
        find_anomalies(given)
    assert find_anomalies({}) == ()


def test_told_once_and_again_when_it_has_grown(tmp_path):
    usd = quiet(100, 1)
    usd[60:] += 100
    path, told = tmp_path / "told.json", []
    for end in range(61, 67):
        found = find_anomalies({"total": daily("total", FIRST, list(usd[:end]))})
        tell, after = news(found, load_seen(path), growth=1.4)
        save_seen(path, after)
        told.append(len(tell))
        assert news(found, load_seen(path))[0] == ()  # looked at again on the same day
    # Its cost is 100, 200, 300, ...; told at 100, and at the next that is 1.4 times what was told.
    assert told == [1, 1, 1, 0, 1, 0]
    (row,) = json.loads(path.read_text()).values()
    assert row["last"] == (FIRST + timedelta(days=64)).isoformat()
    assert row["impact_usd"] == pytest.approx(500, rel=0.1)


def test_what_has_ended_is_not_told_again():
    usd = quiet(100, 1)
    usd[60] += 100
    (one,) = find_anomalies({"total": daily("total", FIRST, list(usd))})
    _, after = news([one], {})
    assert news([replace(one, usd=one.usd + 1000)], after)[0] == ()  # the same last day: a corrected bill


@pytest.mark.parametrize("text", ["no json", "[]", '{"a": {"last": "yesterday", "impact_usd": 1}}', '{"a": {}}'])
def test_a_file_that_is_no_record_is_refused(tmp_path, text):
    path = tmp_path / "told.json"
    path.write_text(text)
    with pytest.raises(FinopsError, match=r"seen='told.json' is no record of anomalies"):
        load_seen(path)


def test_growth_has_to_be_growth():
    with pytest.raises(FinopsError, match=r"growth=1 must be above 1"):
        news([], {}, growth=1)


def test_what_begins_together_but_costs_otherwise_is_told_apart():
    east, west, bert = quiet(500, 1), quiet(400, 2), quiet(100, 3)
    bert[50] += 300
    east[50] += 300
    west[50] += 1000
    found = find_anomalies(scopes(region__east=east, region__west=west, project__bert=bert))
    assert {one.scope: one.also for one in found} == {"project=bert": ("region=east",), "region=west": ("total",)}
