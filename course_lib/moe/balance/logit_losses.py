"""Losses on what a router says rather than on whom it sends where: z-loss, importance, expected load."""

from __future__ import annotations

import torch
from torch import Tensor

from course_lib.moe.errors import MoEError
from course_lib.moe.routing import Routing


def z_loss(routing: Routing) -> Tensor:
    """Mean over tokens of the squared logsumexp of their logits: keeps logits small, so that rounding does not decide.

    Args:
        routing: of one layer.

    Returns:
        A scalar of fp32; 0 for no tokens.

    Source: Zoph et al. 2022 (arXiv:2202.08906) eq. 5.
    """
    tokens = len(routing.logits)
    return routing.logits.logsumexp(-1).square().sum() / max(tokens, 1)


def importance_loss(routing: Routing) -> Tensor:
    """Squared coefficient of variation of the experts' importance, the sum of the weights that tokens give them.

    Args:
        routing: of one layer, before capacity drops anything.

    Returns:
        A scalar of fp32: 0 when all experts weigh the same, at most E - 1.

    Source: Shazeer et al. 2017 (arXiv:1701.06538) eq. 6 and 7.
    """
    experts = routing.probabilities.shape[1]
    chosen = routing.experts.flatten()  # (tokens * k,)
    slot = torch.where(chosen < 0, experts, chosen)
    weights = routing.weights.flatten().float()
    importance = torch.zeros(experts + 1, device=weights.device).index_add(0, slot, weights)[:experts]
    return squared_variation(importance)


def load_loss(routing: Routing) -> Tensor:
    """Squared coefficient of variation of the experts' expected load under noise, which has a gradient as counts don't.

    Args:
        routing: of a noisy top-k router in training.

    Returns:
        A scalar of fp32, 0 when all experts expect the same number of tokens.

    Raises:
        MoEError: for a routing without an expected load.

    Source: Shazeer et al. 2017 (arXiv:1701.06538) appendix A, eq. 8 to 11.
    """
    if routing.expected_load is None:
        raise MoEError.of("expected_load", None, "is what this loss needs", "use router='noisy_topk' in training")
    return squared_variation(routing.expected_load)


def squared_variation(amounts: Tensor) -> Tensor:
    """Variance over squared mean of (experts,) amounts; 0 where all of them are 0, and their gradient is finite."""
    mean = amounts.mean()
    return (amounts - mean).square().mean() / mean.square().clamp(min=1e-20)
