"""Balanced assignment by auction: tokens bid for experts, whose prices rise until everybody has a place.

Bertsekas' auction for experts with several equal places. All tokens without a place bid at once, so that each round is
a few tensor operations; a first phase in large steps finds rough prices, the next ones refine them.
"""

from __future__ import annotations

import torch
from torch import Tensor

SHRINK = 5.0  # of the bids' step from one phase to the next


def balanced_assignment(values: Tensor, tolerance: float = 1e-2) -> Tensor:
    """One expert for each token, at most ceil(tokens / experts) tokens an expert, and the sum of values near its best.

    Args:
        values: (tokens, experts), finite: what token t is worth at expert e.
        tolerance: the mean value of a token stays below the best by at most this fraction of the spread of all values.

    Returns:
        (tokens,) of int64.

    Source: Bertsekas 1992, "Auction algorithms for network flow problems: a tutorial introduction", sections 1 and 4;
        Lewis et al. 2021 (arXiv:2103.16716) section 3.1 for its use.
    """
    tokens, experts = values.shape
    if tokens == 0 or experts == 1:
        return torch.zeros(tokens, dtype=torch.int64, device=values.device)
    room = -(-tokens // experts)
    values = values.double()
    spread = float(values.max() - values.min())
    if spread == 0:
        return torch.arange(tokens, device=values.device) % experts
    last = spread * tolerance
    # Prices from an earlier phase serve only if every place is taken in the end: an empty one must cost nothing.
    step = last if tokens < room * experts else max(spread / SHRINK, last)
    prices = values.new_zeros(experts)  # (experts,)
    while True:
        assigned = _auction(values, prices, room, step)
        if step <= last:
            return assigned
        step = max(step / SHRINK, last)


def _auction(values: Tensor, prices: Tensor, room: int, step: float) -> Tensor:
    """One phase: everybody bids until all have a place. Raises `prices` (experts,) in place.

    Returns:
        (tokens,) of int64. Nobody could gain more than `step` elsewhere at these prices.
    """
    tokens, experts = values.shape
    bids = values.new_full((experts, room), float("-inf"))  # what was paid for each place
    holders = torch.full((experts, room), -1, dtype=torch.int64, device=values.device)  # -1 for an empty place
    waiting = torch.arange(tokens, device=values.device)  # (waiting,), tokens without a place
    while len(waiting):
        gain, by_gain = (values[waiting] - prices).topk(2, dim=1)  # (waiting, 2) each
        wanted = by_gain[:, 0]
        # the most that the place may cost before the second choice is better, and a step beyond
        offers = prices[wanted] + gain[:, 0] - gain[:, 1] + step
        best_first = offers.argsort(descending=True)
        order = best_first[wanted[best_first].argsort(stable=True)]  # by expert, the best offers first
        row = wanted[order]
        column = torch.arange(len(row), device=row.device) - torch.searchsorted(row, row)
        heard = column < room  # an expert need not look at more offers than it has places
        row, column, told = row[heard], column[heard], order[heard]
        width = int(column.max()) + 1
        new_bids, newcomers = bids.new_full((experts, width), float("-inf")), holders.new_full((experts, width), -1)
        new_bids[row, column], newcomers[row, column] = offers[told], waiting[told]
        everybody = torch.cat((holders, newcomers), dim=1)  # (experts, room + width)
        ranked, place = torch.cat((bids, new_bids), dim=1).sort(dim=1, descending=True)
        everybody = everybody.gather(1, place)
        bids, holders, left = ranked[:, :room], everybody[:, :room], everybody[:, room:].flatten()
        waiting = torch.cat((waiting[order[~heard]], left[left >= 0]))
        full = bids[:, -1] > float("-inf")
        prices[full] = bids[full, -1]
    expert, place = (holders >= 0).nonzero().unbind(1)
    return torch.empty_like(expert).scatter(0, holders[expert, place], expert)
