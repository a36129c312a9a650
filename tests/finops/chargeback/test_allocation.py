"""Who pays what. Oracle: pandas' groupby for plain bills, sums by hand for rules, and the bill itself: to the cent."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.finops.chargeback import (
    CREDITS,
    IDLE,
    SHARED,
    UNTAGGED,
    ChargebackError,
    Shared,
    Split,
    allocate,
)
from course_lib.finops.focus import make_focus
from tests.finops.focus.charges import charge

TEAMS = st.sampled_from(["bert", "llama", "vision", "platform", "", None])
USED = {"CommitmentDiscountId": "sp-1", "CommitmentDiscountQuantity": None}


def unused(usd):
    """A commitment's hour that nobody used."""
    return charge(usd, CommitmentDiscountId="sp-1", CommitmentDiscountStatus="Unused", BilledCost=Decimal(0))


def totals(found):
    return {share.name: share.total for share in found.shares}


def adds_up(found):
    assert found.allocated + found.idle + found.unallocated + found.credits == found.bill
    for share in found.shares:
        assert share.name == CREDITS or share.total >= 0
        assert all(getattr(share, part) >= 0 for part in ("usage", "shared", "idle", "tax"))
        assert share.credit <= 0
        assert not share.items or sum(item.usd for item in share.items) == share.usage


def test_a_plain_bill_is_what_pandas_groups():
    rows = [charge(f"{n}.37", team) for n, team in enumerate(["bert", "llama", "bert", None, "vision", "llama"], 1)]
    data = make_focus(rows)
    frame = data.frame()
    frame["team"] = [(tags or {}).get("project", UNTAGGED) for tags in frame["Tags"]]
    expected = frame.groupby("team")["EffectiveCost"].sum().round(2).to_dict()
    found = allocate(data)
    assert {name: float(usd) for name, usd in totals(found).items()} == pytest.approx(expected)
    assert [share.name for share in found.teams] == ["llama", "vision", "bert"]
    adds_up(found)


@pytest.mark.parametrize(
    ("split", "bert", "llama"),
    [
        (Split("even"), "15.00", "35.00"),
        (Split("proportional"), "12.50", "37.50"),
        (Split("weights", {"bert": 3, "llama": 1}), "17.50", "32.50"),
    ],
)
def test_shared_costs_follow_their_rule(split, bert, llama):
    data = make_focus([charge(10, "bert"), charge(30, "llama"), charge(10, "platform")])
    assert totals(allocate(data, shared=[Shared("platform", split)])) == {
        "llama": Decimal(llama),
        "bert": Decimal(bert),
    }


def test_a_shared_cost_can_be_found_by_its_columns_and_tags():
    rows = [charge(10, "bert"), charge(30, "llama"), charge(8, None, ServiceName="Amazon CloudWatch")]
    rows.append(charge(2, None, Tags={"env": "shared"}))
    rules = [
        Shared("watching", Split("even"), {"ServiceName": "Amazon CloudWatch"}),
        Shared("common", Split("even"), {"tag:env": "shared"}),
    ]
    assert totals(allocate(make_focus(rows), shared=rules)) == {"llama": Decimal(35), "bert": Decimal(15)}


def test_idle_is_kept_apart_or_divided_as_told():
    data = make_focus([charge(10, "bert"), charge(30, "llama"), unused(4)])
    assert allocate(data).idle == 4
    assert totals(allocate(data, share_idle=Split("even"))) == {"llama": Decimal(32), "bert": Decimal(12)}


def test_weights_of_zero_lose_no_money():
    """OpenCost's users lost idle costs that way: the row has to stay, by its name."""
    data = make_focus([charge(0, "bert"), unused(4), charge(6, "platform")])
    found = allocate(data, share_idle=Split("proportional"), shared=[Shared("platform")])
    assert totals(found) == {IDLE: Decimal(4), SHARED: Decimal(6)}
    nobody = Split("weights", {"bert": 0, "llama": 0})
    assert allocate(data, share_idle=nobody).idle == 4
    adds_up(found)


def test_the_unused_part_of_a_machine_is_idle():
    data = make_focus([charge(100, "bert", ResourceId="i-1"), charge(50, "llama", ResourceId="i-2")])
    found = allocate(data, utilization={"i-1": 0.25})
    assert totals(found) == {"llama": Decimal(50), "bert": Decimal(25), IDLE: Decimal(75)}


