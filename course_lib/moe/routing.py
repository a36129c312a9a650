"""Where tokens go: the decision of a router, and the same decision in the order in which experts work on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Slots:
    """Pairs of a token and one of its experts, sorted by expert; dropped pairs are left out.

    Args:
        token: (slots,) of int64, the row of each pair's token.
        weight: (slots,), what the expert's output counts in the token's sum; carries gradient.
        counts: (experts,) of int64, pairs of each expert; sums to slots.
    """

    token: Tensor
    weight: Tensor
    counts: Tensor


@dataclass(frozen=True)
class Routing:
    """A router's decision for one batch of tokens.

    Args:
        experts: (tokens, k) of int64, the chosen experts; -1 where an expert had no room.
        weights: (tokens, k), their weights in the token's sum, 0 where dropped; carries gradient.
        probabilities: (tokens, experts) of fp32, over all experts, before the choice; carries gradient.
        logits: (tokens, experts) of fp32, before the softmax or sigmoid; carries gradient.
        expected_load: (experts,) of fp32, tokens that each expert gets on average over a router's noise; carries
            gradient. None for a router without noise.
    """

    experts: Tensor
    weights: Tensor
    probabilities: Tensor
    logits: Tensor
    expected_load: Tensor | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Routing:
        """A copy outside of the graph: else a layer could not be copied after a forward pass."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in values.items():
            values[name] = None if value is None else value.detach().clone()
        return Routing(**values)

    def load(self) -> Tensor:
        """(experts,) of int64: tokens that each expert works on."""
        chosen = self.experts.flatten()
        total = self.probabilities.shape[1]
        return torch.zeros(total + 1, dtype=torch.int64, device=chosen.device).scatter_add_(
            0, torch.where(chosen < 0, total, chosen), torch.ones_like(chosen)
        )[:total]

    def slots(self) -> Slots:
        """The pairs of tokens and experts in the order of the experts, tokens of one expert in their own order."""
        k = self.experts.shape[1]
        flat = self.experts.flatten()  # (tokens * k,)
        order = flat.argsort(stable=True)  # dropped pairs (-1) come first
        counts = self.load()
        order = order[flat.numel() - int(counts.sum()) :] if bool((flat < 0).any()) else order
        return Slots(order // k, self.weights.flatten()[order], counts)

    def through(self, tokens: Tensor, work: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Each token's weighted sum of what its experts make of it.

        Args:
            tokens: (tokens, hidden).
            work: (slots, hidden) sorted by expert, (experts,) rows of each -> (slots, hidden).

        Returns:
            (tokens, hidden) of the tokens' type.
        """
        slots = self.slots()
        outputs = work(tokens[slots.token], slots.counts)  # (slots, hidden)
        weighted = outputs * slots.weight[:, None].to(outputs.dtype)
        # under autocast experts answer in bf16 to tokens in fp32
        return torch.zeros_like(tokens).index_add(0, slots.token, weighted.to(tokens.dtype))
