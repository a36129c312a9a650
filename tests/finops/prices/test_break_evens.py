"""Break-evens. Oracle: published numbers, both bills computed hour by hour with Decimal, and simulated spot runs."""

from decimal import Decimal

import numpy as np
import pytest

from course_lib.finops.prices import CapacityBlock, PriceError, commitment, spot_against_on_demand, stop_or_keep
from course_lib.finops.spot import EXACT, ExponentialInterruptions, SpotJob, SpotMarket, compare_purchase

HOUR = 3600.0
SPOT = {"mtbf_seconds": 4 * HOUR, "checkpoint_seconds": 120.0, "restart_seconds": 600.0}


def test_spot_pays_below_the_published_share():
    """C = 2 min, M = 4 h, R = 10 min: E/W = 1.18959 at Daly's interval, so below 0.84063 of the on-demand price."""
    found = spot_against_on_demand(63.296, spot_usd_per_hour=27.1988, **SPOT)
    assert found.interval_seconds == pytest.approx(0.49441 * HOUR, rel=1e-4)
    assert found.ratio == pytest.approx(0.84063, abs=1e-5)
    assert float(found.highest_usd_per_hour) == pytest.approx(63.296 * 0.84063, rel=1e-5)
    assert found.saving == pytest.approx(1 - 27.1988 * 1.18959 / 63.296, rel=1e-4)


def test_simulated_spot_runs_break_even_at_the_same_share():
    found = spot_against_on_demand(10, **SPOT)
    job = SpotJob(100 * HOUR, found.interval_seconds, 120.0, 600.0)
    market = SpotMarket(ExponentialInterruptions(4 * HOUR), 5.0, on_demand_usd_per_hour=10.0, billing=EXACT)
    simulated = compare_purchase(job, market, runs=3_000, seed=3).break_even_ratio
    assert found.ratio == pytest.approx(simulated, rel=0.01)


def test_failures_on_demand_raise_the_share():
    """The same market on both sides breaks even at the same price."""
    assert spot_against_on_demand(10, on_demand_mtbf_seconds=4 * HOUR, **SPOT).ratio == pytest.approx(1)
    calm = spot_against_on_demand(10, on_demand_mtbf_seconds=100 * HOUR, **SPOT)
    assert spot_against_on_demand(10, **SPOT).ratio < calm.ratio < 1


def test_a_commitment_pays_from_the_hour_at_which_both_bills_cross():
    on_demand, hourly, upfront = Decimal("55.04"), Decimal("20"), Decimal("150000")
    found = commitment(on_demand, usd_per_hour=hourly, upfront_usd=upfront)
    committed = upfront + 8760 * hourly
    used, bill = 0, Decimal()
    while bill < committed:  # hour by hour of the year
        used += 1
        bill += on_demand
    assert used - 1 < found.break_even_utilisation * 8760 <= used
    assert found.saving(used / 8760) >= 0 > found.saving((used - 1) / 8760)
    assert found.break_even_hours_per_week / 168 == pytest.approx(found.break_even_utilisation)
    assert found.pays


def test_a_commitment_above_on_demand_never_pays():
    found = commitment(10, usd_per_hour=11, years=3)
    assert not found.pays
    assert found.saving(1) == -3 * 8760
    assert found.saving(0) == -found.usd == -3 * 8760 * 11


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"usd_per_hour": -1}, r"usd_per_hour=-1"),
        ({"upfront_usd": float("nan")}, r"upfront_usd=nan"),
        ({"years": 2, "usd_per_hour": 1}, r"years=2 is no term that AWS sells"),
        ({}, r"the commitment's total=.* must be above 0"),
    ],
)
def test_a_commitment_that_is_not_sold_is_refused(asked, told):
    with pytest.raises(PriceError, match=told):
        commitment(10, **asked)
    with pytest.raises(PriceError, match=r"on_demand_usd_per_hour=0 must be above 0"):
        commitment(0, usd_per_hour=1)


@pytest.mark.parametrize("share", [-0.1, 1.01, 70, float("nan")])
def test_a_utilisation_is_a_share(share):
    with pytest.raises(PriceError, match=r"utilisation="):
        commitment(10, usd_per_hour=5).saving(share)


# p4d.24xlarge in AWS's price page before 2025: 14.75 a Capacity Block hour; on demand 21.957642 (2026-07-20)
BLOCK = CapacityBlock(instances=4, days=14, usd_per_instance_hour=Decimal("14.75"))


