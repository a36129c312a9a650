"""Balanced assignment. Oracle: networkx's network simplex, which is exact, and exhaustive search."""

import itertools

import networkx
import pytest
import torch

from course_lib.moe.routers import balanced_assignment, sinkhorn_plan


def best_total(values):
    """The largest sum with at most ceil(tokens / experts) tokens for each expert, of whole numbers."""
    tokens, experts = values.shape
    graph = networkx.DiGraph()
    for token in range(tokens):
        graph.add_node(("token", token), demand=-1)
        for expert in range(experts):
            graph.add_edge(("token", token), ("expert", expert), weight=-int(values[token, expert]), capacity=1)
    for expert in range(experts):
        graph.add_edge(("expert", expert), "all", capacity=-(-tokens // experts), weight=0)
    graph.add_node("all", demand=tokens)
    return -networkx.network_simplex(graph)[0]


@pytest.mark.parametrize(("tokens", "experts"), [(24, 4), (25, 4), (31, 8), (7, 8), (40, 5), (1, 3)])
def test_the_auction_finds_the_best_total(tokens, experts):
    """Oracle: networkx.network_simplex on whole numbers; a tolerance below 1 / tokens leaves the auction no slack."""
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        values = torch.randint(0, 30, (tokens, experts), generator=generator) + torch.arange(experts) * 5
        spread = int(values.max() - values.min())
        assigned = balanced_assignment(values.float(), tolerance=0.9 / tokens / spread)
        assert int(assigned.bincount(minlength=experts).max()) <= -(-tokens // experts)
        assert int(values.gather(1, assigned[:, None]).sum()) == best_total(values)


def test_the_auction_stays_within_its_tolerance():
    """Oracle: networkx.network_simplex."""
    values = torch.randint(0, 1000, (60, 6), generator=torch.Generator().manual_seed(1)) + torch.arange(6) * 300
    best, spread = best_total(values), int(values.max() - values.min())
    for tolerance in (0.3, 0.03):
        assigned = balanced_assignment(values.float(), tolerance)
        assert int(values.gather(1, assigned[:, None]).sum()) >= best - 60 * tolerance * spread


def test_ties_and_equal_tokens_end_too():
    """Oracle: counting; equal tokens make the longest price wars."""
    for values in (torch.zeros(10, 4), torch.arange(4.0).expand(10, 4), torch.randn(10, 1)):
        counts = balanced_assignment(values).bincount(minlength=values.shape[1])
        assert int(counts.max()) <= -(-10 // values.shape[1])
    assert balanced_assignment(torch.zeros(0, 4)).shape == (0,)


def test_sinkhorns_plan_is_balanced_and_finds_the_best_assignment_when_scores_are_sharp():
    """Oracle: the sums that define a plan, and all permutations of a small square of scores."""
    logits = torch.randn(60, 7, generator=torch.Generator().manual_seed(2)) * 3 + torch.arange(7.0)
    plan = sinkhorn_plan(logits, rounds=200)
    torch.testing.assert_close(plan.sum(1), torch.ones(60))
    torch.testing.assert_close(plan.sum(0), torch.full((7,), 60 / 7))
    square = torch.randn(6, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    best = max(itertools.permutations(range(6)), key=lambda p: float(square[range(6), p].sum()))
    assert sinkhorn_plan(square * 200, rounds=3000).argmax(1).tolist() == list(best)


def test_large_scores_do_not_overflow_a_plan():
    """Oracle: the sums that define a plan; exp(1000) is infinite."""
    plan = sinkhorn_plan(torch.tensor([[1000.0, 0.0], [999.0, 0.0]]), rounds=64)
    torch.testing.assert_close(plan.sum(0), torch.ones(2))
    assert plan.isfinite().all()
