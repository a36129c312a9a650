"""Sinkhorn: scores are scaled until all experts get the same share, and then each token takes its k largest."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from course_lib.moe.routers.scoring import Scored
from course_lib.moe.routing import Routing

ROUNDS = 16


class Sinkhorn(Scored):
    """In training the k largest of the balanced plan, otherwise of W x; weights from softmax(W x) either way.

    **Not causal in training**: the plan depends on all tokens of the batch. Outside of training nothing does. The plan
    is balanced, the choice of its largest entries nearly so: unlike BASE no bound holds.

    Args:
        config: of the layer. `normalize` scales the weights to sum to 1 where k is above 1; with k = 1 that would leave
            the router without a gradient. `softmax` has no say.
        place: of the layer, for error messages.

    Source: Clark et al. 2022 (arXiv:2202.01169) section 3.1 and appendix B; Cuturi 2013 (arXiv:1306.0895).
    """

    @property
    def causal(self) -> bool:
        """Whether a token's way depends on no later token."""
        return not self.training

    def forward(self, x: Tensor, ids: Tensor | None = None, task: Tensor | None = None) -> Routing:
        """(tokens, hidden) -> where they go; `ids` and `task` are for other routers."""
        logits = self.scored(x)
        with torch.no_grad():
            ranked = sinkhorn_plan(logits) if self.training else logits
            experts = ranked.topk(self.config.experts_per_token, dim=-1).indices  # (tokens, k)
        probabilities = logits.softmax(-1)
        weights = probabilities.gather(1, experts)  # (tokens, k)
        if self.config.normalize and self.config.experts_per_token > 1:
            weights = weights / weights.sum(-1, keepdim=True)
        return Routing(experts, (weights * self.config.scale).to(x.dtype), probabilities, logits)


def sinkhorn_plan(logits: Tensor, rounds: int = ROUNDS) -> Tensor:
    """exp(logits), rows and columns scaled in turn, until rows sum to 1 and columns to tokens / experts, nearly.

    Args:
        logits: (tokens, experts).
        rounds: of scaling; a fixed number, so that compiled code need not look at values. Rows are scaled last and sum
            to 1 exactly.

    Returns:
        (tokens, experts): of all plans with these sums the one with the largest sum of plan * logits + entropy.

    Source: Cuturi 2013 (arXiv:1306.0895) algorithm 1, here in logarithms, so that large logits don't overflow.
    """
    if not len(logits):
        return logits
    log_plan = logits.float()
    share = math.log(len(logits) / logits.shape[1])
    for _ in range(rounds):
        log_plan = log_plan - log_plan.logsumexp(0, keepdim=True) + share
        log_plan = log_plan - log_plan.logsumexp(1, keepdim=True)
    return log_plan.exp()