def test_a_block_is_paid_in_full_and_pays_from_its_break_even_hour():
    assert BLOCK.upfront_usd == 4 * 336 * Decimal("14.75") == Decimal("19824.00")
    on_demand = Decimal("21.957642")
    cheaper = [hour for hour in range(1, 336) if 4 * hour * on_demand > BLOCK.upfront_usd]
    assert cheaper[0] - 1 < BLOCK.break_even_hours(on_demand) <= cheaper[0]


def test_the_published_smallest_block_costs_354_dollars():
    """Oracle: dstack issue 1155: one p4d.24xlarge for a day at 14.75 is 354 USD."""
    assert CapacityBlock(1, 1, Decimal("14.75")).upfront_usd == Decimal("354.00")


def test_an_early_finish_strands_the_rest():
    use = BLOCK.used(200, Decimal("21.957642"))
    assert use.stranded_usd == 136 * 4 * Decimal("14.75")
    assert use.usd_per_used_hour * 200 * 4 == pytest.approx(BLOCK.upfront_usd)
    assert use.on_demand_usd == 800 * Decimal("21.957642") < BLOCK.upfront_usd
    assert BLOCK.used(200).on_demand_usd is None


def test_an_idle_night_costs_its_hours():
    assert BLOCK.idle_usd(12) == 12 * 4 * Decimal("14.75")


def test_the_last_half_hour_is_not_usable():
    assert BLOCK.used(335.5).stranded_usd == Decimal("29.50")
    with pytest.raises(PriceError, match=r"hours=336 is more than the 335.5 usable hours"):
        BLOCK.used(336)


@pytest.mark.parametrize("days", [1, 13, 14, 21, 182])
def test_lengths_that_are_sold(days):
    assert CapacityBlock(1, days, Decimal(1)).hours == 24 * days


@pytest.mark.parametrize("days", [0, -1, 15, 20, 183, 189, 1.5, True])
def test_lengths_that_are_not_sold(days):
    with pytest.raises(PriceError, match=r"days="):
        CapacityBlock(1, days, Decimal(1))


@pytest.mark.parametrize("usd", [Decimal(0), Decimal(-1), float("nan")])
def test_a_block_has_a_price(usd):
    with pytest.raises(PriceError, match=r"usd_per_instance_hour="):
        CapacityBlock(1, 1, usd)


def bills(idle, restart, usd, instances, waiting):
    """Minute by minute: what the pause costs if kept, and the restart if stopped; in USD."""
    keep = sum(usd * instances / 60 for _ in range(round(idle * 60)))
    stop = sum((usd * instances + waiting) / 60 for _ in range(round(restart * 60)))
    return keep, stop


@pytest.mark.parametrize("idle", [0.5, 2.0, 12.0])
@pytest.mark.parametrize("waiting", [0, 300])
def test_stopping_pays_when_the_minutes_say_so(idle, waiting):
    found = stop_or_keep(idle, 0.75, 55.04, instances=2, waiting_usd_per_hour=waiting)
    keep, stop = bills(idle, 0.75, 55.04, 2, waiting)
    assert (float(found.keep_usd), float(found.stop_usd)) == pytest.approx((keep, stop))
    assert found.stop == (stop < keep)
    assert float(found.saving_usd) == pytest.approx(abs(keep - stop))


def test_at_the_break_even_both_cost_the_same():
    found = stop_or_keep(3, 0.75, 55.04, instances=2, waiting_usd_per_hour=300)
    there = stop_or_keep(found.break_even_hours, 0.75, 55.04, instances=2, waiting_usd_per_hour=300)
    assert there.saving_usd == pytest.approx(0, abs=1e-9)


def test_a_start_costs_a_minute_at_least():
    assert stop_or_keep(1, 0, 60).stop_usd == pytest.approx(Decimal(1))


@pytest.mark.parametrize(
    "given", [(-1, 1, 1), (1, -1, 1), (1, 1, 0), (1, 1, float("nan")), (float("inf"), 1, 1), (np.nan, 1, 1)]
)
def test_a_night_of_bad_numbers_is_refused(given):
    with pytest.raises(PriceError, match=r"(idle_hours|restart_hours|usd_per_hour)="):
        stop_or_keep(*given)


@pytest.mark.parametrize(
    "bad",
    [
        {"on_demand": -1},
        {"mtbf_seconds": 0.0},
        {"checkpoint_seconds": float("nan")},
        {"restart_seconds": -1.0},
        {"spot_usd_per_hour": 0},
        {"interval_seconds": 0.0},
    ],
)
def test_spot_with_bad_numbers_is_refused(bad):
    price = bad.pop("on_demand", 10)
    with pytest.raises(ValueError, match=r"Remedy: "):
        spot_against_on_demand(price, **{**SPOT, **bad})
