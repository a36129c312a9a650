"""Fleets and lives. Oracle: the sums written out, and prices read from the catalog's table."""

import pytest

from course_lib.catalog import CatalogError, prices
from course_lib.finops.errors import FinopsError
from course_lib.finops.lifecycle import Traffic, compare_lives, fleet, life, serving

TRAFFIC = Traffic(1e6, prompt_tokens=512, answer_tokens=256, peak_over_mean=3)


def listed(name):
    rows = prices().query("instance == @name and purchase == 'on_demand' and region == 'us-east-1'")
    return rows.sort_values("date")["usd_per_hour"].iloc[-1]


def test_a_fleet_is_bought_for_the_peak_and_paid_for_all_day():
    found = fleet("llama3-8b", "inf2.xlarge", TRAFFIC, efficiency=0.5)
    rate = serving("llama3-8b", "inf2.xlarge", prompt_tokens=512, answer_tokens=256, efficiency=0.5).requests_per_second
    assert (found.instances - 1) * rate < 3e6 / 86_400 <= found.instances * rate
    assert found.usd_per_day == pytest.approx(24 * found.instances * listed("inf2.xlarge"))
    assert found.busy_share == pytest.approx(1e6 / 86_400 / (found.instances * rate))
    assert 1 / 4 < found.busy_share <= 1 / 3
    assert found.usd_per_million_tokens == pytest.approx(found.usd_per_day / 256)


def test_two_machines_stay_however_quiet_it_is():
    quiet = fleet("llama3-8b", "inf2.xlarge", Traffic(10, 512, 256), efficiency=0.5, at_least=2)
    assert quiet.instances == 2
    assert quiet.usd_per_million_tokens > 1_000


def test_a_life_is_its_trainings_and_its_days():
    served = fleet("llama3-8b", "inf2.xlarge", TRAFFIC, efficiency=0.5, usd_per_hour=1.0)
    found = life(10_000, served, 100, trained_on="trn1.32xlarge", trainings=3)
    assert found.usd == 30_000 + 100 * 24 * served.instances
    assert found.days_until_serving_costs_more == 30_000 / (24 * served.instances)


def test_every_pair_is_compared_and_what_has_no_price_or_room_is_named():
    found = compare_lives(
        "llama3-8b",
        1e11,
        TRAFFIC,
        180,
        train_on=["trn1.32xlarge", "p5.48xlarge", "p5e.48xlarge"],
        serve_on=["inf2.xlarge", "p3.2xlarge", "g6e.xlarge"],
        mfu=0.4,
        efficiency=0.5,
    )
    assert len(found.priced) == 4
    assert [one.usd for one in found.priced] == sorted(one.usd for one in found.priced)
    flops = 6 * 8_030_261_248 * 1e11
    hours = flops / (16 * 190e12 * 0.4) / 3600
    trained = next(one for one in found.priced if one.trained_on == "trn1.32xlarge")
    assert trained.training_usd == pytest.approx(hours * listed("trn1.32xlarge"), rel=1e-3)
    assert set(found.left_out) == {"train on p5e.48xlarge", "serve on p3.2xlarge"}
    assert "price" in found.left_out["train on p5e.48xlarge"]
    assert "no peak rate for dtype 'bf16'" in found.left_out["serve on p3.2xlarge"]


def test_a_chip_without_room_is_named_and_an_unknown_one_is_an_error():
    arguments = {"train_on": ["p5.48xlarge"], "mfu": 0.4, "efficiency": 0.5}
    found = compare_lives("llama3-70b", 1e9, TRAFFIC, 1, serve_on=["inf2.xlarge", "p5.48xlarge"], **arguments)
    assert [one.served_on for one in found.priced] == ["p5.48xlarge"]
    assert "GB" in found.left_out["serve on inf2.xlarge"]
    with pytest.raises(CatalogError, match=r"zzz9\.bogus"):
        compare_lives("llama3-70b", 1e9, TRAFFIC, 1, serve_on=["zzz9.bogus"], **arguments)


def test_a_mistake_of_the_caller_is_no_property_of_a_chip():
    with pytest.raises(FinopsError, match=r"efficiency=2 must be above 0 and at most 1"):
        compare_lives(
            "llama3-8b", 1e9, TRAFFIC, 1, train_on=["p5.48xlarge"], serve_on=["inf2.xlarge"], mfu=0.4, efficiency=2
        )


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: Traffic(0, 1, 1), r"requests_per_day=0 must be a finite number above 0"),
        (lambda: Traffic(1, 1, 1, 0.5), r"peak_over_mean=0\.5 must be at least 1"),
        (lambda: Traffic(1, 1, 0), r"answer_tokens=0 must be a whole number"),
        (lambda: fleet("llama3-8b", "inf2.xlarge", TRAFFIC, efficiency=0.5, at_least=0), r"at_least=0"),
        (lambda: fleet("llama3-8b", "inf2.xlarge", TRAFFIC, efficiency=0.5, usd_per_hour=-1), r"usd_per_hour=-1"),
        (
            lambda: compare_lives(
                "llama3-8b", 1, TRAFFIC, 1, train_on=[], serve_on=["inf2.xlarge"], mfu=0.4, efficiency=0.5
            ),
            r"are empty",
        ),
    ],
)
def test_a_value_out_of_range_is_refused(call, told):
    with pytest.raises(FinopsError, match=told):
        call()
