"""The load-balance loss in its two published conventions, over one rank's tokens, all ranks' or one sequence's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from course_lib.moe.errors import MoEError, check_count
from course_lib.moe.routing import Routing

Mean = Callable[[Tensor], Tensor]
Convention = Literal["switch", "huggingface"]
CONVENTIONS: tuple[Convention, ...] = ("switch", "huggingface")


def this_rank(value: Tensor) -> Tensor:
    """The mean over ranks when there is one, or when each rank counts its own tokens only."""
    return value


def load_balance_loss(
    routing: Routing,
    mean: Mean = this_rank,
    *,
    convention: Convention = "switch",
    sequences: int = 0,
) -> Tensor:
    """E * sum over experts of f * P: f what an expert receives, P its mean probability; gradient flows through P.

    Args:
        routing: of one layer, before capacity drops anything.
        mean: over data-parallel ranks, applied to counts of tokens, which carry no gradient. The mean of all ranks'
            losses, and of their gradients, is then the loss of all their tokens together, also when some ranks hold
            more tokens than others.
        convention: "switch": f is the share of all choices, so that the minimum is 1 for any k and collapse onto k
            experts gives up to E / k. "huggingface": f is choices per token, as `load_balancing_loss_func` of
            transformers' Mixtral and OLMoE has it, k times as much: minimum k, at most E. A coefficient copied from
            one to the other is off by a factor of k.
        sequences: 0 counts over all tokens; n cuts the tokens into n sequences of equal length and takes the mean of
            each one's loss, which asks for balance within every sequence.

    Returns:
        A scalar of fp32; 0 for no tokens.

    Raises:
        MoEError: for an unknown convention, or tokens that don't make so many equal sequences.

    Source: Fedus et al. 2021 (arXiv:2101.03961) eq. 4 to 6; Qiu et al. 2025 (arXiv:2501.11873) for the counts of all
        ranks; DeepSeek-AI 2024 (arXiv:2412.19437) eq. 17 to 20 for the loss of each sequence, which it divides by k
        as "switch" does.
    """
    if convention not in CONVENTIONS:
        raise MoEError.of("convention", convention, "is not known", f"use one of {', '.join(CONVENTIONS)}")
    check_count("sequences", sequences, minimum=0)
    tokens, experts = routing.probabilities.shape
    if sequences and tokens % sequences:
        raise MoEError.of("sequences", sequences, f"does not divide {tokens} tokens", "give the batch's number of rows")
    parts = sequences or 1
    with torch.no_grad():
        chosen = _choices(routing, parts)  # (parts, experts)
        held = torch.full((parts, 1), float(tokens // parts), device=chosen.device)
        counted = torch.cat((chosen, held), dim=1)  # (parts, experts + 1)
        # With sequences each loss is of one sequence, which one rank holds.
        counted = counted if sequences else mean(counted)
        chosen, held = counted[:, :-1], counted[:, -1:].clamp(min=1e-9)
        base = held if convention == "huggingface" else chosen.sum(1, keepdim=True).clamp(min=1e-9)
        fraction = chosen / base
    probability = routing.probabilities.reshape(parts, tokens // parts, experts).sum(1) / held  # (parts, experts)
    loss: Tensor = experts * (fraction * probability).sum(1).mean()
    return loss


def _choices(routing: Routing, parts: int) -> Tensor:
    """(parts, experts) of fp32: how often each expert is chosen in each part of the tokens."""
    experts = routing.probabilities.shape[1]
    chosen = routing.experts.reshape(parts, -1)  # (parts, tokens / parts * k), -1 for none
    spare = torch.where(chosen < 0, experts, chosen)
    counts = torch.zeros(parts, experts + 1, device=chosen.device)
    return counts.scatter_add_(1, spare, torch.ones_like(spare, dtype=counts.dtype))[:, :experts]
