"""The budget optimiser. Oracle: brute force over every choice of small cases; prices times hours by hand."""

import random
from decimal import ROUND_CEILING, Decimal
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.catalog import instance
from course_lib.finops.optimize import (
    Demand,
    InfeasibleBudgetError,
    Offer,
    OptimizeError,
    catalog_offers,
    optimize_budget,
    options_of,
)
from course_lib.finops.optimize.options import Option
from course_lib.finops.optimize.programme import solve
from course_lib.finops.prices import CapacityBlock, block_days

TRN = Offer("trn", "trainium1", 16, "on_demand", 21.5)
SPOT = Offer("trn", "trainium1", 16, "spot", 9.0, time_per_useful=1.2)


def brute_force(budget, demands, offers):
    """(value, cents) of the best plan among all, or None: every option of every project, and leaving it."""
    choices = [
        ([] if demand.required else [None]) + [one for offer in offers for one in options_of(demand, offer)[0]]
        for demand in demands
    ]
    best = None
    for plan in product(*choices):
        taken = [one for one in plan if one is not None]
        cents = sum(one.cents for one in taken)
        in_use = {offer.name: sum(one.instances for one in taken if one.offer == offer) for offer in offers}
        if cents > budget * 100 or any(o.limit is not None and in_use[o.name] > o.limit for o in offers):
            continue
        value = sum(one.demand.value for one in taken)
        if best is None or (value, -cents) > (best[0], -best[1]):
            best = value, cents
    return best


DEMANDS = st.lists(
    st.builds(
        Demand,
        st.uuids().map(str),
        st.integers(10, 3000),
        st.sampled_from([{"trainium1": 1.0}, {"h100": 4.0}, {"trainium1": 1.0, "h100": 4.0}]),
        st.integers(0, 9),
        st.sampled_from([24.0, 100.0, 730.0]),
        st.booleans(),
        st.sampled_from([False, False, True]),
    ),
    max_size=4,
)
LIMITS = st.none() | st.integers(0, 4)


@settings(max_examples=80, deadline=None)
@given(DEMANDS, st.integers(0, 12_000), LIMITS, LIMITS, LIMITS)
def test_no_plan_of_all_is_better(demands, budget, one, two, three):
    offers = [
        Offer("trn1.32xlarge", "trainium1", 16, "on_demand", 21.5, limit=one),
        Offer("trn1.32xlarge", "trainium1", 16, "spot", 9.245, 1.19, limit=two),
        Offer("p5.48xlarge", "h100", 8, "capacity_block", 39.33, limit=three, in_blocks=True),
    ]
    best = brute_force(budget, demands, offers)
    if best is None:
        with pytest.raises(InfeasibleBudgetError, match=r"Remedy: "):
            optimize_budget(budget, demands, offers)
        return
    plan = optimize_budget(budget, demands, offers)
    assert (plan.value, round(plan.usd * 100)) == best
    assert plan.usd <= budget
    for choice in plan.choices:
        assert choice.hours <= next(d.deadline_hours for d in demands if d.project == choice.project) + 1e-6
    assert {c.project for c in plan.choices} | {r.project for r in plan.refused} == {d.project for d in demands}


def test_the_bill_of_a_choice_by_hand():
    plan = optimize_budget(1000, [Demand("bert", 160, interruptible=True)], [TRN, SPOT])
    (choice,) = plan.choices
    assert (choice.offer, choice.instances, choice.hours, choice.usd) == (SPOT, 1, 12.0, 108.0)
    assert choice.why == "107.00 USD less than trn (on demand)"
    assert plan.left_usd == 892


def test_a_deadline_takes_more_instances_and_costs_the_same():
    (choice,) = optimize_budget(1000, [Demand("bert", 160, deadline_hours=3)], [TRN]).choices
    assert (choice.instances, choice.hours, choice.usd) == (4, 2.5, 215.0)


def test_blocks_are_paid_whole_and_the_cheapest_count_is_found():
    block = Offer("p5", "h100", 8, "capacity_block", 39.33, in_blocks=True)
    (choice,) = optimize_budget(9e9, [Demand("bert", 400, {"h100": 1.0}, deadline_hours=48)], [block]).choices
    # 50 hours: two instances for 25 hours each need 2 days each, three for 16.7 hours 1 day each
    assert (choice.instances, choice.usd) == (3, pytest.approx(3 * 24 * 39.33))


@pytest.mark.parametrize(
    ("hours", "days"),
    [(0, 1), (23.5, 1), (23.6, 2), (335.5, 14), (336, 21), (503.5, 21), (4367.5, 182), (4367.6, None), (1e300, None)],
)
def test_a_block_has_a_length_that_is_sold_and_ends_half_an_hour_early(hours, days):
    assert block_days(hours) == days
    if days is not None:
        assert CapacityBlock(1, days, Decimal(1)).usable_hours >= hours


def test_one_machine_for_fifteen_days_is_not_a_block_that_is_sold():
    block = Offer("p5", "h100", 8, "capacity_block", 1.0, limit=1, in_blocks=True)
    (one,), why = options_of(Demand("bert", 8 * 15 * 24, {"h100": 1.0}), block)
    assert (one.instances, one.usd, why) == (1, 21 * 24, "")
    none, why = options_of(Demand("bert", 8 * 190 * 24, {"h100": 1.0}, deadline_hours=9e9), block)
    assert (none, why) == ([], "1 of p5 (capacity block) take 4,560 h, more than any block has")


def test_a_project_that_is_left_says_what_it_would_take():
    plan = optimize_budget(300, [Demand("bert", 160, value=2), Demand("llama", 160, value=1)], [TRN])
    assert [choice.project for choice in plan.choices] == ["bert"]
    (left,) = plan.refused
    assert (left.project, left.more_usd) == ("llama", 130.0)
    assert "llama: not done" in str(plan)
    assert plan.frame()["done"].tolist() == [True, False]


