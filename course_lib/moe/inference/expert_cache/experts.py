"""The experts of a layer whose matrices come from a cache."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from course_lib.moe.config import MoEConfig
from course_lib.moe.inference.expert_cache.cache import ExpertCache
from course_lib.moe.inference.touched import apply_expert, combine, run_chosen


class CachedExperts(nn.Module):
    """`Experts` that lie on disk until they are asked for.

    Args:
        config: of the layer.
        cache: shared by all layers.
        layer: this one's number.
    """

    def __init__(self, config: MoEConfig, cache: ExpertCache, layer: int) -> None:
        super().__init__()
        self.config, self.cache, self.layer = config, cache, layer

    def one_token(self, x: Tensor, experts: list[int], weights: Tensor) -> Tensor:
        """(1, hidden) through its experts, as `touched.one_token` does, bit for bit while all of them fit at once."""
        if len(experts) <= self.cache.capacity:
            with self.cache.using(self.layer, experts) as pairs:
                return combine(pairs, x, weights, self.config)
        out = torch.zeros_like(x)
        for i, expert in enumerate(experts):
            with self.cache.using(self.layer, [expert]) as pairs:
                out = out + combine(pairs, x, weights[i : i + 1], self.config)
        return out

    def forward(self, x: Tensor, counts: Tensor) -> Tensor:
        """(slots, hidden) sorted by expert, (experts,) rows of each -> (slots, hidden)."""
        return run_chosen(self._one, x, counts)

    def _one(self, expert: int, rows: Tensor) -> Tensor:
        with self.cache.using(self.layer, [expert]) as [(up, down)]:
            return apply_expert(rows, up, down, self.config)
