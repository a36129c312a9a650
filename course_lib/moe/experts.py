"""The experts of one layer: their matrices side by side in two parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from course_lib.moe.config import MoEConfig
from course_lib.moe.grouped import experts_by_group, mixture_by_group
from course_lib.moe.loop import experts_by_loop, mixture_by_loop


class Experts(nn.Module):
    """`experts` feed-forward blocks.

    Args:
        config: of the layer.
        experts: how many of them lie here; all when left out, fewer under expert parallelism.

    Parameters: `up` (experts, 2 inner, hidden), gate rows first, when gated, else (experts, inner, hidden); `down`
    (experts, hidden, inner). This is the layout of Hugging Face's `gate_up_proj` and `down_proj`.
    """

    def __init__(self, config: MoEConfig, experts: int | None = None) -> None:
        super().__init__()
        self.config = config
        count, h, f = experts or config.experts, config.hidden_size, config.expert_hidden_size
        self.up = nn.Parameter(torch.empty(count, (2 if config.gated else 1) * f, h))
        self.down = nn.Parameter(torch.empty(count, h, f))
        nn.init.normal_(self.up, std=0.02)
        nn.init.normal_(self.down, std=0.02)

    def forward(self, x: Tensor, counts: Tensor) -> Tensor:
        """(slots, hidden) sorted by expert, (experts,) rows of each -> (slots, hidden)."""
        run = experts_by_group if self.config.execution == "grouped" else experts_by_loop
        return run(x, counts, self.up, self.down, activation=self.config.activation, gated=self.config.gated)

    def mixture(self, x: Tensor, experts: Tensor, weights: Tensor) -> Tensor:
        """(tokens, hidden), and each token's experts and their weights, (tokens, k) -> the weighted sums."""
        run = mixture_by_group if self.config.execution == "grouped" else mixture_by_loop
        act, gated = self.config.activation, self.config.gated
        return run(x, experts, weights, self.up, self.down, activation=act, gated=gated)
