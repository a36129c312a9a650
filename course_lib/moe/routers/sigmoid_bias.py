"""DeepSeek-V3's router: a sigmoid for each expert, a bias that balances the choice, and groups of experts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor

from course_lib.moe.balance import updated_bias
from course_lib.moe.config import MoEConfig
from course_lib.moe.routers.scoring import Place, Scored
from course_lib.moe.routing import Routing


class SigmoidBias(Scored):
    """The k largest of sigmoid(W x) + bias, within the best groups; weights from sigmoid(W x) alone.

    The bias is no parameter: `rebalance` moves it after each optimizer step, against the load. It is a buffer, and so
    part of the state that checkpoints hold.

    Args:
        config: of the layer. Experts lie in `groups` equal groups, of which each token may use `groups_per_token`,
            those with the largest sum of their two best biased scores.
        place: of the layer, for error messages.

    Source: DeepSeek-AI 2024 (arXiv:2412.19437) eq. 12 to 16, section 2.1.2 for the groups; Wang et al. 2024
        (arXiv:2408.15664) for the bias.
    """

    causal = True

    def __init__(self, config: MoEConfig, place: Place | None = None) -> None:
        super().__init__(config, place)
        self.bias: Tensor
        self.register_buffer("bias", torch.zeros(config.experts))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Let `model.bfloat16()` and its like move the bias, but keep it fp32: a step of 0.001 is lost in bf16."""
        kept = self.bias
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch's is untyped
        if self.bias.dtype != torch.float32 and not self.bias.is_meta:
            self.bias = kept.to(self.bias.device)
        return self

    def forward(self, x: Tensor, ids: Tensor | None = None, task: Tensor | None = None) -> Routing:
        """(tokens, hidden) -> where they go; `ids` and `task` are for other routers.

        The routing's probabilities are the sigmoids divided by their sum, as the paper's balance loss wants them.
        """
        logits = self.scored(x)
        affinity = logits.sigmoid()  # (tokens, experts)
        experts = self.choose(affinity.detach() + self.bias.float())  # (tokens, k)
        weights = affinity.gather(1, experts)  # (tokens, k)
        if self.config.normalize:
            weights = weights / (weights.sum(-1, keepdim=True) + 1e-20)
        probabilities = affinity / (affinity.sum(-1, keepdim=True) + 1e-20)
        return Routing(experts, (weights * self.config.scale).to(x.dtype), probabilities, logits)

    def choose(self, biased: Tensor) -> Tensor:
        """(tokens, experts) biased scores -> (tokens, k), the largest within the best groups."""
        groups, kept = self.config.groups, self.config.groups_per_token
        if kept < groups:
            of_one = self.config.experts // groups
            by_group = biased.reshape(len(biased), groups, of_one)  # (tokens, groups, experts of one)
            best = by_group.topk(min(2, of_one), dim=-1).values.sum(-1).topk(kept, dim=-1).indices
            open_ = torch.zeros_like(by_group[..., 0], dtype=torch.bool).scatter(1, best, True)  # (tokens, groups)
            biased = by_group.masked_fill(~open_[..., None], float("-inf")).flatten(1)
        return biased.topk(self.config.experts_per_token, dim=-1).indices

    @torch.no_grad()
    def rebalance(self, load: Tensor) -> None:
        """Move the bias one step against the load of the last global batch.

        Args:
            load: (experts,), tokens of each expert, summed or averaged over all ranks, so that their biases stay equal.
        """
        self.bias.copy_(updated_bias(self.bias, load.to(self.bias.device), self.config.bias_update_rate))
