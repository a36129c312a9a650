"""Measures of routing against NumPy's own sums, and against what is known of extreme tables."""

import math

import numpy as np
import pytest
import torch

from course_lib.moe import MoEError
from course_lib.moe.analysis import (
    chance_information,
    effective_experts,
    favorite_tokens,
    lift,
    mutual_information,
    together,
)


def by_numpy(table):
    """Mutual information in bits as H(row) + H(expert) - H(both): another formula than the library's."""
    p = table / table.sum()

    def entropy(q):
        q = q[q > 0]
        return -(q * np.log2(q)).sum()

    return entropy(p.sum(1)) + entropy(p.sum(0)) - entropy(p.ravel())


def test_mutual_information_is_the_entropies_that_numpy_sums():
    rng = np.random.default_rng(0)
    for rows, experts in ((3, 8), (200, 4), (1, 5)):
        table = rng.poisson(2.0, (rows, experts)) * rng.integers(0, 2, (rows, experts))
        assert mutual_information(torch.from_numpy(table)) == pytest.approx(by_numpy(table), abs=1e-12)


def test_a_domain_for_each_expert_tells_everything_and_independence_nothing():
    assert mutual_information(torch.eye(8).long() * 7) == pytest.approx(3.0)
    assert mutual_information(torch.ones(4, 8).long()) == pytest.approx(0.0, abs=1e-12)


def test_chance_information_is_what_independent_draws_show_on_average():
    """Oracle: NumPy's random numbers, 400 tables of 2,000 independent draws each."""
    rng = np.random.default_rng(1)
    shown = []
    for _ in range(400):
        cells = rng.multinomial(2000, np.full(5 * 8, 1 / 40)).reshape(5, 8)
        shown.append(by_numpy(cells))
    expected = chance_information(torch.full((5, 8), 50))
    assert np.mean(shown) == pytest.approx(expected, rel=0.1)


def test_rows_and_experts_that_never_occur_add_nothing_to_chance():
    """Oracle: Miller 1955 by hand: 1 degree of freedom of a 2 x 2 table of 10 counts, empty rows or not."""
    expected = 1 / (2 * 10 * math.log(2))
    assert chance_information(torch.tensor([[4, 1], [2, 3]])) == pytest.approx(expected)
    assert chance_information(torch.tensor([[4, 0, 1], [0, 0, 0], [2, 0, 3], [0, 0, 0]])) == pytest.approx(expected)


def test_effective_experts_goes_from_one_to_all():
    assert effective_experts(torch.tensor([5, 5, 5, 5])) == pytest.approx(4.0)
    assert effective_experts(torch.tensor([9, 0, 0])) == pytest.approx(1.0)
    assert effective_experts(torch.tensor([0, 0])) == 0.0
    half = [3, 1]
    p = np.array(half) / 4
    assert effective_experts(torch.tensor(half)) == pytest.approx(math.exp(-(p * np.log(p)).sum()))


def test_lift_is_observed_over_expected():
    """Oracle: the expected counts of NumPy's outer product."""
    table = np.array([[10, 0, 2], [3, 3, 3]])
    expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    assert np.allclose(lift(torch.from_numpy(table)).numpy(), table / expected)


def test_together_is_a_conditional_probability():
    pairs = torch.tensor([[10, 5, 0], [5, 20, 2], [0, 2, 0]])
    shares = together(pairs)
    assert shares[0, 1] == 0.5
    assert shares[1, 0] == 0.25
    assert shares[0, 0].isnan()
    assert shares[2, 0].isnan()  # expert 2 had no token


def test_favorite_tokens_leaves_out_rare_ones_and_orders_by_lift():
    table = torch.tensor([[2, 0], [40, 10], [10, 40], [30, 30]])
    named = favorite_tokens(table, 0, most=5, at_least=5)
    assert [token for token, _, _ in named] == [1, 3, 2]
    assert named[0][1] == 40
    assert [token for token, _, _ in favorite_tokens(table, 0, at_least=50)] == [1, 3, 2]  # 50 is not below 50
    assert [token for token, _, _ in favorite_tokens(table, 0, at_least=51)] == [3]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: mutual_information(torch.ones(3)), "rows, experts"),
        (lambda: mutual_information(-torch.ones(2, 2)), "at least 0"),
        (lambda: effective_experts(torch.ones(2, 2)), "experts"),
        (lambda: together(torch.ones(2, 3)), "experts, experts"),
        (lambda: favorite_tokens(torch.ones(4, 2).long(), 2), "use 0 to 1"),
    ],
    ids=["one-dimension", "negative", "two-dimensions", "not-square", "no-such-expert"],
)
def test_a_wrong_table_is_refused(call, told):
    with pytest.raises(MoEError, match=told):
        call()
