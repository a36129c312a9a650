"""The verdicts on the widely copied table, recomputed from the catalog's own rows and price history."""

from collections import Counter

import pytest

from course_lib.catalog import Claim, instance
from course_lib.catalog.claims import AGREEMENT, claim_rows, resolve_fact
from course_lib.catalog.errors import CatalogError


def price_on(name: str, region: str, day: str) -> float | None:
    """The last price observed up to a day."""
    rows = [
        p for p in instance(name).prices() if (p.purchase, p.region) == ("on_demand", region) and str(p.date) <= day
    ]
    return max(rows, key=lambda p: p.date).usd_per_hour if rows else None


def agrees(claimed: float, official: float) -> bool:
    return abs(claimed - official) <= AGREEMENT * official


def was_true_in_april_2025(claim: Claim) -> bool:
    """Recompute a price claim with the price table of 2025-04-28 (trn2 at the claim's own 40 USD)."""

    def old(place: str) -> float:
        name, _, region = place.partition("@")
        return (
            40.0 if name == "trn2.48xlarge" else price_on(name, region, "2025-06-01") or instance(name).usd_per_hour()
        )

    match (claim.fact or "").split("/"):
        case ["price", name, region]:
            return agrees(claim.claimed, old(f"{name}@{region}"))
        case ["cost", place, hours]:
            return agrees(claim.claimed, old(place) * float(hours))
        case ["saving", cheap, dear]:
            return agrees(claim.claimed, 1 - old(cheap) / old(dear))
    return False


@pytest.mark.parametrize("claim", claim_rows(), ids=lambda c: f"{c.item}: {c.quantity}")
def test_the_verdict_follows_from_the_official_figure(claim: Claim) -> None:
    """Oracle: the difference to the official figure, and for "stale" the price table of April 2025."""
    official = claim.official
    if claim.verdict == "agrees":
        assert official is not None
        assert agrees(claim.claimed, official.value)
    elif claim.verdict == "wrong":
        assert official is not None
        assert not agrees(claim.claimed, official.value)
        assert not was_true_in_april_2025(claim)
    elif claim.verdict == "stale":
        assert official is not None
        assert not agrees(claim.claimed, official.value)
        assert was_true_in_april_2025(claim)
    else:  # not confirmed: nothing official, or only a price of another region
        assert official is None or "us-east-2" in (claim.fact or "")


@pytest.mark.parametrize(
    ("item", "quantity", "official", "verdict"),
    [
        ("Trainium1", "FP32 peak", 47.5, "wrong"),
        ("Trainium1", "FP16 peak", 190, "wrong"),
        ("Trainium2", "FP32 peak", 181, "wrong"),
        ("Trainium2", "BF16 peak", 667, "wrong"),
        ("Trainium2", "FP8 peak", 1299, "agrees"),
        ("Inferentia2", "BF16 peak", 190, "agrees"),
        ("Inferentia2", "FP32 peak", 47.5, "wrong"),
        ("trn1.2xlarge", "on-demand price", 1.34375, "agrees"),
        ("p4d.24xlarge", "on-demand price", 21.957642, "stale"),
        ("p5.48xlarge", "on-demand price", 55.04, "stale"),
        ("trn2.48xlarge", "on-demand price", 35.76, "not confirmed"),
        ("inf2.48xlarge", "on-demand price", 12.98127, "agrees"),
        ("two weeks on p5.48xlarge", "cost on demand", 18493.44, "stale"),
        ("two weeks on trn2.48xlarge", "cost on demand", 12015.36, "not confirmed"),
        ("trn2.48xlarge instead of p5.48xlarge", "saving on demand", 0.350291, "stale"),
    ],
)
def test_the_verdicts_that_were_reached_by_hand(item: str, quantity: str, official: float, verdict: str) -> None:
    """Oracle: the review of the table against the vendors' documents, done before this code was written."""
    (claim,) = [c for c in claim_rows() if (c.item, c.quantity) == (item, quantity)]
    assert claim.official is not None
    assert (claim.official.value, claim.verdict) == (pytest.approx(official, rel=1e-5), verdict)


def test_every_claimed_spot_price_is_thirty_percent_of_the_claimed_on_demand_price() -> None:
    """Oracle: division; the table's spot column is a rule of thumb, which its notes say."""
    on_demand = {c.item: c.claimed for c in claim_rows() if c.quantity == "on-demand price"}
    spot = {c.item: c.claimed for c in claim_rows() if c.quantity == "average spot price"}
    assert len(spot) == 6
    for item, claimed in spot.items():
        assert claimed / on_demand[item] == pytest.approx(0.30, abs=0.003)


def test_benchmark_costs_are_hours_times_the_claimed_spot_price() -> None:
    """Oracle: multiplication; the benchmarks' costs carry no information beyond hours and that price."""
    spot = {c.item: c.claimed for c in claim_rows() if c.quantity == "average spot price"}
    rate = {"H100": spot["p5.48xlarge"], "Trainium2": spot["trn2.48xlarge"], "Trainium1": spot["trn1.2xlarge"]}
    hours = {c.item: c.claimed for c in claim_rows() if (c.quantity, c.unit) == ("time", "hours")}
    costs = {c.item: c.claimed for c in claim_rows() if c.quantity == "cost" and " on " in c.item}
    assert hours.keys() == costs.keys()
    assert len(costs) == 7
    for item, usd in costs.items():
        assert usd == pytest.approx(hours[item] * rate[item.rsplit(" on ", 1)[1]], rel=1e-9)


def test_the_table_has_claims_of_every_kind() -> None:
    """Oracle: the four verdicts; a table of one verdict would teach nothing."""
    assert set(Counter(c.verdict for c in claim_rows())) == {"agrees", "wrong", "stale", "not confirmed"}


@pytest.mark.parametrize(
    "fact",
    [
        "",
        "h100",
        "accelerator/h100",
        "accelerator/h100/fp3",
        "price/p5.48xlarge/mars",
        "price/trn2.48xlarge/us-east-1",
        "x/y/z",
    ],
)
def test_a_fact_that_leads_nowhere_is_refused(fact: str) -> None:
    """Oracle: none of these is a form that the docstring shows, or a row that exists."""
    with pytest.raises(CatalogError, match="Remedy"):
        resolve_fact(fact)
