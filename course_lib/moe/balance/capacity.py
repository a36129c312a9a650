"""Room of an expert: how many tokens it takes at most, and who stays when more arrive."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import torch

from course_lib.moe.config import MoEConfig
from course_lib.moe.errors import MoEError, check_count
from course_lib.moe.routing import Routing

Drop = Literal["position", "weight"]


def expert_capacity(tokens: int, experts: int, experts_per_token: int, factor: float) -> int:
    """Tokens that an expert takes at most: ceil(factor * tokens * k / E), and never more than there are.

    Args:
        tokens: of the batch that is routed together.
        experts: E.
        experts_per_token: k.
        factor: 1 is just enough when balanced; 1.25 leaves a quarter of slack.

    Raises:
        MoEError: for a factor that leaves no room, or counts out of range.

    Source: Fedus et al. 2021 (arXiv:2101.03961) eq. 3; Lepikhin et al. 2020 (arXiv:2006.16668) section 2.2 for k > 1.
    """
    check_count("tokens", tokens, minimum=0)
    check_count("experts", experts)
    check_count("experts_per_token", experts_per_token)
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor < math.inf:
        raise MoEError.of("capacity_factor", factor, "must be a finite number above 0", "give 1.25, or None")
    exact = factor * tokens * experts_per_token / experts
    # 1.1 * 10 is 11.000000000000002 in floating point, and means 11
    return min(tokens, math.ceil(exact * (1 - 1e-12)))


def drop_over_capacity(routing: Routing, capacity: int, drop: Drop = "position") -> Routing:
    """The same routing with at most `capacity` tokens for each expert.

    Args:
        routing: of one layer.
        capacity: tokens that each expert takes at most.
        drop: who stays. "position": all tokens' first choices before any second choice, earlier tokens before later
            ones. "weight": larger weights before smaller ones, earlier tokens first among equals.

    Returns:
        Expert -1 and weight 0 for a dropped pair: it adds nothing, and the residual path alone carries the token past
        the layer. The weights of the pairs that stay are as they were.

    Raises:
        MoEError: for a capacity of 0, or an unknown order.

    Source: Fedus et al. 2021 (arXiv:2101.03961) section 2.2; Lepikhin et al. 2020 (arXiv:2006.16668) algorithm 1 for
        first choices first; Riquelme et al. 2021 (arXiv:2106.05974) section 4 for the order by weight.
    """
    check_count("capacity", capacity)
    if drop not in ("position", "weight"):
        raise MoEError.of("drop", drop, "is not known", "use 'position' or 'weight'")
    tokens, k = routing.experts.shape
    wanted = routing.experts.t().flatten()  # (k * tokens,), first choices first
    weights = routing.weights.detach().t().flatten()
    first = (
        wanted.new_ones(len(wanted)).cumsum(0) - 1
        if drop == "position"
        else weights.argsort(descending=True, stable=True)
    )  # (k * tokens,), whom to look at first
    queue = first[wanted[first].argsort(stable=True)]  # by expert, and within an expert by priority
    experts = wanted[queue]
    ahead = torch.searchsorted(experts, experts)  # where each pair's expert begins in the queue
    place = torch.arange(len(queue), device=queue.device) - ahead
    fits = torch.zeros_like(wanted, dtype=torch.bool).scatter(0, queue, (place < capacity) & (experts >= 0))
    stays = fits.view(k, tokens).t()  # (tokens, k)
    return replace(
        routing,
        experts=torch.where(stays, routing.experts, -1),
        weights=torch.where(stays, routing.weights, 0),
    )


def limit_capacity(routing: Routing, config: MoEConfig) -> Routing:
    """`drop_over_capacity` as a config asks for it; the routing as it is when capacity_factor is None."""
    if config.capacity_factor is None or len(routing.experts) == 0:
        return routing
    room = expert_capacity(len(routing.experts), config.experts, config.experts_per_token, config.capacity_factor)
    return drop_over_capacity(routing, room, config.drop)