def test_what_runs_on_nothing_there_is_told_the_reasons():
    plan = optimize_budget(1e6, [Demand("vision", 10, {"a10g": 1.0})], [TRN, SPOT])
    assert plan.refused[0].more_usd is None
    assert plan.refused[0].why == "vision does not run on trainium1"


@pytest.mark.parametrize(
    ("budget", "demand", "offer", "binding", "told"),
    [
        (100, {}, TRN, "budget", r"budget_usd=100.00 binds: the required projects cost at least 430.00 USD"),
        (
            1e6,
            {"deadline_hours": 1},
            Offer("trn", "trainium1", 16, "on_demand", 21.5, limit=4),
            "deadline",
            r"needs 10",
        ),
        (1e6, {"runs_on": {"h100": 1.0}}, TRN, "offers", r"does not run on trainium1"),
        (1e6, {}, SPOT, "offers", r"can't be interrupted"),
        (
            1e6,
            {"deadline_hours": 5},
            Offer("trn", "trainium1", 16, "on_demand", 21.5, limit=3),
            "limit",
            r"trn \(on demand\)",
        ),
    ],
)
def test_infeasible_says_which_constraint_binds(budget, demand, offer, binding, told):
    demands = [Demand(name, 160, required=True, **demand) for name in ("bert", "llama")]
    with pytest.raises(InfeasibleBudgetError, match=rf"{told}.*Remedy: ") as caught:
        optimize_budget(budget, demands, [offer])
    assert caught.value.binding == binding
    assert "\n" not in str(caught.value)


def test_offers_have_the_catalogs_prices_and_no_guessed_ones():
    offers = catalog_offers(["trn1.32xlarge", "trn2u.48xlarge"], limits={"trn1.32xlarge": 3})
    listed = {offer.purchase: offer.usd_per_hour for offer in offers}
    assert listed["on_demand"] == instance("trn1.32xlarge").usd_per_hour("on_demand")
    assert "spot" not in listed
    assert {offer.limit for offer in offers} == {3}
    with_spot = catalog_offers(["trn1.32xlarge"], purchases=["spot"], spot_share=0.5, spot_time_per_useful=1.2)
    assert [(one.usd_per_hour, one.time_per_useful) for one in with_spot] == [(10.75, 1.2)]


@pytest.mark.parametrize(
    "make",
    [
        lambda: optimize_budget(-1, [], []),
        lambda: optimize_budget(float("nan"), [], []),
        lambda: optimize_budget(1, [Demand("a", 1), Demand("a", 1)], []),
        lambda: optimize_budget(1, [], [TRN, TRN]),
        lambda: Demand("a", 0),
        lambda: Demand("a", 1, {}),
        lambda: Demand("a", 1, {"h100": 0}),
        lambda: Demand("a", 1, deadline_hours=-1),
        lambda: Offer("a", "h100", 0, "spot", 1),
        lambda: Offer("a", "h100", 1, "spot", 1, time_per_useful=0.5),
        lambda: Offer("a", "h100", 1, "spot", 1, limit=-1),
    ],
)
def test_bad_numbers_are_refused_with_a_remedy(make):
    with pytest.raises(OptimizeError, match=r"Remedy: "):
        make()


def test_no_projects_are_a_plan_that_costs_nothing():
    plan = optimize_budget(100, [], [TRN])
    assert (plan.usd, plan.value, plan.choices, plan.refused) == (0.0, 0, (), ())


@pytest.mark.parametrize("seed", range(12))
def test_a_cent_decides_however_large_the_amounts(seed):
    # The solver's tolerance is a millionth: of 10,000 USD that is a cent, of a million USD a whole dollar.
    chance = random.Random(seed)
    base = 10 ** chance.randint(6, 9)
    values = chance.choice([(1.0, 2.0, 3.0, 5.0), (1.0, 2e6, 3.5e6), (0.1, 0.2, 0.3)])
    options = []
    for number in range(7):
        demand = Demand(f"p{number}", 1, value=chance.choice(values))
        options += [Option(demand, TRN, 1, 1.0, base + chance.randint(-3, 3)) for _ in range(chance.randint(1, 2))]
    budget = chance.randint(1, 6) * base + chance.randint(-2, 2)
    plans = product(*([None, *(one for one in options if one.demand.project == f"p{n}")] for n in range(7)))
    within = [plan for plan in ([one for one in plan if one] for plan in plans) if cents_of(plan) <= budget]
    best = min((-value_of(plan), cents_of(plan)) for plan in within)
    found = solve(options, [], budget)
    assert found is not None
    assert (-value_of(found), cents_of(found)) == best


def cents_of(plan):
    return sum(option.cents for option in plan)


def value_of(plan):
    return sum(Decimal(str(option.demand.value)) for option in plan)


def test_what_is_worth_little_is_done_beside_what_is_worth_millions():
    demands = [Demand("big", 16_000, value=2_000_000.0), Demand("small", 160, value=1.0)]
    plan = optimize_budget(100_000, demands, [TRN])
    assert [one.project for one in plan.choices] == ["big", "small"]
    assert plan.value == 2_000_001


@pytest.mark.parametrize(("chip_hours", "cents"), [(16, 2150), (1, 135), (2, 269), (0.0001, 1)])
def test_a_part_of_a_cent_is_paid_as_a_cent(chip_hours, cents):
    exact = Decimal(str(chip_hours)) / 16 * Decimal("21.5") * 100
    assert cents == exact.to_integral_value(ROUND_CEILING)
    ((option,), _) = options_of(Demand("one", chip_hours), TRN)
    assert option.cents == cents