def test_taxes_follow_their_tag_or_else_the_charges():
    data = make_focus([charge(10, "bert"), charge(30, "llama"), charge(4, category="Tax"), charge(1, "bert", "Tax")])
    found = allocate(data)
    assert (found.share("bert").tax, found.share("llama").tax) == (Decimal(2), Decimal(3))
    adds_up(found)


def test_credits_never_make_a_team_negative_and_what_is_left_has_its_own_row():
    data = make_focus([charge(10, "bert"), charge(5, "llama"), charge(-40, "bert", "Credit")])
    found = allocate(data)
    assert totals(found) == {"bert": 0, "llama": 0, CREDITS: Decimal(-25)}
    assert found.share("bert").credit == -10
    adds_up(found)


def test_a_refund_without_a_tag_is_everybodys():
    found = allocate(make_focus([charge(10, "bert"), charge(30, "llama"), charge(-8)]))
    assert totals(found) == {"llama": Decimal(24), "bert": Decimal(8)}


def test_the_prefix_of_an_aws_export_and_odd_tags_do_no_harm():
    data = make_focus(
        [charge(1, Tags={"user:project": "bert"}), charge(2, Tags={"project": " "}), charge(3, Tags={"Project": "x"})]
    )
    assert totals(allocate(data)) == {"bert": Decimal(1), UNTAGGED: Decimal(5)}


ROWS = st.builds(
    lambda usd, team, category, idle: (
        unused(abs(usd)) if idle else charge(usd, team, category, ChargeClass="Correction")
    ),
    st.decimals(-1000, 1000, places=6),
    TEAMS,
    st.sampled_from(["Usage", "Usage", "Purchase", "Tax", "Credit", "Adjustment"]),
    st.sampled_from([False, False, False, True]),
)
SPLITS = st.one_of(
    st.sampled_from([Split("even"), Split("proportional")]),
    st.dictionaries(st.sampled_from(["bert", "llama", "new"]), st.floats(0, 5), min_size=1).map(
        lambda weights: Split("weights", weights)
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(ROWS, max_size=12), SPLITS, st.none() | SPLITS)
def test_every_cent_has_one_place(rows, split, idle):
    data = make_focus(rows)
    found = allocate(data, shared=[Shared("platform", split)], share_idle=idle)
    adds_up(found)
    assert found.bill == data.total().quantize(Decimal("0.01"))
    assert "platform" not in totals(found)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10_000), TEAMS), min_size=1, max_size=10), st.randoms())
def test_the_order_of_the_rows_changes_nothing(charges, random):
    rows = [charge(usd / 1000, team) for usd, team in charges]
    found = allocate(make_focus(rows), shared=[Shared("platform", Split("even"))])
    random.shuffle(rows)
    assert totals(allocate(make_focus(rows), shared=[Shared("platform", Split("even"))])) == totals(found)


@pytest.mark.parametrize(
    ("given_", "told"),
    [
        ({"by": " "}, r"by=' ' is no tag's key"),
        ({"utilization": {"i-1": 1.5}}, r"utilization\['i-1'\]=1.5 must be from 0 to 1"),
        ({"shared": [Shared("a"), Shared("a")]}, r"shared='a' is taken"),
        ({"shared": [Shared("__idle__")]}, r"is taken"),
        ({"cost": "Cost"}, r"cost='Cost' is no cost column"),
    ],
)
def test_rules_that_are_none_are_refused(given_, told):
    with pytest.raises(ValueError, match=rf"{told}.*Remedy"):
        allocate(make_focus([charge()]), **given_)


@pytest.mark.parametrize(
    ("method", "weights"),
    [("fair", {}), ("weights", {}), ("even", {"a": 1}), ("weights", {"a": -1}), ("weights", {"a": "1"})],
)
def test_splits_that_are_none_are_refused(method, weights):
    with pytest.raises(ChargebackError, match=r"Remedy"):
        Split(method, weights)


def test_a_team_may_not_bear_the_name_of_a_row_that_is_none():
    with pytest.raises(ChargebackError, match=r"project='__idle__' begins with __"):
        allocate(make_focus([charge(1, "__idle__")]))
